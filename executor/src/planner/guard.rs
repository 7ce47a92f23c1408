//! Limits on what a plan may cause.
//!
//! The planner decides, but the executor doesn't trust it blindly: an attacker who has taken over the planner can do no
//! more than a rollout of the planned `DaemonSet`s could do. The executor judges each action here just before it starts
//! the action. The verdict depends on the caches alone, not on the plan's own claims. Within these limits, the planner
//! alone decides what to do. A correct plan exceeds none of them, unless the cluster has changed since the plan was
//! made.
//!
//! This module holds every restriction on plans.

pub(crate) mod rollouts;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use everynode_proto::{
    facts::object::IntOrString,
    planner::v1::{
        Action, DaemonSetCondition, DeletePod, Plan, PodAvailability, Problem, Toleration,
        action::Action as Kind,
    },
};
use tokio::time::Instant;

use crate::{
    apiserver::{events::truncate_note, objects::DaemonSet},
    cluster::{Cluster, Entry, Owner},
    telemetry::metrics::PlanViolation,
};

/// Number of outstanding actions allowed beyond the useful ones, because the cluster may have changed since the plan
/// was made.
const SPARE_ACTIONS: usize = 1_000;
/// Maximum number of outcomes that may wait for a planner that doesn't read its stream.
const MAX_UNREAD_OUTCOMES: usize = 1_000_000;
/// Maximum length of a name, uid or hash in an action, in bytes.
const MAX_TEXT_BYTES: usize = 253;
/// Maximum number of tolerations that a plan may add.
const MAX_TOLERATIONS: usize = 16;
/// Maximum number of a plan's problems that are kept.
const MAX_PROBLEMS: usize = 16;
/// Maximum length of a condition's reason, in bytes.
const MAX_REASON_BYTES: usize = 1_024;
/// Maximum length of a condition's message, in bytes.
const MAX_MESSAGE_BYTES: usize = 32_768;
/// Condition types that the planner may set.
const CONDITIONS: [&str; 2] = ["Available", "Progressing"];
/// Prefix of the taints of node conditions.
const CONDITION_TAINTS: &str = "node.kubernetes.io/";
/// Minimum time between two logged violations of one `DaemonSet`. Violations in between are only counted.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// A limit that a plan exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// The deletion of a pod that doesn't belong to the `DaemonSet`, or that has another name.
    #[error("deletion of a pod that doesn't belong to the DaemonSet")]
    ForeignPod,
    /// More pods on a node than the `DaemonSet` may have there.
    #[error("more pods on a node than the DaemonSet may have there")]
    TooManyPods,
    /// A condition that the planner may not set, or that isn't a valid condition.
    #[error("a condition that the planner may not set")]
    Condition,
    /// A toleration of something other than the taint of a node condition.
    #[error("a toleration that isn't for the taint of a node condition")]
    Toleration,
    /// A plan with more actions or longer names than any correct plan, or two actions with the same id.
    #[error("too many actions, a duplicate action id, or an overlong name")]
    Bounds,
}

impl From<Violation> for PlanViolation {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::ForeignPod => Self::ForeignPod,
            Violation::TooManyPods => Self::TooManyPods,
            Violation::Condition => Self::Condition,
            Violation::Toleration => Self::Toleration,
            Violation::Bounds => Self::Bounds,
        }
    }
}

/// The verdict on an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The action may be carried out.
    Allowed,
    /// The cluster has changed since the plan was made, so the action is no longer needed.
    Obsolete,
    /// The action must not be carried out. A correct planner never requests it.
    Violation(Violation),
}

/// Judges a deletion for a `DaemonSet`.
pub(crate) fn judge_deletion(cluster: &Cluster, owner: &Owner, action: &DeletePod) -> Verdict {
    let Some(pod) = cluster.pods().get(&action.uid) else {
        return Verdict::Obsolete;
    };
    if pod.owner() == Some(owner) {
        // A pod's name never changes, so a mismatch is not due to an outdated plan.
        return if *pod.name == *action.pod {
            Verdict::Allowed
        } else {
            Verdict::Violation(Violation::ForeignPod)
        };
    }
    if cluster.pods().is_former_owner(&action.uid, owner) {
        return Verdict::Obsolete;
    }
    Verdict::Violation(Violation::ForeignPod)
}

