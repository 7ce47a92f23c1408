//! How actions start, and how they end.

use everynode_render::ErrorChain;
use std::{fmt, sync::Arc};

use everynode_proto::{
    executor::v1::{self as wire, watch_plans_response::Event},
    planner::v1::{ActionOutcome, CreatePod, DeletePod},
};
use tokio::time::Instant;
use tracing::{Instrument, debug, info};

use super::{Answer, Controller, Timer, managed::Managed, spans};
use crate::{
    actions::{
        action::{self, Came, Carried},
        apply::{Ended, Lane, Ready},
    },
    apiserver::{events::Kind, failure::ApiError, objects::DaemonSet},
    cluster::Text,
    live_view::event_bus::EventBus,
    planner::guard::Verdict,
    pods::pod::Recipe,
    telemetry::metrics::{ActionKind, Outcome},
};

/// Message about an action that was not tried.
const NEEDLESS: &str = "Not needed any more";

/// An action's end.
#[derive(Debug)]
pub(super) struct ActionEnded {
    daemon_set: Text,
    /// The object that the action was for; it may be gone by now.
    object: Arc<DaemonSet>,
    lane: Lane,
    id: u64,
    /// The session that asked for it. It tells whether the planner is still the same.
    session: u64,
    /// The node that the action concerns.
    node: String,
    /// The pod, for a deletion.
    pod: Option<DeletePod>,
    /// When the event that led to the action was read, if an event did.
    event_read: Option<Instant>,
    carried: Carried,
}

impl Controller {
    /// Starts all actions that may start now.
    pub(super) fn start_actions(&mut self, uid: &Text) {
        while let Some(ready) = self
            .managed
            .get_mut(uid)
            .and_then(|managed| managed.applier.next_create())
        {
            match self.recipe_for(uid, &ready.action) {
                Some((object, recipe)) => match self.judge_creation(uid, &ready.action) {
                    Verdict::Allowed => self.start_create(uid, object, recipe, ready),
                    Verdict::Needless => self.skip(uid, Lane::Create, ready.id, &ready.action.node),
                    Verdict::Violation(violation) => {
                        self.reject(uid, Lane::Create, &ready, &ready.action.node, violation);
                    }
                },
                None if self.has_no_recipe(uid) => {
                    self.refuse(uid, Lane::Create, ready.id, &ready.action.node);
                }
                None => self.skip(uid, Lane::Create, ready.id, &ready.action.node),
            }
        }
        while let Some(ready) = self
            .managed
            .get_mut(uid)
            .and_then(|managed| managed.applier.next_delete())
        {
            let object = self.cluster.daemon_set(uid).map(|entry| entry.object.clone());
            match (object, self.judge_deletion(uid, &ready.action)) {
                (Some(object), Verdict::Allowed) => self.start_delete(uid, object, ready),
                (_, Verdict::Violation(violation)) => {
                    self.reject(uid, Lane::Delete, &ready, &ready.action.node, violation);
                }
                (None, _) | (_, Verdict::Needless) => {
                    self.skip(uid, Lane::Delete, ready.id, &ready.action.node);
                }
            }
        }
    }

    /// The recipe for a pod, if the pod is still wanted: since the plan, its node may have gone or its template may
    /// have changed.
    fn recipe_for(&self, uid: &str, action: &CreatePod) -> Option<(Arc<DaemonSet>, Arc<Recipe>)> {
        let managed = self.managed.get(uid)?;
        let announced = managed
            .announced
            .as_ref()
            .filter(|announced| announced.revision == action.revision)?;
        self.cluster.node(&action.node)?;
        // The template may have changed back and forth, so the recipe must be for exactly this revision.
        let recipe = managed
            .recipe
            .as_ref()
            .filter(|recipe| recipe.revision() == action.revision)?;
        Some((announced.object.clone(), recipe.clone()))
    }

    /// Whether the last plan that makes pods found a template that no pod can be made from.
    fn has_no_recipe(&self, uid: &str) -> bool {
        self.managed
            .get(uid)
            .is_some_and(|managed| managed.recipe.is_none())
    }

    /// Ends an action that can't be carried out as if the server had refused it, so that the planner doesn't ask for
    /// it again at once.
    pub(super) fn refuse(&mut self, uid: &Text, lane: Lane, id: u64, node: &str) {
        self.parts.metrics.action(kind(lane), Outcome::Refused);
        self.tell_end(uid, id, ActionOutcome::Failed, |managed| {
            let words = managed.refusals.get(lane).map(|refused| refused.words.as_str());
            format!("{}: {} (node {node})", failed(lane), words.unwrap_or_default())
        });
        self.call_ended(uid, lane, Some(id), Ended::Refused);
        self.write_status(uid);
    }

