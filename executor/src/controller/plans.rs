//! Handles plans from the planner.

use std::sync::Arc;

use everynode_proto::{
    executor::v1::watch_plans_response::Event,
    planner::v1::{ActionOutcome, DeletePod, DeleteReason, Plan, Problem, Progress, action::Action},
};
use tracing::warn;

use super::{
    Controller, Timer, digest,
    managed::{LaneRefusals, PodBuilderInputs},
    spans,
};
use crate::{
    actions::queue::Lane,
    apiserver::events::EventType,
    cluster::SharedStr,
    live_view::view::is_on_delete,
    planner::{
        guard::{self, Verdict},
        session,
    },
    pods::pod::PodBuilder,
    status::{RolloutProgress, conditions},
};

impl Controller {
    pub(super) fn accept_plan(&mut self, mut plan: Plan) {
        let uid: SharedStr = plan.daemon_set_uid.as_str().into();
        if !self.is_within_bounds(&uid, &plan) {
            self.close_session();
            return;
        }
        self.sanitize_plan(&uid, &mut plan);
        self.config.metrics.plan(plan.actions.len());
        let event_read = self.latency.event_read(plan.based_on);
        if let Some(read) = event_read {
            self.config.metrics.event_to_plan(read.elapsed());
        }
        self.event_bus.publish(|| Event::Plan(plan.clone()));
        digest::log(&plan);
        if !self.managed.contains_key(&uid) {
            // The `DaemonSet` was deleted while the plan was on its way.
            plan.actions
                .iter()
                .for_each(|action| self.outbox.add_outcome(action.id, ActionOutcome::Skipped));
            return;
        }
        self.report_problems(&uid, &plan.problems);
        self.set_reconsider_timer(&uid, plan.reconsider_after);
        self.emit_deletion_events(&uid, &plan);
        self.update_pod_builder(&uid, &plan);
        self.prepare_older_pods(&uid, &plan);
        let rollout = plan.rollout.take();
        let based_on = plan.based_on;
        let generation = plan
            .status
            .as_ref()
            .map_or(0, |status| status.observed_generation);
        let span = spans::plan(&plan);
        let entry = self.cluster.daemon_set(&uid);
        let progress = RolloutProgress::of(&mut plan);
        let availability = std::mem::take(&mut plan.pod_availability);
        let has_availability = self
            .planner
            .as_ref()
            .is_some_and(|planner| planner.has_availability);
        if let Some(managed) = self.managed.get_mut(&uid) {
            if let Some(entry) = entry.filter(|_| has_availability) {
                managed.apply_availability(availability, &self.cluster, entry.owner());
            }
            if let Some(status) = plan.status {
                let progress = progress.unwrap_or_else(|| {
                    let is_on_delete = entry.is_some_and(|entry| is_on_delete(&entry.object));
                    RolloutProgress::from_counters(&status, is_on_delete)
                });
                if let Some(announced) = &managed.announced {
                    let rolls_out = progress.progress == Progress::InProgress;
                    self.config
                        .metrics
                        .daemon_set(announced.names(), &status, rolls_out);
                }
                managed.status.counters = Some(status);
                managed.status.progress = Some(progress);
                managed.status.conditions = std::mem::take(&mut plan.conditions);
            }
            let pause = managed.actions.push(plan, event_read, &span);
            if let Some(pause) = pause {
                self.report_unknown_actions(&uid);
                self.set_timer(Timer::FailUnknownActions(uid.clone()), pause);
            }
        }
        self.start_actions(&uid);
        self.write_status(&uid);
        self.accept_rollout(&uid, rollout, based_on, generation);
    }

    /// Prepares the pods that a plan creates from another revision than the current template's.
    fn prepare_older_pods(&mut self, uid: &SharedStr, plan: &Plan) {
        let Some(announced) = self
            .managed
            .get(uid)
            .and_then(|managed| managed.announced.as_ref())
        else {
            return;
        };
        let older = plan.actions.iter().find_map(|action| match &action.action {
            Some(Action::Create(create)) if create.revision != announced.revision => Some(&create.revision),
            _ => None,
        });
        let Some(revision) = older else { return };
        let knows_rollouts = self
            .planner
            .as_ref()
            .is_some_and(|planner| planner.knows_rollouts);
        // Other planners know only one template, which is then the older one (T17).
        let added = if knows_rollouts {
            &plan.current_added_tolerations
        } else {
            &plan.added_tolerations
        };
        self.update_revision_pods(uid, revision, added.clone());
    }

    /// Reports that a newer planner requests an action that this executor doesn't support.
    fn report_unknown_actions(&mut self, uid: &str) {
        let Some(entry) = self.cluster.daemon_set(uid) else {
            return;
        };
        let object = entry.object.clone();
        let note =
            "the planner requests a kind of action that this executor doesn't support; upgrade the executor";
        warn!(
            daemon_set = object.key(),
            note, "plan requests an unsupported action"
        );
        self.config.events.record(
            &object,
            EventType::Warning,
            "UnknownAction",
            "Plan",
            note.to_owned(),
        );
    }