/// Maximum number of live pods that a `DaemonSet` may have on a node: one pod, and with surge also its successor.
fn max_pods_per_node(daemon_set: &DaemonSet) -> usize {
    let rolling = daemon_set.spec.update_strategy.rolling_update.as_ref();
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
    let is_zero = match surge {
        None => true,
        Some(IntOrString::Int(count)) => *count == 0,
        Some(IntOrString::String(text)) => text.trim_end_matches('%').parse() == Ok(0),
    };
    if is_zero { 1 } else { 2 }
}

/// Outstanding actions of one `DaemonSet`'s plans, which count against the limits.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    /// Ids of the actions whose outcome the planner waits for.
    ids: HashSet<u64>,
    /// Number of creations in progress on each node.
    creations: HashMap<String, usize>,
    /// Nodes on which a pod appeared before a requested creation. The planner receives that pod and must not request
    /// the creation again.
    overtaken: HashSet<String>,
    /// Highest number of actions that were useful at some time in this session.
    most: usize,
    logged: Option<Instant>,
    unlogged: u64,
}

impl Outstanding {
    /// Adds a plan's actions.
    ///
    /// # Errors
    /// There are more actions than are useful, a text is longer than any name, or two actions have the same id.
    pub(crate) fn add_plan(
        &mut self,
        cluster: &Cluster,
        entry: &Entry,
        plan: &Plan,
    ) -> Result<(), Violation> {
        let current = useful_actions(cluster) + cluster.pods().owned_count(entry.owner());
        // The outstanding actions may date from a time when there were more nodes and pods.
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

    /// Forgets an action when its outcome goes to the planner.
    pub(crate) fn on_action_ended(&mut self, id: u64) {
        self.ids.remove(&id);
    }

    /// Judges a creation on a node. `daemon_set` is the version that was sent to the planner.
    pub(crate) fn judge_creation(
        &mut self,
        cluster: &Cluster,
        owner: &Owner,
        daemon_set: &DaemonSet,
        node: &str,
    ) -> Verdict {
        let in_progress = self.creations.get(node).copied().unwrap_or_default();
        let live = cluster.pods().live_on(node, owner);
        let most = max_pods_per_node(daemon_set);
        if in_progress + live < most {
            self.overtaken.remove(node);
            return Verdict::Allowed;
        }
        // Either the planner didn't know of a pod, or the strategy has changed. The planner receives that fact before
        // the action's outcome.
        if in_progress == 0 && self.overtaken.insert(node.to_owned()) {
            return Verdict::Obsolete;
        }
        Verdict::Violation(Violation::TooManyPods)
    }

    /// Counts a creation that begins on a node.
    pub(crate) fn on_creation_started(&mut self, node: &str) {
        *self.creations.entry(node.to_owned()).or_default() += 1;
    }

    /// Stops counting a creation that has ended on a node. Its pod, if there is one, is in the caches by now.
    pub(crate) fn on_creation_ended(&mut self, node: &str) {
        if let Some(count) = self.creations.get_mut(node) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.creations.remove(node);
            }
        }
    }

    /// Forgets the actions of a planner whose session has ended. Creations in progress continue.
    pub(crate) fn forget_planner(&mut self) {
        self.ids.clear();
        self.overtaken.clear();
        self.most = 0;
    }

    /// Records a violation. If it must be logged, returns the number of unlogged violations since the last logged one.
    pub(crate) fn record_violation(&mut self, now: Instant) -> Option<u64> {
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
    let are_short = |texts: &[&String]| texts.iter().all(|text| text.len() <= MAX_TEXT_BYTES);
    match &action.action {
        None => true,
        Some(Kind::Create(create)) => are_short(&[&create.node, &create.revision, &create.succeeds_uid]),
        Some(Kind::Delete(delete)) => are_short(&[&delete.pod, &delete.uid, &delete.node]),
    }
}

