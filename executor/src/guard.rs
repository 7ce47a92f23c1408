//! What a plan may cause at most.
//!
//! The planner decides, but it isn't trusted blindly: whoever has taken it over can do no more than a rollout of the very
//! `DaemonSet`s that it plans for. Each action is judged here when it is about to be started, by the caches and by nothing that the
//! plan says of itself. These are limits and no rules: what should be done within them is the planner's alone to decide, and
//! no honest plan meets one, but for a plan that something has overtaken.
//!
//! Whatever else is to restrict what plans may cause belongs here, so that there is one place to read.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use everynode_proto::{
    facts::object::IntOrString,
    planner::v1::{Action, DaemonSetCondition, DeletePod, Plan, Problem, Toleration, action::Action as Kind},
};
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, Entry, Owner},
    events::shortened,
    objects::DaemonSet,
};

/// How many actions may be asked for beyond those that a cluster can have a use for: a plan may have been overtaken.
const SPARE_ACTIONS: usize = 1_000;
/// How many outcomes may wait for a planner that doesn't read.
const MAX_UNREAD_OUTCOMES: usize = 1_000_000;
/// The longest name, uid or hash in an action, in bytes.
const MAX_TEXT: usize = 253;
/// How many tolerations a plan may add.
const MAX_TOLERATIONS: usize = 16;
/// How many problems of a plan are kept.
const MAX_PROBLEMS: usize = 16;
/// The longest reason of a condition, in bytes.
const MAX_REASON: usize = 1_024;
/// The longest message of a condition, in bytes.
const MAX_MESSAGE: usize = 32_768;
/// The conditions that are the planner's to say.
const CONDITIONS: [&str; 2] = ["Available", "Progressing"];
/// What the taints of node conditions begin with.
const CONDITION_TAINTS: &str = "node.kubernetes.io/";
/// How long a `DaemonSet`'s violations are only counted after one was logged.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// What a plan asks for that no plan may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The deletion of a pod that isn't the `DaemonSet`'s, or that has another name.
    #[error("it asks for the deletion of a pod that isn't the DaemonSet's")]
    ForeignPod,
    /// More pods on a node than the `DaemonSet` may have there.
    #[error("it asks for more pods on a node than the DaemonSet may have there")]
    TooManyPods,
    /// A condition that isn't the planner's to say, or that can't be one.
    #[error("it has a condition that isn't the planner's to set")]
    Condition,
    /// A toleration that no taint of a node condition needs.
    #[error("it adds a toleration that no taint of a node condition needs")]
    Toleration,
    /// More than any plan could hold, or two actions by one id.
    #[error(
        "it asks for more actions than the cluster has a use for, for two by one id, or in texts that are too long"
    )]
    Bounds,
}

/// What becomes of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be carried out.
    Allowed,
    /// Something has overtaken it.
    Needless,
    /// It must not be carried out, and no planner in its right mind asks for it.
    Violation(Violation),
}

/// Judges a deletion for a `DaemonSet`.
pub fn deletion(cluster: &Cluster, owner: &Owner, action: &DeletePod) -> Verdict {
    let Some(pod) = cluster.pods().get(&action.uid) else {
        return Verdict::Needless;
    };
    if pod.owner() == Some(owner) {
        // Names don't change.
        return if *pod.name == *action.pod {
            Verdict::Allowed
        } else {
            Verdict::Violation(Violation::ForeignPod)
        };
    }
    if cluster.pods().was_of(&action.uid, owner) {
        return Verdict::Needless;
    }
    Verdict::Violation(Violation::ForeignPod)
}

/// The most live pods that a `DaemonSet` has on a node: one, and with surge its successor.
fn most_pods(daemon_set: &DaemonSet) -> usize {
    let rolling = daemon_set.spec.update_strategy.rolling_update.as_ref();
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
    let is_zero = match surge {
        None => true,
        Some(IntOrString::Int(count)) => *count == 0,
        Some(IntOrString::String(text)) => text.trim_end_matches('%').parse() == Ok(0),
    };
    if is_zero { 1 } else { 2 }
}

/// What a `DaemonSet`'s plans have asked for and what isn't done yet, as far as the limits go by it.
#[derive(Debug, Default)]
pub struct Outstanding {
    /// The actions that the planner waits for.
    ids: HashSet<u64>,
    /// How many creations are in progress on each node.
    creations: HashMap<String, usize>,
    /// The nodes on which a pod has overtaken a creation. Its planner is told of that pod and doesn't ask again.
    overtaken: HashSet<String>,
    /// The most actions that the cluster has had a use for in this session.
    most: usize,
    logged: Option<Instant>,
    unlogged: u64,
}

impl Outstanding {
    /// Takes in a plan's actions.
    ///
    /// # Errors
    /// They are more than the cluster can have a use for, their texts are longer than any name, or two have the same id.
    pub fn take(&mut self, cluster: &Cluster, entry: &Entry, plan: &Plan) -> Result<(), Violation> {
        let current = useful_actions(cluster) + cluster.pods().count(entry.owner());
        // What waits was asked for when there may have been more nodes and pods.
        self.most = self.most.max(current);
        if self.ids.len() + plan.actions.len() > self.most + SPARE_ACTIONS {
            return Err(Violation::Bounds);
        }
        if !plan.actions.iter().all(is_short) {
            return Err(Violation::Bounds);
        }
        let are_new = plan.actions.iter().all(|action| self.ids.insert(action.id));
        are_new.then_some(()).ok_or(Violation::Bounds)
    }

