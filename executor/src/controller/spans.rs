//! Trace spans of plans: one span for each plan with actions, with a child span for each action.
//!
//! A plan's span lasts until the last of its actions has ended. If spans aren't exported, none are created.

use everynode_proto::planner::v1::{CreatePod, DeletePod, Plan, action::Action};
use everynode_render::ErrorChain;
use everynode_serving::serve::trace::EXPORT_TARGET;
use tracing::{Span, field::Empty, info_span};

use crate::actions::{
    action::{ActionReport, ActionResult},
    queue::ReadyAction,
};

/// The span of a plan.
pub(super) fn plan(plan: &Plan) -> Span {
    if plan.actions.is_empty() {
        return Span::none();
    }
    let actions = || plan.actions.iter().filter_map(|action| action.action.as_ref());
    info_span!(
        target: EXPORT_TARGET,
        "plan",
        daemon_set = plan.daemon_set,
        plan = plan.id,
        based_on = plan.based_on,
        revision = actions().find_map(revision),
        creates = actions().filter(|action| matches!(action, Action::Create(_))).count(),
        deletes = actions().filter(|action| matches!(action, Action::Delete(_))).count(),
    )
}

/// The revision of the pod that an action creates.
fn revision(action: &Action) -> Option<&str> {
    match action {
        Action::Create(create) => Some(&create.revision),
        Action::Delete(_) => None,
    }
}

/// The span of a creation.
pub(super) fn create(ready: &ReadyAction<CreatePod>) -> Span {
    info_span!(
        target: EXPORT_TARGET,
        parent: &ready.plan_span,
        "create pod",
        "otel.kind" = "client",
        "otel.status_code" = Empty,
        "otel.status_description" = Empty,
        action = ready.id,
        node = ready.action.node,
        pod = Empty,
    )
}

/// The span of a deletion.
pub(super) fn delete(ready: &ReadyAction<DeletePod>) -> Span {
    info_span!(
        target: EXPORT_TARGET,
        parent: &ready.plan_span,
        "delete pod",
        "otel.kind" = "client",
        "otel.status_code" = Empty,
        "otel.status_description" = Empty,
        action = ready.id,
        node = ready.action.node,
        pod = ready.action.pod,
    )
}

/// Records the result of an action in its span.
pub(super) fn record_result(span: &Span, report: &ActionReport) {
    match &report.result {
        ActionResult::Created(pod) => {
            span.record("pod", pod.metadata.name.as_str());
        }
        ActionResult::Refused(error) => {
            span.record("otel.status_code", "ERROR");
            span.record(
                "otel.status_description",
                tracing::field::display(ErrorChain(error)),
            );
        }
        ActionResult::Deleting | ActionResult::Gone | ActionResult::Cancelled => {}
    }
}
