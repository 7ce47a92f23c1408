//! How the results of actions are worded, for events, watches of plans and metrics.

use everynode_proto::{
    executor::v1::{self as wire, watch_plans_response::Event},
    planner::v1::ActionOutcome,
};
use everynode_render::ErrorChain;

use crate::{
    actions::queue::Lane,
    apiserver::{failure::ApiError, objects::DaemonSet},
    telemetry::metrics::ActionKind,
};

/// Says what failed.
pub(super) fn error_prefix(lane: Lane) -> &'static str {
    match lane {
        Lane::Create => "Error creating",
        Lane::Delete => "Error deleting",
    }
}

/// Describes a refusal, for Kubernetes events and for watches of plans.
pub(super) fn error_note(lane: Lane, error: &ApiError) -> String {
    format!("{}: {}", error_prefix(lane), ErrorChain(error))
}

/// Describes a refusal as the reason why a pod is missing or still exists.
pub(super) fn refusal_message(error: &ApiError) -> String {
    match error {
        ApiError::Refused(_) => format!("the API server refuses: {error}"),
        // The text of any other error names its origin.
        _ => ErrorChain(error).to_string(),
    }
}

/// The event for watches of plans.
pub(super) fn action_ended_event(
    object: &DaemonSet,
    action_id: u64,
    outcome: ActionOutcome,
    message: String,
) -> Event {
    Event::ActionEnded(wire::ActionEnded {
        daemon_set: object.key(),
        action_id,
        outcome: outcome.into(),
        message,
    })
}

/// The kind of a lane's actions in the metrics.
pub(super) fn metric_kind(lane: Lane) -> ActionKind {
    match lane {
        Lane::Create => ActionKind::Create,
        Lane::Delete => ActionKind::Delete,
    }
}