/// Number of actions that the nodes justify for one `DaemonSet`: a deletion and a creation for each node.
fn useful_actions(cluster: &Cluster) -> usize {
    cluster.node_count().saturating_mul(2)
}

/// Checks that a plan has no more actions than a correct plan for any `DaemonSet` of this cluster, that it has no
/// overlong names, and that not too many outcomes wait for the planner. Works for unknown `DaemonSet`s, too.
///
/// # Errors
/// The plan is too large, or too many outcomes are unread.
pub(crate) fn check_size(cluster: &Cluster, plan: &Plan, outcomes: usize) -> Result<(), Violation> {
    let most = useful_actions(cluster) + cluster.pods().total() + SPARE_ACTIONS;
    let is_named = [&plan.daemon_set, &plan.daemon_set_uid]
        .iter()
        .all(|text| text.len() <= 2 * MAX_TEXT_BYTES);
    if !is_named || plan.actions.len() > most || outcomes > MAX_UNREAD_OUTCOMES {
        return Err(Violation::Bounds);
    }
    Ok(())
}

/// Removes conditions that are invalid, repeated, or of a type that the planner may not set. Truncates the messages of
/// the others. Returns how many conditions it removed.
pub(crate) fn remove_invalid_conditions(conditions: &mut Vec<DaemonSetCondition>) -> usize {
    let before = conditions.len();
    let mut left = CONDITIONS.to_vec();
    conditions.retain_mut(|condition| {
        let index = left.iter().position(|kind| *kind == condition.r#type);
        let Some(index) = index.filter(|_| is_reason(&condition.reason)) else {
            return false;
        };
        left.swap_remove(index);
        truncate_message(&mut condition.message);
        true
    });
    before - conditions.len()
}

/// Whether the text is valid as a condition's reason: `[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?`.
fn is_reason(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    bytes.len() <= MAX_REASON_BYTES
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(is_word)
        && bytes
            .iter()
            .all(|byte| is_word(byte) || matches!(byte, b',' | b':'))
}

/// Cuts a status message to the length that a condition can carry.
pub(crate) fn truncate_message(text: &mut String) {
    cut(text, MAX_MESSAGE_BYTES);
}

fn cut(text: &mut String, longest: usize) {
    let mut end = longest.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// Keeps only the added tolerations for taints of node conditions. Others would put pods on nodes that are reserved for
/// something else. Returns how many tolerations it removed.
pub(crate) fn remove_invalid_tolerations(added: &mut Vec<Toleration>) -> usize {
    let before = added.len();
    added.retain(|toleration| {
        let condition = toleration.key.strip_prefix(CONDITION_TAINTS);
        condition.is_some_and(|condition| !condition.is_empty() && condition.len() <= MAX_TEXT_BYTES)
            && toleration.operator == "Exists"
            && toleration.value.is_empty()
            && ["NoSchedule", "NoExecute"].contains(&toleration.effect.as_str())
    });
    added.truncate(MAX_TOLERATIONS);
    before - added.len()
}

/// Keeps only entries about the availability of the `DaemonSet`'s own pods, and of several entries about a pod only the
/// first. A pod that is gone needs no entry, and without an `owner` there are no pods.
pub(crate) fn retain_own_availability(
    cluster: &Cluster,
    owner: Option<&Owner>,
    changes: &mut Vec<PodAvailability>,
) {
    let pods = cluster.pods();
    let mut seen = HashSet::new();
    changes.retain(|change| {
        let pod = pods.get(&change.uid);
        let is_own = owner.is_some() && pod.is_some_and(|pod| pod.owner() == owner);
        is_own && seen.insert(change.uid.clone())
    });
}

/// Cuts a plan's problems to the number and length that events can carry.
pub(crate) fn truncate_problems(problems: &mut Vec<Problem>) {
    problems.truncate(MAX_PROBLEMS);
    problems.iter_mut().for_each(truncate_problem);
}

/// Cuts a problem's texts to the length that an event can carry.
pub(crate) fn truncate_problem(problem: &mut Problem) {
    for text in [&mut problem.object, &mut problem.field, &mut problem.message] {
        *text = truncate_note(std::mem::take(text));
    }
}

#[cfg(test)]
mod tests;
