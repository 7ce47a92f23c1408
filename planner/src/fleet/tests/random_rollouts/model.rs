//! What must hold of every plan, written down from what a policy promises and not from how the planner keeps it.

mod budgets;
mod memory;

use std::collections::BTreeSet;

use super::world::{Set, World, admits};
use crate::{
    decide::rollout::staging,
    fleet::RowPlan,
    model::{
        Action, DeleteReason, Node, Pod, Strategy, Text,
        rollout::{Knowledge, Memory, PolicySpec, Stage, StageMemory, StageSize, State},
    },
    testing::seconds,
};

/// A `DaemonSet` as the planner has seen it when it planned, and the plan.
pub(super) struct View<'w> {
    world: &'w World,
    set: &'w Set,
    plan: &'w RowPlan,
    /// The uids of the pods that are on their way out: their deletion is in flight.
    leaving: BTreeSet<&'w Text>,
}

/// Checks a plan for one of the `DaemonSet`s.
pub(super) fn check(world: &World, position: usize, plan: &RowPlan) -> Result<(), String> {
    let set = &world.sets[position];
    let leaving = set.pending.values().filter_map(|action| match action {
        Action::Delete { uid, .. } => Some(uid),
        Action::Create { .. } => None,
    });
    let view = View {
        world,
        set,
        plan,
        leaving: leaving.collect(),
    };
    view.check_owner()?;
    if !view.is_governed() {
        return Ok(());
    }
    view.check_replacements()?;
    view.check_creations()?;
    budgets::check(&view)?;
    memory::check(&view)
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl<'w> View<'w> {
    fn update(&self) -> &'w Text {
        &self.set.daemon_set.update_revision
    }

    fn memory(&self) -> Option<&'w Memory> {
        let memory = self.set.memory.as_ref();
        memory.filter(|memory| !memory.update.is_empty())
    }

    /// What is remembered, if it is about the current template.
    fn rollout(&self) -> Option<&'w Memory> {
        self.memory().filter(|memory| memory.update == *self.update())
    }

    /// The policy that applies, if it is known and has no mistake.
    fn spec(&self) -> Option<&'w PolicySpec> {
        let policy = self.set.policy.as_ref()?;
        (self.world.knowledge == Knowledge::Known).then_some(policy.spec.as_deref().ok()?)
    }

    /// Whether somebody has promoted all stages of a rollout without a policy, which is over then.
    fn is_let_go(&self, memory: &Memory) -> bool {
        let has_none = match self.world.knowledge {
            Knowledge::Absent => true,
            Knowledge::Known => self.set.policy.is_none(),
            Knowledge::Unknown => false,
        };
        has_none
            && memory.rollout > 0
            && self.set.verbs.promote_full == memory.rollout
            && matches!(memory.state, State::Waiting | State::Progressing)
    }

    /// Whether a policy or an unfinished rollout says how pods are replaced.
    fn is_governed(&self) -> bool {
        let is_unfinished = self
            .memory()
            .is_some_and(|memory| memory.state != State::Completed);
        match self.world.knowledge {
            Knowledge::Unknown => true,
            Knowledge::Known => self.set.policy.is_some() || is_unfinished,
            Knowledge::Absent => is_unfinished,
        }
    }

    fn is_surge(&self) -> bool {
        matches!(self.set.daemon_set.strategy, Strategy::RollingUpdate { max_surge, .. } if max_surge.of(1) > 0)
    }

    fn is_paused(&self) -> bool {
        self.set.verbs.paused || self.spec().is_some_and(|spec| spec.paused)
    }

    /// Why no pod may be replaced.
    fn hold(&self) -> Option<&'static str> {
        match (self.spec(), self.rollout()) {
            (None, _) => Some("no valid policy is known"),
            (_, None) => Some("nothing is remembered of this template"),
            _ if self.is_paused() => Some("the rollout is paused"),
            (_, Some(memory)) if memory.state == State::Waiting => Some("the policy has just been attached"),
            _ => None,
        }
    }

    fn pods_on(&self, node: &Text) -> impl Iterator<Item = &'w Pod> {
        self.set.pods.values().filter(move |pod| pod.node == *node)
    }

    /// The pods of a node that stay, before this plan.
    fn staying(&self, node: &Text) -> impl Iterator<Item = &'w Pod> {
        self.pods_on(node)
            .filter(|pod| !pod.deleting && !self.leaving.contains(&pod.uid))
    }

    fn has_label(node: &Node, key: &str) -> bool {
        node.labels.iter().any(|(found, _)| **found == *key)
    }

    fn is_held(&self, node: &Node) -> bool {
        Self::has_label(
            node,
            &format!("hold.everynode.io/default.{}", self.set.daemon_set.name),
        )
    }

    /// Whether the node's pods were all unavailable before the rollout began, so that the rollout leaves it out of account.
    fn is_ignored(&self, node: &Text) -> bool {
        let Some(memory) = self.memory() else { return false };
        let was_unavailable = |pod: &Pod| {
            let is_new = memory.state != State::GoingBack && pod.revision == *self.update();
            let since = pod.unready_since.unwrap_or(pod.created);
            pod.ready_since.is_none() && since.plus(1_000) < memory.started_at && !is_new
        };
        self.pods_on(node).next().is_some() && self.pods_on(node).all(was_unavailable)
    }

    fn remembered(&self, name: &str) -> Option<&'w StageMemory> {
        let mut stages = self.rollout()?.stages.iter();
        stages.find(|stage| *stage.name == *name)
    }

    fn takes(&self, stage: &Stage, node: &Node) -> bool {
        let remembered = self.remembered(&stage.name);
        let is_in = match stage.size {
            StageSize::All => true,
            StageSize::Count(_) => remembered.is_some_and(|stage| stage.nodes.contains(&node.name)),
            StageSize::Percent(_) | StageSize::AllBut(_) => {
                let limit = remembered.and_then(|stage| stage.hash_limit);
                let limit = limit.unwrap_or_else(|| staging::expected_limit(stage.size));
                staging::hash(&self.set.daemon_set.uid, &node.name) < limit
            }
        };
        is_in && stage.node_selector.selects(&node.labels)
    }

    /// The position of the stage that a node is in. `None` without a policy.
    fn stage_of(&self, node: &Node) -> Option<usize> {
        let stages = &self.spec()?.stages;
        let found = stages.iter().position(|stage| self.takes(stage, node));
        Some(found.unwrap_or(stages.len()))
    }

    /// What is remembered of the stage at a position. The last one has no name.
    fn remembered_at(&self, position: usize) -> Option<&'w StageMemory> {
        let name = match self.spec()?.stages.get(position) {
            Some(stage) => stage.name.as_ref(),
            None => "",
        };
        self.remembered(name)
    }

    /// Whether a node is released: its stage is open and all before it are done, or a person has released it.
    fn is_released(&self, node: &Node) -> bool {
        let Some(memory) = self.rollout() else {
            return false;
        };
        let (number, nodes) = &self.set.verbs.release;
        if *number == memory.rollout && nodes.contains(&node.name) {
            return true;
        }
        let Some(position) = self.stage_of(node) else {
            return false;
        };
        let is_done = |stage: &StageMemory| stage.done_at.is_some();
        (0..position).all(|earlier| self.remembered_at(earlier).is_some_and(is_done))
            && self.remembered_at(position).is_some()
    }

    /// The pods that the plan deletes in order to replace them, with their nodes.
    fn replaced(&self) -> impl Iterator<Item = (&'w Node, &'w Pod)> {
        let actions = self.plan.actions.iter();
        actions.filter_map(move |(_, action)| {
            let Action::Delete { uid, reason, .. } = action else {
                return None;
            };
            let pod = self.set.pods.get(uid)?;
            let node = self.world.nodes.get(&pod.node)?;
            let is_narrowed = self
                .rollout()
                .is_some_and(|memory| memory.state == State::Progressing && memory.current == pod.revision)
                && *reason == DeleteReason::Excluded
                && admits(&pod.revision, node)
                && !admits(self.update(), node);
            let has_successor = self.is_surge() && self.staying(&node.name).count() > 1;
            let is_replaced = *reason == DeleteReason::Update && !has_successor;
            (is_replaced || is_narrowed).then_some((node, pod))
        })
    }

    /// The nodes on which the plan creates a pod beside an old one.
    fn surged(&self) -> impl Iterator<Item = (&'w Node, &'w Pod)> {
        let actions = self.plan.actions.iter();
        actions.filter_map(move |(_, action)| {
            let Action::Create { node, .. } = action else {
                return None;
            };
            let node = self.world.nodes.get(node)?;
            Some((node, self.staying(&node.name).next()?))
        })
    }

    fn check_owner(&self) -> Result<(), String> {
        for (_, action) in &self.plan.actions {
            if let Action::Delete { uid, .. } = action {
                ensure(self.set.pods.contains_key(uid), || {
                    format!("the plan deletes {uid}, which isn't a pod of the DaemonSet")
                })?;
            }
        }
        Ok(())
    }

    fn check_replacements(&self) -> Result<(), String> {
        for (node, pod) in self.replaced().chain(self.surged()) {
            let name = &node.name;
            if let Some(hold) = self.hold() {
                return Err(format!("{} on {name} is replaced, although {hold}", pod.name));
            }
            ensure(!self.is_held(node), || {
                format!("the pod on {name} is replaced, although a label holds it")
            })?;
            let Some(memory) = self.rollout() else { continue };
            match memory.state {
                State::Progressing => {
                    ensure(self.is_released(node), || {
                        format!("the pod on {name} is replaced before its turn")
                    })?;
                    ensure(pod.revision != *self.update(), || {
                        format!("{name} loses a pod of the update revision")
                    })?;
                }
                State::GoingBack => ensure(pod.revision != memory.current, || {
                    format!("{name} loses a pod of the current revision on the way back")
                })?,
                State::Waiting | State::MemoryLost => {
                    return Err(format!(
                        "{} on {name} is replaced before a person allows it",
                        pod.name
                    ));
                }
                State::Completed => {}
            }
        }
        self.check_updated_stay()
    }

    /// A pod of the update revision doesn't go because the current revision has none on its node.
    fn check_updated_stay(&self) -> Result<(), String> {
        let is_progressing = self
            .rollout()
            .is_some_and(|memory| memory.state == State::Progressing);
        for (_, action) in self.plan.actions.iter().filter(|_| is_progressing) {
            if let Action::Delete { uid, reason, .. } = action
                && *reason == DeleteReason::Excluded
                && let Some(pod) = self.set.pods.get(uid)
                && let Some(node) = self.world.nodes.get(&pod.node)
            {
                let belongs = pod.revision == *self.update() && admits(self.update(), node);
                ensure(!belongs, || {
                    format!("{} loses its pod of the update revision", node.name)
                })?;
            }
        }
        Ok(())
    }

    /// A node that lacks a pod gets one of its target revision.
    fn check_creations(&self) -> Result<(), String> {
        let Some(memory) = self.memory() else {
            return Ok(());
        };
        for (_, action) in &self.plan.actions {
            let Action::Create { node, revision, .. } = action else {
                continue;
            };
            let Some(node) = self.world.nodes.get(node) else {
                return Err(format!("a pod is created on {node}, which isn't there"));
            };
            ensure(admits(revision, node), || {
                format!(
                    "a pod of {revision} is created on {}, which it excludes",
                    node.name
                )
            })?;
            if self.pods_on(&node.name).next().is_some() {
                continue;
            }
            let expected = match (memory.state, self.rollout()) {
                (State::GoingBack, _) => &memory.current,
                _ if self.spec().is_some_and(|spec| spec.unreleased_get_update) => continue,
                (State::Completed, Some(_)) => self.update(),
                // Without its policy, only what is remembered tells which nodes have been released.
                (State::Progressing, Some(_)) if self.spec().is_none() => continue,
                (State::Progressing, Some(_)) if self.is_released(node) => self.update(),
                _ => &memory.current,
            };
            ensure(revision == expected, || {
                format!("{} gets a pod of {revision} instead of {expected}", node.name)
            })?;
        }
        Ok(())
    }

    /// Whether the node has an available pod of this revision that stays.
    fn has_available(&self, node: &Text, revision: &Text) -> bool {
        self.staying(node)
            .any(|pod| pod.revision == *revision && pod.ready_since.is_some())
    }

    fn now(&self) -> crate::model::Millis {
        seconds(self.world.now)
    }
}