    fn call_ended(&mut self, uid: &Text, lane: Lane, id: Option<u64>, how: Ended) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        let has_succeeded = matches!(how, Ended::Smoothly | Ended::WithPressure);
        // A call that began before the lane was closed says nothing about the reason for closing it.
        if has_succeeded && !managed.applier.load(lane).is_closed {
            *managed.refusals.of(lane) = None;
        }
        if let Some(pause) = managed.applier.ended(lane, id, how) {
            // Lanes of many DaemonSets that closed together should not open together.
            let pause = pause.mul_f64(0.8 + 0.4 * fastrand::f64());
            debug!(%uid, ?lane, ?pause, "waiting after a refusal");
            if let Some(refused) = managed.refusals.of(lane) {
                refused.until = Instant::now() + pause;
            }
            self.set_timer(Timer::Open(uid.clone(), lane), pause);
        }
    }

    fn skip(&mut self, uid: &Text, lane: Lane, id: u64, node: &str) {
        if let Some(managed) = self.managed.get_mut(uid) {
            managed.applier.ended(lane, Some(id), Ended::Needless);
        }
        self.parts.metrics.action(kind(lane), Outcome::Skipped);
        self.tell_end(uid, id, ActionOutcome::Skipped, |_| {
            format!("{NEEDLESS} (node {node})")
        });
        self.end_action(uid, id, ActionOutcome::Skipped);
    }

    /// Tells watches that an action that was never begun has ended.
    fn tell_end(&self, uid: &str, id: u64, outcome: ActionOutcome, words: impl FnOnce(&Managed) -> String) {
        let (Some(managed), Some(entry)) = (self.managed.get(uid), self.cluster.daemon_set(uid)) else {
            return;
        };
        self.event_bus
            .publish(|| ended(&entry.object, id, outcome, words(managed)));
    }

    fn start_create(
        &mut self,
        uid: &Text,
        object: Arc<DaemonSet>,
        recipe: Arc<Recipe>,
        ready: Ready<CreatePod>,
    ) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        let (api, stop, uid) = (self.parts.api.clone(), managed.stop.clone(), uid.clone());
        let (session, node) = (self.session, ready.action.node.clone());
        managed.outstanding.creation_begins(&node);
        let span = spans::create(&ready);
        self.calls.spawn(async move {
            let carried = action::create(api, object.clone(), recipe, ready.action, stop)
                .instrument(span.clone())
                .await;
            spans::came(&span, &carried);
            let (lane, id, event_read) = (Lane::Create, ready.id, ready.event_read);
            Answer::Action(Box::new(ActionEnded {
                daemon_set: uid,
                object,
                lane,
                id,
                session,
                node,
                pod: None,
                event_read,
                carried,
            }))
        });
    }

    fn start_delete(&mut self, uid: &Text, object: Arc<DaemonSet>, ready: Ready<DeletePod>) {
        let Some(managed) = self.managed.get(uid) else {
            return;
        };
        let (api, stop, uid) = (self.parts.api.clone(), managed.stop.clone(), uid.clone());
        let (session, node) = (self.session, ready.action.node.clone());
        let span = spans::delete(&ready);
        self.calls.spawn(async move {
            let (namespace, pod) = (object.metadata.namespace.clone(), Some(ready.action.clone()));
            let carried = action::delete(api, namespace, ready.action, stop)
                .instrument(span.clone())
                .await;
            spans::came(&span, &carried);
            let (lane, id, event_read) = (Lane::Delete, ready.id, ready.event_read);
            Answer::Action(Box::new(ActionEnded {
                daemon_set: uid,
                object,
                lane,
                id,
                session,
                node,
                pod,
                event_read,
                carried,
            }))
        });
    }

    pub(super) fn action_ended(&mut self, action: ActionEnded) {
        let ActionEnded {
            daemon_set: uid,
            object,
            lane,
            id,
            session,
            node,
            pod,
            event_read,
            carried,
        } = action;
        let smooth = if carried.with_pressure {
            Ended::WithPressure
        } else {
            Ended::Smoothly
        };
        // Another planner has given its own actions the same ids.
        let is_current = session == self.session;
        let publish = |event_bus: &EventBus, outcome, words: &dyn fmt::Display| {
            if is_current {
                event_bus.publish(|| ended(&object, id, outcome, words.to_string()));
            }
        };
        let (how, outcome) = match carried.came {
            Came::Created(created) => {
                self.cluster.wrote_pod(&created);
                let note = format!("Created pod: {}", created.metadata.name);
                publish(
                    &self.event_bus,
                    ActionOutcome::Done,
                    &format_args!("{note} on node {node}"),
                );
                self.parts
                    .events
                    .say(&object, Kind::Normal, "SuccessfulCreate", "CreatePod", note);
                (smooth, Outcome::Done)
            }
            Came::Deleting | Came::Gone => {
                if let Some(pod) = pod {
                    self.cluster
                        .deleted_pod(&pod.uid, matches!(carried.came, Came::Gone));
                    let note = format!("Deleted pod: {}", pod.pod);
                    publish(
                        &self.event_bus,
                        ActionOutcome::Done,
                        &format_args!("{note} on node {node}"),
                    );
                    self.parts
                        .events
                        .say(&object, Kind::Normal, "SuccessfulDelete", "DeletePod", note);
                }
                (smooth, Outcome::Done)
            }
            Came::Refused(error) => {
                let note = note(lane, &error);
                publish(
                    &self.event_bus,
                    ActionOutcome::Failed,
                    &format_args!("{note} (node {node})"),
                );
                self.report_refusal(&object, lane, &error, note);
                if let Some(managed) = self.managed.get_mut(&uid).filter(|_| is_current) {
                    managed.refusals.note(lane, words(&error));
                }
                (Ended::Refused, Outcome::Refused)
            }
            Came::GivenUp => {
                publish(
                    &self.event_bus,
                    ActionOutcome::Skipped,
                    &format_args!("{NEEDLESS} (node {node})"),
                );
                (Ended::Needless, Outcome::Skipped)
            }
        };
        if let (Lane::Create, Some(managed)) = (lane, self.managed.get_mut(&uid)) {
            managed.outstanding.creation_ended(&node);
        }
        self.parts.metrics.action(kind(lane), outcome);
        if let (Some(read), Outcome::Done) = (event_read, outcome) {
            self.parts.metrics.event_to_action(read.elapsed());
        }
        if !self.managed.contains_key(&uid) {
            return;
        }
        self.call_ended(&uid, lane, is_current.then_some(id), how);
        if is_current && outcome == Outcome::Refused {
            self.write_status(&uid);
        }
        if is_current {
            match outcome {
                Outcome::Done => self.end_action(&uid, id, ActionOutcome::Done),
                Outcome::Skipped => self.end_action(&uid, id, ActionOutcome::Skipped),
                // The planner hears of it when the lane opens again.
                Outcome::Refused => {}
            }
        }
        self.start_actions(&uid);
    }

    fn report_refusal(&mut self, object: &DaemonSet, lane: Lane, error: &ApiError, note: String) {
        let key = object.key();
        info!(daemon_set = key, ?lane, %error, "the API server refused");
        if error.is_namespace_terminating() {
            // Nothing can be written to the namespace any more, not even an event.
            return;
        }
        let (reason, action) = match lane {
            Lane::Create => ("FailedCreate", "CreatePod"),
            Lane::Delete => ("FailedDelete", "DeletePod"),
        };
        self.parts.events.say(object, Kind::Warning, reason, action, note);
    }

    /// Opens a lane again.
    pub(super) fn open_lane(&mut self, uid: &Text, lane: Lane) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        for id in managed.applier.open(lane) {
            self.end_action(uid, id, ActionOutcome::Failed);
        }
        self.start_actions(uid);
    }

    /// Tells the planner that the actions that can't be carried out have failed, as if the server had refused them.
    pub(super) fn give_back(&mut self, uid: &Text) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        for id in managed.applier.give_back() {
            self.end_action(uid, id, ActionOutcome::Failed);
        }
    }
}

fn failed(lane: Lane) -> &'static str {
    match lane {
        Lane::Create => "Error creating",
        Lane::Delete => "Error deleting",
    }
}

/// Describes what stands in an action's way, for events and for watches.
fn note(lane: Lane, error: &ApiError) -> String {
    format!("{}: {}", failed(lane), ErrorChain(error))
}

/// Gives the same error as the reason why there is no pod, or why there still is one.
fn words(error: &ApiError) -> String {
    match error {
        ApiError::Refused(_) => format!("the API server refuses: {error}"),
        // The other errors say themselves whose answer it was.
        _ => ErrorChain(error).to_string(),
    }
}

fn ended(object: &DaemonSet, action_id: u64, outcome: ActionOutcome, message: String) -> Event {
    Event::ActionEnded(wire::ActionEnded {
        daemon_set: object.key(),
        action_id,
        outcome: outcome.into(),
        message,
    })
}

fn kind(lane: Lane) -> ActionKind {
    match lane {
        Lane::Create => ActionKind::Create,
        Lane::Delete => ActionKind::Delete,
    }
}
