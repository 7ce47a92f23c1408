//! The facts of a `DaemonSet` for a planner, which may or may not know rollout policies.

use everynode_proto::planner::v1::{DaemonSetFacts, RevisionFacts, UpdateStrategy, update_strategy};

use super::managed::ManagedDaemonSet;
use crate::{
    apiserver::objects::DaemonSet,
    cluster::{CachedRevision, Cluster, Entry},
    planner::outbox::Announcement,
    status::conditions::is_rollout_held,
};

/// The prefix of annotations of a controller that drives rollouts itself.
const OTHER_DRIVER: &str = "rollouts.kruise.io";

/// What to send about a `DaemonSet`: its facts, or nothing until its upkeep is done.
pub(super) fn announcement(
    cluster: &Cluster,
    entry: &Entry,
    managed: &ManagedDaemonSet,
    knows_rollouts: bool,
) -> Announcement {
    let Some(announced) = &managed.announced else {
        return Announcement::NotYet;
    };
    let mut facts = announced.facts.clone();
    if knows_rollouts {
        add_rollout_facts(&mut facts, cluster, entry);
    } else {
        facts.labels.clear();
        if is_held(cluster, entry) {
            hold(&mut facts, cluster, entry);
        }
    }
    Announcement::Facts(Box::new(facts))
}

fn add_rollout_facts(facts: &mut DaemonSetFacts, cluster: &Cluster, entry: &Entry) {
    if cluster.has_policies() || cluster.rollout(entry).is_some() {
        facts.revisions = owned(cluster, entry).filter_map(revision_facts).collect();
        facts
            .revisions
            .sort_by(|a, b| (a.number, &a.hash).cmp(&(b.number, &b.hash)));
    }
    facts.managed_by = other_driver(cluster, entry).unwrap_or_default();
    facts.is_rollout_held = is_rollout_held(&entry.object.status);
}

/// Who else drives the `DaemonSet`'s rollouts.
fn other_driver(cluster: &Cluster, entry: &Entry) -> Option<String> {
    let annotations = &entry.object.metadata.annotations;
    let is_of_other = |key: &String| key.split('/').next() == Some(OTHER_DRIVER);
    if annotations.keys().any(is_of_other) {
        return Some(OTHER_DRIVER.to_owned());
    }
    let mut labels = cluster.driver_upgrade_labels();
    labels
        .find(|label| is_upgraded_by_operator(&entry.object, label))
        .cloned()
}

/// Whether an operator that tracks its upgrades of nodes in this label replaces the `DaemonSet`'s pods.
///
/// The label doesn't name the `DaemonSet`. Such operators use the strategy `OnDelete`, and the name or a label of their
/// `DaemonSet` has the word "driver" and the vendor's name: `nvidia-driver-daemonset`, or `nvidia.com/ofed-driver`.
fn is_upgraded_by_operator(object: &DaemonSet, upgrade_label: &str) -> bool {
    let domain = upgrade_label.split('/').next().unwrap_or_default();
    // operator.amd.com and nvidia.com belong to amd and nvidia.
    let Some(vendor) = domain.rsplit('.').nth(1) else {
        return false;
    };
    let metadata = &object.metadata;
    let labels = metadata.labels.iter().flat_map(|(key, value)| [key, value]);
    let words: Vec<_> = labels.chain([&metadata.name]).collect();
    let has = |word: &str| words.iter().any(|text| text.contains(word));
    object.spec.update_strategy.r#type == "OnDelete" && has("driver") && has(vendor)
}

/// The `ControllerRevision`s that a `DaemonSet` controls.
pub(super) fn owned<'c>(cluster: &'c Cluster, entry: &'c Entry) -> impl Iterator<Item = &'c CachedRevision> {
    cluster
        .revisions(&entry.object.metadata.namespace)
        .filter(|revision| revision.owner.as_ref() == Some(entry.owner()))
}

fn revision_facts(revision: &CachedRevision) -> Option<RevisionFacts> {
    Some(RevisionFacts {
        hash: revision.hash()?.to_owned(),
        number: revision.revision,
        template: Some((*revision.placement).clone()),
    })
}

/// Returns the `ControllerRevision` of a `DaemonSet` with this controller-revision-hash. One that something else controls
/// doesn't count.
pub(super) fn revision_of<'c>(
    cluster: &'c Cluster,
    entry: &'c Entry,
    hash: &str,
) -> Option<&'c CachedRevision> {
    owned(cluster, entry).find(|revision| revision.hash() == Some(hash))
}

/// Whether a planner that doesn't know policies must not replace the `DaemonSet`'s pods: a policy may apply to it, a
/// rollout hasn't been completed, or that can't be read (T3, T17).
fn is_held(cluster: &Cluster, entry: &Entry) -> bool {
    cluster.is_selected_by_policy(entry)
        || cluster.has_open_rollout(entry)
        || cluster.is_rollout_watch_failing()
}

/// Makes a planner that doesn't know policies replace nothing, and create pods of the current revision (T17).
fn hold(facts: &mut DaemonSetFacts, cluster: &Cluster, entry: &Entry) {
    facts.update_strategy = Some(UpdateStrategy {
        strategy: Some(update_strategy::Strategy::OnDelete(
            update_strategy::OnDelete::default(),
        )),
    });
    let rollout = cluster.rollout(entry).map(|rollout| rollout.facts(&facts.uid));
    let memory = rollout.and_then(|facts| facts.memory);
    let current = memory.and_then(|memory| revision_of(cluster, entry, &memory.current_revision));
    let Some((hash, current)) = current.and_then(|current| Some((current.hash()?, current))) else {
        return;
    };
    if hash != facts.update_revision {
        hash.clone_into(&mut facts.update_revision);
        facts.template = Some((*current.placement).clone());
        // Pods of the newer template must not count as current.
        facts.template_generation = None;
        facts.equal_revisions.clear();
    }
}

#[cfg(test)]
mod tests;
