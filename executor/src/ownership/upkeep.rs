//! Prepares a `DaemonSet` before it is sent to the planner: it must own its pods and revisions, and its template must
//! have a revision.
//!
//! `next` finds the next piece of work, and `execute` does it. The written objects go into the caches, and then `next`
//! is called again. So the work can be interrupted anywhere, and it continues from the current state.

mod execute;

use std::collections::HashSet;

use everynode_proto::facts::{REVISION_LABEL, object::StringMap};

pub(crate) use self::execute::{Refusal, UpkeepError, WrittenObjects, execute};
use crate::{
    cluster::{CachedRevision, Cluster, Entry, Owner},
    ownership::{
        adopt::{self, Orphans, RefusedUids, Target},
        history::{self, State, Step},
    },
};

/// A piece of work.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Adopt orphans that the `DaemonSet` selects by their labels.
    Adopt(Orphans),
    /// Release pods that the `DaemonSet` no longer selects by their labels.
    Release(Vec<Target>),
    /// Take a step that the history needs. The pods are those to relabel.
    FixHistory(Step, Vec<Target>),
    /// Delete revisions beyond the history limit.
    DeleteRevisions(Vec<CachedRevision>),
}

impl Work {
    /// The reason of the event that reports the failure of this work.
    pub(crate) fn failure_reason(&self) -> &'static str {
        match self {
            Self::Adopt(_) => "FailedAdoption",
            Self::Release(_) => "FailedRelease",
            Self::FixHistory(..) | Self::DeleteRevisions(_) => "FailedHistory",
        }
    }

    /// Whether this work merges duplicate revisions, and relabels their pods.
    pub(crate) fn merges_revisions(&self) -> bool {
        matches!(self, Self::FixHistory(Step::Merge { .. }, _))
    }
}

/// The next piece of work for a `DaemonSet`, and what follows from its current state.
#[derive(Debug, Clone, Default)]
pub(crate) struct NextWork {
    /// The controller-revision-hash of the template, once no work is left that the planner must wait for.
    pub(crate) revision: Option<TemplateRevision>,
    /// The next piece of work, if there is any.
    pub(crate) work: Option<Work>,
    /// Whether revisions beyond the limit are kept because pods still use them.
    pub(crate) is_cleanup_blocked: bool,
}

/// The revision that records a `DaemonSet`'s current template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TemplateRevision {
    /// Its controller-revision-hash, which new pods get.
    pub(crate) hash: String,
    /// The hashes of duplicates that are being merged into it. The planner must know them before pods are relabeled.
    /// Otherwise, it would replace these pods, because it would take their template for another one.
    pub(crate) duplicates: Vec<String>,
}

impl TemplateRevision {
    /// A revision without duplicates.
    fn single(hash: String) -> Self {
        Self {
            hash,
            duplicates: Vec::new(),
        }
    }
}

/// Finds the next piece of work for a `DaemonSet`. `refused` holds the objects that the server would not let it adopt
/// or release.
pub(crate) fn next(cluster: &Cluster, entry: &Entry, refused: &RefusedUids) -> NextWork {
    if entry.object.spec.selector.is_empty() {
        // An empty selector would select everything, so the `DaemonSet` gets nothing (P6), not even a history. The
        // planner reports the problem.
        return NextWork {
            revision: Some(TemplateRevision::default()),
            ..NextWork::default()
        };
    }
    let orphans = adopt::orphans(cluster, entry, refused);
    if !orphans.is_empty() {
        return NextWork {
            work: Some(Work::Adopt(orphans)),
            ..NextWork::default()
        };
    }
    let unselected = adopt::unselected_pods(cluster, entry, refused);
    if !unselected.is_empty() {
        return NextWork {
            work: Some(Work::Release(unselected)),
            ..NextWork::default()
        };
    }
    let metadata = &entry.object.metadata;
    let owned = |revision: &&CachedRevision| revision.owner.as_ref() == Some(entry.owner());
    match history::assess(
        entry.template,
        cluster.revisions(&metadata.namespace).filter(owned).cloned(),
    ) {
        State::Needs(step) => {
            let revision = merged_revision(&step);
            let relabel = revision.as_ref().map_or_else(Vec::new, |merged| {
                pods_to_relabel(cluster, entry.owner(), &merged.duplicates)
            });
            NextWork {
                revision,
                work: Some(Work::FixHistory(step, relabel)),
                ..NextWork::default()
            }
        }
        State::InOrder { hash, old } => {
            let is_in_use = |hash: &str| {
                let mut pods = cluster.pods().owned_by(entry.owner());
                pods.any(|(_, pod)| pod.labels.get(REVISION_LABEL).is_some_and(|label| label == hash))
                    || cluster.is_revision_remembered(entry, hash)
            };
            let excess = history::excess(entry.object.spec.revision_history_limit, &old);
            let removable = history::removable(excess, old, is_in_use);
            let is_cleanup_blocked = removable.len() < excess;
            let work = (!removable.is_empty()).then_some(Work::DeleteRevisions(removable));
            NextWork {
                revision: Some(TemplateRevision::single(hash)),
                work,
                is_cleanup_blocked,
            }
        }
    }
}

/// Returns the revision that stays, if this step merges revisions. A duplicate may have the same hash as that revision:
/// then its pods already have the right label.
fn merged_revision(step: &Step) -> Option<TemplateRevision> {
    let Step::Merge { keep, duplicates } = step else {
        return None;
    };
    let hash = keep.hash()?.to_owned();
    let hashes = duplicates.iter().filter_map(CachedRevision::hash);
    let duplicates = hashes.filter(|duplicate| *duplicate != hash).map(str::to_owned);
    Some(TemplateRevision {
        duplicates: duplicates.collect(),
        hash,
    })
}

/// Returns the pods with one of these hashes, which belong to revisions that are being merged into another.
fn pods_to_relabel(cluster: &Cluster, daemon_set: &Owner, hashes: &[String]) -> Vec<Target> {
    let hashes: HashSet<_> = hashes.iter().map(String::as_str).collect();
    let pods = cluster.pods().owned_by(daemon_set);
    let has_merged_hash = |labels: &StringMap| {
        labels
            .get(REVISION_LABEL)
            .is_some_and(|label| hashes.contains(label.as_str()))
    };
    let pods = pods.filter(|(_, pod)| has_merged_hash(&pod.labels));
    pods.map(|(uid, pod)| Target {
        name: pod.name.to_string(),
        uid: uid.clone(),
    })
    .collect()
}

#[cfg(test)]
mod tests;
