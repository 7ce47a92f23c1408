//! Handles incoming plans.

use std::sync::Arc;

use everynode_proto::{
    executor::v1::watch_plans_response::Event,
    planner::v1::{
        ActionOutcome, DeletePod, DeleteReason, Plan, Problem, ProblemCode, Progress, action::Action,
    },
};
use tracing::warn;

use super::{
    Controller, Timer, digest,
    managed::{Ingredients, Refusals},
    spans,
};
use crate::{
    apply::Lane, cluster::Text, events::Kind, guard, guard::Verdict, pod::Recipe, session,
    status::RolloutProgress, view::is_on_delete,
};

impl Controller {
    pub(super) fn take_plan(&mut self, mut plan: Plan) {
        let uid: Text = plan.daemon_set_uid.as_str().into();
        if !self.is_within_bounds(&uid, &plan) {
            self.leave_planner();
            return;
        }
        self.confine(&uid, &mut plan);
        self.parts.metrics.plan(plan.actions.len());
        let event_read = self.latency.of(plan.based_on);
        if let Some(read) = event_read {
            self.parts.metrics.event_to_plan(read.elapsed());
        }
        self.news.tell(|| Event::Plan(plan.clone()));
        digest::log(&plan);
        if !self.managed.contains_key(&uid) {
            // The `DaemonSet` was deleted while the plan was on its way.
            plan.actions
                .iter()
                .for_each(|action| self.outbox.add_done(action.id, ActionOutcome::Skipped));
            return;
        }
        self.report_all(&uid, &plan.problems);
        self.remember_time(&uid, plan.reconsider_after);
        self.announce_deletions(&uid, &plan);
        self.take_recipe(&uid, &plan);
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
                    self.parts
                        .metrics
                        .daemon_set(announced.names(), &status, rolls_out);
                }
                managed.status.wanted = Some(status);
                managed.status.progress = Some(progress);
                managed.status.conditions = std::mem::take(&mut plan.conditions);
            }
            let pause = managed.applier.push(plan, event_read, &span);
            if let Some(pause) = pause {
                self.say_unknown(&uid);
                self.set_timer(Timer::GiveBack(uid.clone()), pause);
            }
        }
        self.start_actions(&uid);
        self.write_status(&uid);
    }

    /// Reports that a newer planner asks for an action that this executor can't carry out.
    fn say_unknown(&mut self, uid: &str) {
        let Some(entry) = self.cluster.daemon_set(uid) else {
            return;
        };
        let object = entry.object.clone();
        let note =
            "the planner asks for a kind of action that this executor doesn't know: upgrade the executor";
        warn!(daemon_set = object.key(), note, "an action can't be carried out");
        self.parts
            .events
            .say(&object, Kind::Warning, "UnknownAction", "Plan", note.to_owned());
    }

    /// Prepares the recipe for the plan's pods. If no pod can be made from the template, there is no recipe, and every
    /// creation fails with the reason in an event.
    fn take_recipe(&mut self, uid: &Text, plan: &Plan) {
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
        // Nearly all plans use the same template as the one before.
        let ingredients = Ingredients {
            object: announced.object.clone(),
            revision: announced.revision.clone(),
            added: plan.added_tolerations.clone(),
        };
        if managed.recipe.is_some() && managed.ingredients.as_ref() == Some(&ingredients) {
            return;
        }
        let Ingredients {
            object,
            revision,
            added,
        } = managed.ingredients.insert(ingredients);
        match Recipe::new(object, revision, added) {
            Ok(recipe) => managed.recipe = Some(Arc::new(recipe)),
            Err(fault) => {
                managed.recipe = None;
                let object = announced.object.clone();
                let note = format!("no pod can be made from the template: {fault}");
                let words = format!("none can be made from the template: {fault}");
                managed.refusals.note(Lane::Create, words);
                self.parts
                    .events
                    .say(&object, Kind::Warning, "FailedCreate", "CreatePod", note);
            }
        }
    }

    fn remember_time(&mut self, uid: &Text, after: Option<prost_types::Duration>) {
        let Some(managed) = self.managed.get_mut(uid) else {
            return;
        };
        if let Some(key) = managed.reconsider.take() {
            self.timers.try_remove(&key);
        }
        if let Some(after) = after.and_then(session::wait) {
            let key = self.set_timer(Timer::Reconsider(uid.clone()), after);
            if let Some(managed) = self.managed.get_mut(uid) {
                managed.reconsider = Some(key);
            }
        }
    }

    /// Emits events for pods that are deleted because they have failed or succeeded (N3).
    fn announce_deletions(&mut self, uid: &str, plan: &Plan) {
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
                    Kind::Warning,
                    "FailedDaemonPod",
                    format!("Found failed daemon pod {namespace}/{pod} on node {node}, will try to kill it"),
                ),
                DeleteReason::Succeeded => (
                    Kind::Normal,
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
            self.parts.events.say(&object, kind, reason, "DeletePod", note);
        }
    }

    /// Reports the problems of a `DaemonSet`, each one once for as long as it lasts.
    fn report_all(&mut self, uid: &str, from_planner: &[Problem]) {
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
            let reason = reason(problem);
            let note = format!("{}: {}", problem.field, problem.message);
            warn!(
                object = problem.object,
                reason, note, "the planner has found a problem"
            );
            self.parts
                .events
                .say(&object, Kind::Warning, reason, "Plan", note);
        }
    }

    /// Logs an object that the planner could not use at all.
    #[expect(
        clippy::unused_self,
        reason = "one of the loop's answers to what a session brings"
    )]
    pub(super) fn report(&self, mut problem: Problem) {
        guard::problem(&mut problem);
        let Problem {
            object,
            field,
            message,
            ..
        } = problem;
        warn!(object, field, message, "the planner can't use an object");
    }

    /// Drops the plans of a planner that is gone. Actions that haven't started never start.
    pub(super) fn void_plans(&mut self) {
        for managed in self.managed.values_mut() {
            managed.applier.clear();
            managed.outstanding.forget_planner();
            managed.refusals = Refusals::default();
            if let Some(key) = managed.reconsider.take() {
                self.timers.try_remove(&key);
            }
        }
    }
}

/// The reason with which events and conditions report a problem.
pub(super) fn reason(problem: &Problem) -> &'static str {
    match problem.code() {
        ProblemCode::SelectsEverything => "SelectingAll",
        ProblemCode::MalformedTerm => "MalformedNodeAffinity",
        ProblemCode::Malformed => "MalformedField",
        ProblemCode::UnknownRevision | ProblemCode::UnknownOverhead | ProblemCode::Unspecified => {
            "PlannerProblem"
        }
    }
}