    /// The planner is told of an action's end.
    pub fn ended(&mut self, id: u64) {
        self.ids.remove(&id);
    }

    /// Judges a creation on a node. `daemon_set` is as the planner knows it.
    pub fn creation(
        &mut self,
        cluster: &Cluster,
        owner: &Owner,
        daemon_set: &DaemonSet,
        node: &str,
    ) -> Verdict {
        let in_progress = self.creations.get(node).copied().unwrap_or_default();
        let live = cluster.pods().live_on(node, owner);
        let most = most_pods(daemon_set);
        if in_progress + live < most {
            self.overtaken.remove(node);
            return Verdict::Allowed;
        }
        // A pod that the planner didn't know of, or a changed strategy. It hears of either before it hears of the action's end.
        if in_progress == 0 && self.overtaken.insert(node.to_owned()) {
            return Verdict::Needless;
        }
        Verdict::Violation(Violation::TooManyPods)
    }

    /// A creation on a node begins.
    pub fn creation_begins(&mut self, node: &str) {
        *self.creations.entry(node.to_owned()).or_default() += 1;
    }

    /// A creation on a node has ended, and its pod is in the caches, if there is one.
    pub fn creation_ended(&mut self, node: &str) {
        if let Some(count) = self.creations.get_mut(node) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.creations.remove(node);
            }
        }
    }

    /// The planner is gone. What is in progress goes on.
    pub fn forget_planner(&mut self) {
        self.ids.clear();
        self.overtaken.clear();
        self.most = 0;
    }

    /// Notes a violation. Returns how many were passed over in the log, when this one is to be logged.
    pub fn note(&mut self, now: Instant) -> Option<u64> {
        let is_due = self
            .logged
            .is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL);
        if !is_due {
            self.unlogged = self.unlogged.saturating_add(1);
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

fn is_short(action: &Action) -> bool {
    let are_short = |texts: &[&String]| texts.iter().all(|text| text.len() <= MAX_TEXT);
    match &action.action {
        None => true,
        Some(Kind::Create(create)) => are_short(&[&create.node, &create.revision, &create.succeeds_uid]),
        Some(Kind::Delete(delete)) => are_short(&[&delete.pod, &delete.uid, &delete.node]),
    }
}

/// How many actions the nodes give reason for, of one `DaemonSet`: a deletion and a creation each.
fn useful_actions(cluster: &Cluster) -> usize {
    cluster.node_count().saturating_mul(2)
}

/// Whether a plan is no longer than any plan for any `DaemonSet` of the cluster, and no more outcomes wait to be read than for any
/// planner. Holds for `DaemonSet`s that aren't there too.
///
/// # Errors
/// It is, or there are.
pub fn unread(cluster: &Cluster, plan: &Plan, outcomes: usize) -> Result<(), Violation> {
    let most = useful_actions(cluster) + cluster.pods().total() + SPARE_ACTIONS;
    let is_named = [&plan.daemon_set, &plan.daemon_set_uid]
        .iter()
        .all(|text| text.len() <= 2 * MAX_TEXT);
    if !is_named || plan.actions.len() > most || outcomes > MAX_UNREAD_OUTCOMES {
        return Err(Violation::Bounds);
    }
    Ok(())
}

/// Leaves of a plan's conditions only those that the planner may set. Returns how many go.
pub fn conditions(conditions: &mut Vec<DaemonSetCondition>) -> usize {
    let before = conditions.len();
    let mut left = CONDITIONS.to_vec();
    conditions.retain_mut(|condition| {
        let place = left.iter().position(|kind| *kind == condition.r#type);
        let Some(place) = place.filter(|_| is_reason(&condition.reason)) else {
            return false;
        };
        left.swap_remove(place);
        cut(&mut condition.message, MAX_MESSAGE);
        true
    });
    before - conditions.len()
}

/// Whether it can be a condition's reason: `[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?`.
fn is_reason(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    bytes.len() <= MAX_REASON
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(is_word)
        && bytes
            .iter()
            .all(|byte| is_word(byte) || matches!(byte, b',' | b':'))
}

fn cut(text: &mut String, longest: usize) {
    let mut end = longest.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// Leaves of the tolerations that a plan adds to pods only those that a taint of a node condition needs: others would spread pods
/// over nodes that are kept for something else. Returns how many go.
pub fn tolerations(added: &mut Vec<Toleration>) -> usize {
    let before = added.len();
    added.retain(|toleration| {
        let condition = toleration.key.strip_prefix(CONDITION_TAINTS);
        condition.is_some_and(|condition| !condition.is_empty() && condition.len() <= MAX_TEXT)
            && toleration.operator == "Exists"
            && toleration.value.is_empty()
            && ["NoSchedule", "NoExecute"].contains(&toleration.effect.as_str())
    });
    added.truncate(MAX_TOLERATIONS);
    before - added.len()
}

/// Leaves of a plan's problems as many, and of each as much, as can be said in events.
pub fn problems(problems: &mut Vec<Problem>) {
    problems.truncate(MAX_PROBLEMS);
    problems.iter_mut().for_each(problem);
}

/// Leaves of a problem as much as can be said in an event.
pub fn problem(problem: &mut Problem) {
    for text in [&mut problem.object, &mut problem.field, &mut problem.message] {
        *text = shortened(std::mem::take(text));
    }
}

#[cfg(test)]
mod tests;
