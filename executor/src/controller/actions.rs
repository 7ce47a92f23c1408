//! Starts actions and handles their results.

mod messages;

use std::{fmt, sync::Arc};

use everynode_proto::planner::v1::{ActionOutcome, CreatePod, DeletePod};
use everynode_render::ErrorChain;
use tokio::time::Instant;
use tracing::{Instrument, debug, info};

use self::messages::{action_ended_event, error_note, error_prefix, metric_kind, refusal_message};
use super::{CallResult, Controller, Timer, managed::ManagedDaemonSet, spans};
use crate::{
    actions::{
        action::{self, ActionReport, ActionResult},
        queue::{CallOutcome, Lane, ReadyAction},
    },
    apiserver::{events::EventType, failure::ApiError, objects::DaemonSet},
    cluster::SharedStr,
    live_view::event_bus::EventBus,
    planner::guard::Verdict,
    pods::revision_pods::PodSource,
    telemetry::metrics::Outcome,
};

/// Message about an action that was not attempted.
const NOT_NEEDED: &str = "No longer needed";

/// An action that has ended.
#[derive(Debug)]
pub(super) struct FinishedAction {
    daemon_set: SharedStr,
    /// The object that the action was for; it may be gone by now.
    object: Arc<DaemonSet>,
    lane: Lane,
    id: u64,
    /// The session whose plan requested the action. A later session isn't told the result.
    session: u64,
    /// The node that the action concerns.
    node: String,
    /// The pod, for a deletion.
    pod: Option<DeletePod>,
    /// When the event that led to the action was read, if an event did.
    event_read: Option<Instant>,
    report: ActionReport,
}

impl Controller {
    /// Starts all actions that may start now.
    pub(super) fn start_actions(&mut self, uid: &SharedStr) {
        while let Some(ready) = self
            .managed
            .get_mut(uid)
            .and_then(|managed| managed.actions.next_create())
        {
            match self.pod_builder_for(uid, &ready.action) {
                Some((object, source)) => match self.judge_creation(uid, &ready.action) {
                    Verdict::Allowed => self.start_create(uid, object, source, ready),
                    Verdict::Obsolete => self.skip_action(uid, Lane::Create, ready.id, &ready.action.node),
                    Verdict::Violation(violation) => {
                        self.reject_action(uid, Lane::Create, &ready, &ready.action.node, violation);
                    }
                },
                None if self.has_bad_template(uid, &ready.action) => {
                    self.refuse_action(uid, Lane::Create, ready.id, &ready.action.node);
                }
                None => self.skip_action(uid, Lane::Create, ready.id, &ready.action.node),
            }
        }
        while let Some(ready) = self
            .managed
            .get_mut(uid)
            .and_then(|managed| managed.actions.next_delete())
        {
            let object = self.cluster.daemon_set(uid).map(|entry| entry.object.clone());
            match (object, self.judge_deletion(uid, &ready.action)) {
                (Some(object), Verdict::Allowed) => self.start_delete(uid, object, ready),
                (_, Verdict::Violation(violation)) => {
                    self.reject_action(uid, Lane::Delete, &ready, &ready.action.node, violation);
                }
                (None, _) | (_, Verdict::Obsolete) => {
                    self.skip_action(uid, Lane::Delete, ready.id, &ready.action.node);
                }
            }
        }
    }

    /// Returns the builder for a pod if the pod is still wanted. Since the plan was made, the node may have gone or the
    /// template may have changed.
    fn pod_builder_for(&self, uid: &str, action: &CreatePod) -> Option<(Arc<DaemonSet>, PodSource)> {
        let managed = self.managed.get(uid)?;
        let announced = managed.announced.as_ref()?;
        self.cluster.node(&action.node)?;
        if announced.revision != action.revision {
            // The pod of a node that a rollout hasn't released.
            let pods = managed.revision_pods.as_ref();
            let pods = pods.filter(|pods| pods.hash() == action.revision)?;
            return Some((announced.object.clone(), PodSource::Revision(pods.clone())));
        }
        // The template may have changed back and forth, so the builder must be for exactly this revision.
        let pod_builder = managed
            .pod_builder
            .as_ref()
            .filter(|pod_builder| pod_builder.revision() == action.revision)?;
        Some((announced.object.clone(), PodSource::Template(pod_builder.clone())))
    }

    /// Whether no pod can be built from the template, as found when the last plan with creations arrived.
    fn has_bad_template(&self, uid: &str, action: &CreatePod) -> bool {
        self.managed.get(uid).is_some_and(|managed| {
            let announced = managed.announced.as_ref();
            managed.pod_builder.is_none()
                && announced.is_none_or(|announced| announced.revision == action.revision)
        })
    }

