//! What has to be in order before the planner hears of a `DaemonSet`: its pods and revisions are its own, and its
//! template has a revision.
//!
//! [`next`] looks and says what is first; [`carry_out`] does it; what that wrote goes into the caches, and one looks
//! again. So the work can be cut off anywhere and goes on from what is there.

mod carry;

use std::collections::HashSet;

use everynode_proto::facts::{REVISION_LABEL, object::StringMap};

pub use self::carry::{Refusal, UpkeepError, Wrote, carry_out};
use crate::{
    adopt::{self, Orphans, Refused, Target},
    cluster::{Cluster, Entry, Known, Owner},
    history::{self, State, Step},
};

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Work {
    /// Take what is the `DaemonSet`'s by its labels.
    Adopt(Orphans),
    /// Let go of pods that aren't, by their labels.
    Release(Vec<Target>),
    /// Put the history in order.
    Order(Step, Vec<Target>),
    /// Delete revisions beyond the limit.
    Clean(Vec<Known>),
}

impl Work {
    /// The reason of the event that says that it failed.
    pub fn failure_reason(&self) -> &'static str {
        match self {
            Self::Adopt(_) => "FailedAdoption",
            Self::Release(_) => "FailedRelease",
            Self::Order(..) | Self::Clean(_) => "FailedHistory",
        }
    }
}

/// Where a `DaemonSet` stands.
#[derive(Debug, Clone, Default)]
pub struct Next {
    /// The controller-revision-hash of its template, once everything is in order.
    pub revision: Option<String>,
    /// What is to be done.
    pub work: Option<Work>,
    /// Whether revisions beyond the limit stay because pods still carry them.
    pub is_held_up: bool,
}

/// Looks at a `DaemonSet`. `refused` is what the server would not let it adopt or release.
pub fn next(cluster: &Cluster, entry: &Entry, refused: &Refused) -> Next {
    if entry.object.spec.selector.is_empty() {
        // It selects everything, so it gets nothing (P6), not even a history; the planner is to say so.
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

/// The pods that carry the hash of a revision that is merged into another.
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