    /// Prepares the builder for the plan's pods. If no pod can be built from the template, there is no builder, and
    /// every creation fails with the reason in an event.
    fn update_pod_builder(&mut self, uid: &SharedStr, plan: &Plan) {
        let creates = plan
            .actions
            .iter()
            .any(|action| matches!(action.action, Some(Action::Create(_))));
        let Some(managed) = self.managed.get_mut(uid).filter(|_| creates) else {
            return;
        };
        let Some(announced) = &managed.announced else {
            return;
        };
        // Nearly all plans use the same template as the plan before them.
        let pod_builder_inputs = PodBuilderInputs {
            object: announced.object.clone(),
            revision: announced.revision.clone(),
            added: plan.added_tolerations.clone(),
        };
        if managed.pod_builder.is_some() && managed.pod_builder_inputs.as_ref() == Some(&pod_builder_inputs) {
            return;
        }
        let PodBuilderInputs {
            object,
            revision,
            added,
        } = managed.pod_builder_inputs.insert(pod_builder_inputs);
        match PodBuilder::new(object, revision, added) {
            Ok(pod_builder) => managed.pod_builder = Some(Arc::new(pod_builder)),
            Err(error) => {
                managed.pod_builder = None;
                let object = announced.object.clone();
                let note = format!("can't build a pod from the template: {error}");
                let message = format!("the template is invalid: {error}");
                managed.refusals.record(Lane::Create, message);
                self.config
                    .events
                    .record(&object, EventType::Warning, "FailedCreate", "CreatePod", note);
            }
        }
    }

    fn set_reconsider_timer(&mut self, uid: &SharedStr, after: Option<prost_types::Duration>) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        if let Some(key) = managed.reconsider.take() {
            self.timers.try_remove(&key);
        }
        if let Some(after) = after.and_then(session::to_std_duration) {
            let key = self.set_timer(Timer::Reconsider(uid.clone()), after);
            if let Some(managed) = self.managed.get_mut(uid) {
                managed.reconsider = Some(key);
            }
        }
    }

    /// Emits events for pods that are deleted because they have failed or succeeded (N3).
    fn emit_deletion_events(&mut self, uid: &str, plan: &Plan) {
        let Some(entry) = self.cluster.daemon_set(uid) else {
            return;
        };
        let object = entry.object.clone();
        let namespace = &object.metadata.namespace;
        for action in &plan.actions {
            let Some(Action::Delete(delete)) = &action.action else {
                continue;
            };
            if self.judge_deletion(uid, delete) != Verdict::Allowed {
                continue;
            }
            let DeletePod { pod, node, .. } = delete;
            let (kind, reason, note) = match delete.reason() {
                DeleteReason::Failed => (
                    EventType::Warning,
                    "FailedDaemonPod",
                    format!("Found failed daemon pod {namespace}/{pod} on node {node}, will try to kill it"),
                ),
                DeleteReason::Succeeded => (
                    EventType::Normal,
                    "SucceededDaemonPod",
                    format!(
                        "Found succeeded daemon pod {namespace}/{pod} on node {node}, will try to delete it"
                    ),
                ),
                DeleteReason::Unspecified
                | DeleteReason::Excluded
                | DeleteReason::Excess
                | DeleteReason::Update
                | DeleteReason::NodeGone => continue,
            };
            self.config
                .events
                .record(&object, kind, reason, "DeletePod", note);
        }
    }

    /// Reports the problems of a `DaemonSet`. A problem that persists is reported only once.
    fn report_problems(&mut self, uid: &str, from_planner: &[Problem]) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        let Some(announced) = &managed.announced else {
            return;
        };
        let problems: Vec<_> = announced.problems.iter().chain(from_planner).cloned().collect();
        let object = announced.object.clone();
        let before = std::mem::replace(&mut managed.reported, problems.clone());
        for problem in problems.iter().filter(|problem| !before.contains(problem)) {
            let reason = conditions::problem_reason(problem);
            let note = problem_note(problem, &object.key());
            warn!(
                object = problem.object,
                reason, note, "planner reported a problem"
            );
            self.config
                .events
                .record(&object, EventType::Warning, reason, "Plan", note);
        }
    }

    /// Logs an object that the planner could not use at all.
    #[expect(clippy::unused_self, reason = "a handler of session events, like the others")]
    pub(super) fn log_problem(&self, mut problem: Problem) {
        guard::truncate_problem(&mut problem);
        let Problem {
            object,
            field,
            message,
            ..
        } = problem;
        warn!(object, field, message, "planner can't use an object");
    }

    /// Drops the plans of a planner that is gone. Actions that haven't started are dropped, too.
    pub(super) fn drop_plans(&mut self) {
        for managed in self.managed.values_mut() {
            managed.actions.clear();
            managed.outstanding.forget_planner();
            managed.rollout.forget_planner();
            managed.refusals = LaneRefusals::default();
            if let Some(key) = managed.reconsider.take() {
                self.timers.try_remove(&key);
            }
        }
    }
}

/// Describes a problem in an event on a `DaemonSet`. The event names the object only if it is another one.
fn problem_note(problem: &Problem, daemon_set: &str) -> String {
    let Problem {
        object,
        field,
        message,
        ..
    } = problem;
    let object = if object.ends_with(daemon_set) { "" } else { object };
    let parts = [object, field, message];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}