    /// Ends an action that can't be carried out. The action counts as refused by the server, so that the planner
    /// doesn't request it again immediately.
    pub(super) fn refuse_action(&mut self, uid: &SharedStr, lane: Lane, id: u64, node: &str) {
        self.config.metrics.action(metric_kind(lane), Outcome::Refused);
        self.publish_end(uid, id, ActionOutcome::Failed, |managed| {
            let message = managed.refusals.get(lane).map(|refused| refused.message.as_str());
            format!(
                "{}: {} (node {node})",
                error_prefix(lane),
                message.unwrap_or_default()
            )
        });
        self.update_lane(uid, lane, Some(id), CallOutcome::Refused);
        self.write_status(uid);
    }

    fn update_lane(&mut self, uid: &SharedStr, lane: Lane, id: Option<u64>, outcome: CallOutcome) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        let has_succeeded = matches!(
            outcome,
            CallOutcome::Succeeded | CallOutcome::SucceededAfterRetries
        );
        // A call that began before the lane closed doesn't show that the reason for closing it is gone.
        if has_succeeded && !managed.actions.load(lane).is_closed {
            *managed.refusals.get_mut(lane) = None;
        }
        if let Some(pause) = managed.actions.on_finished(lane, id, outcome) {
            // Lanes of many DaemonSets that closed together should not open together.
            let pause = pause.mul_f64(0.8 + 0.4 * fastrand::f64());
            let daemon_set = self.cluster.daemon_set(uid).map(|entry| entry.object.key());
            debug!(daemon_set, ?lane, ?pause, "lane closed after a refusal");
            if let Some(refused) = managed.refusals.get_mut(lane) {
                refused.until = Instant::now() + pause;
            }
            self.set_timer(Timer::OpenLane(uid.clone(), lane), pause);
        }
        if lane == Lane::Create {
            self.resume_merge(uid);
        }
    }

    fn skip_action(&mut self, uid: &SharedStr, lane: Lane, id: u64, node: &str) {
        if let Some(managed) = self.managed.get_mut(uid) {
            managed.actions.on_finished(lane, Some(id), CallOutcome::Skipped);
        }
        self.config.metrics.action(metric_kind(lane), Outcome::Skipped);
        self.publish_end(uid, id, ActionOutcome::Skipped, |_| {
            format!("{NOT_NEEDED} (node {node})")
        });
        self.end_action(uid, id, ActionOutcome::Skipped);
    }

    /// Publishes the end of an action that never started.
    fn publish_end(
        &self,
        uid: &str,
        id: u64,
        outcome: ActionOutcome,
        message: impl FnOnce(&ManagedDaemonSet) -> String,
    ) {
        let (Some(managed), Some(entry)) = (self.managed.get(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        self.event_bus
            .publish(|| action_ended_event(&entry.object, id, outcome, message(managed)));
    }

    fn start_create(
        &mut self,
        uid: &SharedStr,
        object: Arc<DaemonSet>,
        source: PodSource,
        ready: ReadyAction<CreatePod>,
    ) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        let (api, stop, uid) = (self.config.api.clone(), managed.stop.clone(), uid.clone());
        let (session, node) = (self.session, ready.action.node.clone());
        managed.outstanding.on_creation_started(&node);
        let span = spans::create(&ready);
        self.calls.spawn(async move {
            let report = match source.builder(&api).await {
                Ok(builder) => {
                    action::create(api, object.clone(), builder, ready.action, stop)
                        .instrument(span.clone())
                        .await
                }
                Err(error) => ActionReport {
                    result: ActionResult::Refused(error),
                    was_retried: false,
                },
            };
            spans::record_result(&span, &report);
            let (lane, id, event_read) = (Lane::Create, ready.id, ready.event_read);
            CallResult::Action(Box::new(FinishedAction {
                daemon_set: uid,
                object,
                lane,
                id,
                session,
                node,
                pod: None,
                event_read,
                report,
            }))
        });
    }

    fn start_delete(&mut self, uid: &SharedStr, object: Arc<DaemonSet>, ready: ReadyAction<DeletePod>) {
        let Some(managed) = self.managed.get(uid) else {
            return;
        };
        let (api, stop, uid) = (self.config.api.clone(), managed.stop.clone(), uid.clone());
        let (session, node) = (self.session, ready.action.node.clone());
        let span = spans::delete(&ready);
        self.calls.spawn(async move {
            let (namespace, pod) = (object.metadata.namespace.clone(), Some(ready.action.clone()));
            let report = action::delete(api, namespace, ready.action, stop)
                .instrument(span.clone())
                .await;
            spans::record_result(&span, &report);
            let (lane, id, event_read) = (Lane::Delete, ready.id, ready.event_read);
            CallResult::Action(Box::new(FinishedAction {
                daemon_set: uid,
                object,
                lane,
                id,
                session,
                node,
                pod,
                event_read,
                report,
            }))
        });
    }

    pub(super) fn on_action_finished(&mut self, action: FinishedAction) {
        let FinishedAction {
            daemon_set: uid,
            object,
            lane,
            id,
            session,
            node,
            pod,
            event_read,
            report,
        } = action;
        let succeeded = if report.was_retried {
            CallOutcome::SucceededAfterRetries
        } else {
            CallOutcome::Succeeded
        };
        // Another planner may have given its own actions the same ids.
        let is_current = session == self.session;
        let publish = |event_bus: &EventBus, outcome, message: &dyn fmt::Display| {
            if is_current {
                event_bus.publish(|| action_ended_event(&object, id, outcome, message.to_string()));
            }
        };
        let (call_outcome, outcome) = match report.result {
            ActionResult::Created(created) => {
                self.cluster.apply_written_pod(&created);
                let note = format!("Created pod: {}", created.metadata.name);
                publish(
                    &self.event_bus,
                    ActionOutcome::Done,
                    &format_args!("{note} on node {node}"),
                );
                self.config
                    .events
                    .record(&object, EventType::Normal, "SuccessfulCreate", "CreatePod", note);
                (succeeded, Outcome::Done)
            }
            ActionResult::Deleting | ActionResult::Gone => {
                if let Some(pod) = pod {
                    self.cluster
                        .apply_pod_deletion(&pod.uid, matches!(report.result, ActionResult::Gone));
                    let note = format!("Deleted pod: {}", pod.pod);
                    publish(
                        &self.event_bus,
                        ActionOutcome::Done,
                        &format_args!("{note} on node {node}"),
                    );
                    self.config.events.record(
                        &object,
                        EventType::Normal,
                        "SuccessfulDelete",
                        "DeletePod",
                        note,
                    );
                }
                (succeeded, Outcome::Done)
            }
            ActionResult::Refused(error) => {
                let note = error_note(lane, &error);
                publish(
                    &self.event_bus,
                    ActionOutcome::Failed,
                    &format_args!("{note} (node {node})"),
                );
                self.report_refusal(&object, lane, &error, note);
                if let Some(managed) = self.managed.get_mut(&uid).filter(|_| is_current) {
                    managed.refusals.record(lane, refusal_message(&error));
                }
                (CallOutcome::Refused, Outcome::Refused)
            }
            ActionResult::Cancelled => {
                publish(
                    &self.event_bus,
                    ActionOutcome::Skipped,
                    &format_args!("{NOT_NEEDED} (node {node})"),
                );
                (CallOutcome::Skipped, Outcome::Skipped)
            }
        };
        if let (Lane::Create, Some(managed)) = (lane, self.managed.get_mut(&uid)) {
            managed.outstanding.on_creation_ended(&node);
        }
        self.config.metrics.action(metric_kind(lane), outcome);
        if let (Some(read), Outcome::Done) = (event_read, outcome) {
            self.config.metrics.event_to_action(read.elapsed());
        }
        if !self.managed.contains_key(&uid) {
            // The event about the action has created a rate limit for a `DaemonSet` that is already forgotten.
            self.config.events.forget(&uid);
            return;
        }
        self.update_lane(&uid, lane, is_current.then_some(id), call_outcome);
        if is_current {
            match outcome {
                Outcome::Done => self.end_action(&uid, id, ActionOutcome::Done),
                Outcome::Skipped => self.end_action(&uid, id, ActionOutcome::Skipped),
                // The planner learns of it when the lane opens again.
                Outcome::Refused => self.write_status(&uid),
            }
        }
        self.start_actions(&uid);
    }

    fn report_refusal(&mut self, object: &DaemonSet, lane: Lane, error: &ApiError, note: String) {
        info!(daemon_set = object.key(), ?lane, error = %ErrorChain(error), "action refused by the API server");
        if error.is_namespace_terminating() {
            // Nothing can be written to the namespace any more, not even an event.
            return;
        }
        let (reason, action) = match lane {
            Lane::Create => ("FailedCreate", "CreatePod"),
            Lane::Delete => ("FailedDelete", "DeletePod"),
        };
        self.config
            .events
            .record(object, EventType::Warning, reason, action, note);
    }

    /// Opens a lane again.
    pub(super) fn open_lane(&mut self, uid: &SharedStr, lane: Lane) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        for id in managed.actions.open(lane) {
            self.end_action(uid, id, ActionOutcome::Failed);
        }
        self.start_actions(uid);
    }

    /// Reports actions of unknown kinds to the planner as failed, as if the server had refused them.
    pub(super) fn fail_unknown_actions(&mut self, uid: &SharedStr) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        for id in managed.actions.take_unknown() {
            self.end_action(uid, id, ActionOutcome::Failed);
        }
    }
}
