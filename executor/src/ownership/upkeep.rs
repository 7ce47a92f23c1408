//! Prepares a `DaemonSet` before the planner hears of it: it must own its pods and revisions, and its template must
//! have a revision.
//!
//! [`next`] finds the next piece of work, and [`carry_out`] does it. The objects that it wrote go into the caches, and
//! then [`next`] looks again. So the work can be interrupted anywhere, and it continues from the current state.

mod carry;

use std::collections::HashSet;

use everynode_proto::facts::{REVISION_LABEL, object::StringMap};

pub use self::carry::{Refusal, UpkeepError, Wrote, carry_out};
use crate::{
    cluster::{Cluster, Entry, Known, Owner},
    ownership::{
        adopt::{self, Orphans, Refused, Target},
        history::{self, State, Step},
    },
};

/// A piece of work.
#[derive(Debug, Clone)]
pub enum Work {
    /// Adopt orphans that the `DaemonSet` selects by their labels.
    Adopt(Orphans),
    /// Release pods that the `DaemonSet` no longer selects by their labels.
    Release(Vec<Target>),
    /// Bring the history into order. The pods are those to relabel.
    Order(Step, Vec<Target>),
    /// Delete revisions beyond the history limit.
    Clean(Vec<Known>),
}

impl Work {
    /// The reason of the event that reports the failure of this work.
    pub fn failure_reason(&self) -> &'static str {
        match self {
            Self::Adopt(_) => "FailedAdoption",
            Self::Release(_) => "FailedRelease",
            Self::Order(..) | Self::Clean(_) => "FailedHistory",
        }
    }
}

/// The state of a `DaemonSet`, and the next piece of work.
#[derive(Debug, Clone, Default)]
pub struct Next {
    /// The controller-revision-hash of the template, once everything is in order.
    pub revision: Option<String>,
    /// The next piece of work, if there is any.
    pub work: Option<Work>,
    /// Whether revisions beyond the limit are kept because pods still carry their hash.
    pub is_held_up: bool,
}

/// Finds the next piece of work for a `DaemonSet`. `refused` holds the objects that the server would not let it adopt
/// or release.
pub fn next(cluster: &Cluster, entry: &Entry, refused: &Refused) -> Next {
    if entry.object.spec.selector.is_empty() {
        // It selects everything, so it gets nothing (P6), not even a history. The planner reports the problem.
        return Next {
            revision: Some(String::new()),
            ..Next::default()
        };
    }
    let orphans = adopt::orphans(cluster, entry, refused);
    if !orphans.is_empty() {
        return Next {
            work: Some(Work::Adopt(orphans)),
            ..Next::default()
        };
    }
    let misfits = adopt::misfits(cluster, entry, refused);
    if !misfits.is_empty() {
        return Next {
            work: Some(Work::Release(misfits)),
            ..Next::default()
        };
    }
    let metadata = &entry.object.metadata;
    let owned = |revision: &&Known| revision.owner.as_ref() == Some(entry.owner());
    match history::assess(
        entry.template,
        cluster.revisions(&metadata.namespace).filter(owned).cloned(),
    ) {
        State::Needs(step) => {
            let relabel = relabelled(cluster, entry.owner(), &step);
            Next {
                work: Some(Work::Order(step, relabel)),
                ..Next::default()
            }
        }
        State::Settled { hash, old } => {
            let carried = |hash: &str| {
                let mut pods = cluster.pods().of(entry.owner());
                pods.any(|(_, pod)| pod.labels.get(REVISION_LABEL).is_some_and(|label| label == hash))
            };
            let excess = history::excess(entry.object.spec.revision_history_limit, &old);
            let surplus = history::surplus(excess, old, carried);
            let is_held_up = surplus.len() < excess;
            let work = (!surplus.is_empty()).then_some(Work::Clean(surplus));
            Next {
                revision: Some(hash),
                work,
                is_held_up,
            }
        }
    }
}

/// Returns the pods that carry the hash of a revision that is being merged into another.
fn relabelled(cluster: &Cluster, daemon_set: &Owner, step: &Step) -> Vec<Target> {
    let Step::Merge { duplicates, .. } = step else {
        return Vec::new();
    };
    let hashes: HashSet<_> = duplicates.iter().filter_map(Known::hash).collect();
    let pods = cluster.pods().of(daemon_set);
    let carries = |labels: &StringMap| {
        labels
            .get(REVISION_LABEL)
            .is_some_and(|label| hashes.contains(label.as_str()))
    };
    let pods = pods.filter(|(_, pod)| carries(&pod.labels));
    pods.map(|(uid, pod)| Target {
        name: pod.name.to_string(),
        uid: uid.clone(),
    })
    .collect()
}

#[cfg(test)]
mod tests;
