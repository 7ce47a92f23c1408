//! The caches of rollout policies, of what is remembered of rollouts, and of the labels of namespaces.
//!
//! The kinds are supplementary: the executor leads without them. [`Cluster::rollout_knowledge`] says what is known (T3).

use everynode_proto::{
    facts::object::StringMap,
    planner::v1::{NamespaceFacts, RolloutFacts, RolloutPolicyFacts, RolloutPolicyKnowledge, RolloutState},
};

use super::{
    Cluster, Entry, SharedStr, Version,
    cache::{Cache, Cached},
};
use crate::{
    apiserver::{
        objects::{ClusterPolicy, Namespace, NamespacedPolicy, PolicyObject, Rollout, Watched},
        watch::WatchState,
    },
    rollouts::{kinds::PolicyStatus, memory::RolloutObject, policy},
    status::conditions,
};

/// A policy, as far as it is cached.
#[derive(Debug)]
pub(crate) struct CachedPolicy {
    /// The facts for the planner.
    pub facts: RolloutPolicyFacts,
    /// metadata.resourceVersion.
    pub resource_version: String,
    /// The status as it is written.
    pub status: PolicyStatus,
}

impl CachedPolicy {
    fn new(object: &PolicyObject, is_of_cluster: bool) -> Self {
        let status = object.status.as_ref();
        Self {
            facts: policy::facts(object, is_of_cluster),
            resource_version: object.metadata.resource_version.clone(),
            // A status that can't be read is written again.
            status: status
                .and_then(|raw| serde_json::from_str(raw.get()).ok())
                .unwrap_or_default(),
        }
    }
}

impl Cached for NamespacedPolicy {
    type Value = CachedPolicy;

    const REUSES_KEYS: bool = false;

    fn cache_key(&self) -> &str {
        &self.0.metadata.uid
    }

    fn cache(cluster: &mut Cluster) -> &mut Cache<Self::Value> {
        &mut cluster.policies
    }

    fn set(self, cluster: &mut Cluster, uid: SharedStr, version: Version) {
        let policy = CachedPolicy::new(&self.0, false);
        cluster.on_policy_changed(&uid, &policy);
        cluster.policies.insert(uid, policy, version);
    }

    fn forget(cluster: &mut Cluster, uid: &SharedStr) {
        if cluster.policies.remove(uid).is_some() {
            cluster.touch_policy(uid.clone());
        }
    }
}

impl Cached for ClusterPolicy {
    type Value = CachedPolicy;

    const REUSES_KEYS: bool = false;

    fn cache_key(&self) -> &str {
        &self.0.metadata.uid
    }

    fn cache(cluster: &mut Cluster) -> &mut Cache<Self::Value> {
        &mut cluster.cluster_policies
    }

    fn set(self, cluster: &mut Cluster, uid: SharedStr, version: Version) {
        let policy = CachedPolicy::new(&self.0, true);
        cluster.on_policy_changed(&uid, &policy);
        cluster.cluster_policies.insert(uid, policy, version);
    }

    fn forget(cluster: &mut Cluster, uid: &SharedStr) {
        if cluster.cluster_policies.remove(uid).is_some() {
            cluster.touch_policy(uid.clone());
        }
    }
}

impl Cached for Rollout {
    type Value = RolloutObject;

    const REUSES_KEYS: bool = true;

    fn cache_key(&self) -> &str {
        &self.key
    }

    fn cache(cluster: &mut Cluster) -> &mut Cache<Self::Value> {
        &mut cluster.rollouts
    }

    fn set(self, cluster: &mut Cluster, key: SharedStr, version: Version) {
        let now = RolloutObject::new(&self);
        let before = cluster.rollouts.get(&key);
        // Counters are written often, and are no facts (T13).
        let is_same = before.is_some_and(|before| before.verbs == now.verbs && before.memory == now.memory);
        if !is_same {
            cluster.touch_rollout(&key);
        }
        cluster.rollouts.insert(key, now, version);
    }

    fn forget(cluster: &mut Cluster, key: &SharedStr) {
        if cluster.rollouts.remove(key).is_some() {
            cluster.touch_rollout(key);
        }
    }
}

impl Cached for Namespace {
    type Value = StringMap;

    const REUSES_KEYS: bool = true;

    fn cache_key(&self) -> &str {
        &self.metadata.name
    }

    fn cache(cluster: &mut Cluster) -> &mut Cache<Self::Value> {
        &mut cluster.namespaces
    }

    fn set(self, cluster: &mut Cluster, name: SharedStr, version: Version) {
        let labels = self.metadata.labels;
        if cluster.namespaces.get(&name) != Some(&labels) {
            cluster.touch_namespace(name.clone());
        }
        cluster.namespaces.insert(name, labels, version);
    }

    fn forget(cluster: &mut Cluster, name: &SharedStr) {
        if cluster.namespaces.remove(name).is_some() {
            cluster.touch_namespace(name.clone());
        }
    }
}

impl Cluster {
    /// Applies the state of the watch of a supplementary kind.
    pub(super) fn apply_watch_state(&mut self, kind: &'static str, state: WatchState) {
        let before = self.rollout_knowledge();
        if self.watch_states.insert(kind, state) != Some(state) && self.rollout_knowledge() != before {
            self.touched.knowledge = true;
            self.touch_announcements();
        }
    }

    /// Whether the policies and what is remembered are known. Without them, nothing may be replaced.
    pub(crate) fn rollout_knowledge(&self) -> RolloutPolicyKnowledge {
        let state = |kind: &str| self.watch_states.get(kind).copied();
        let policies = [state(NamespacedPolicy::KIND), state(ClusterPolicy::KIND)];
        let is_known =
            |state: Option<WatchState>| matches!(state, Some(WatchState::Following | WatchState::NotServed));
        let has_namespaces = self.cluster_policies.len() == 0 || is_known(state(Namespace::KIND));
        if !policies.into_iter().all(is_known) || !is_known(state(Rollout::KIND)) || !has_namespaces {
            return RolloutPolicyKnowledge::Unknown;
        }
        if policies.contains(&Some(WatchState::Following)) {
            RolloutPolicyKnowledge::Known
        } else {
            RolloutPolicyKnowledge::Absent
        }
    }

    /// Whether a watch that tells of policies or of memory fails. The namespaces matter only to a policy of the cluster.
    pub(crate) fn is_rollout_watch_failing(&self) -> bool {
        let is_failing = |kind: &str| self.watch_states.get(kind) == Some(&WatchState::Failing);
        let kinds = [NamespacedPolicy::KIND, ClusterPolicy::KIND, Rollout::KIND];
        kinds.into_iter().any(is_failing) || (self.cluster_policies.len() > 0 && is_failing(Namespace::KIND))
    }

    fn on_policy_changed(&mut self, uid: &SharedStr, now: &CachedPolicy) {
        if self.policy(uid).is_none_or(|before| before.facts != now.facts) {
            self.touch_policy(uid.clone());
        }
    }

    fn touch_policy(&mut self, uid: SharedStr) {
        self.touched.policies.insert(uid);
        // Whether a policy of the cluster exists decides whether namespaces have to be known.
        self.touched.knowledge = true;
        self.touch_announcements();
    }

    fn touch_namespace(&mut self, name: SharedStr) {
        self.touched.namespaces.insert(name);
        if self.cluster_policies.len() > 0 {
            self.touch_announcements();
        }
    }

    /// Marks the rollout with this key as changed.
    fn touch_rollout(&mut self, key: &str) {
        let owner = self
            .daemon_sets
            .iter()
            .find(|(_, entry)| entry.object.key() == key);
        if let Some(uid) = owner.map(|(uid, _)| uid.clone()) {
            self.touched.rollouts.insert(uid.clone());
            self.touched.announcements.insert(uid);
        }
    }

    /// Marks all `DaemonSet`s: their facts may differ for the planner, because policies or labels of nodes have changed.
    pub(super) fn touch_announcements(&mut self) {
        self.touched
            .announcements
            .extend(self.daemon_sets.keys().cloned());
    }

    /// Marks everything about rollouts as changed, for a new planner session.
    pub(super) fn touch_all_rollouts(&mut self) {
        let policies = self.policies.keys().chain(self.cluster_policies.keys());
        self.touched.policies.extend(policies.cloned());
        self.touched.namespaces.extend(self.namespaces.keys().cloned());
        if self.rollouts.len() > 0 {
            self.touched.rollouts.extend(self.daemon_sets.keys().cloned());
        }
        self.touched.knowledge = true;
    }

    /// A policy, of the cluster or of a namespace.
    pub(crate) fn policy(&self, uid: &str) -> Option<&CachedPolicy> {
        self.policies.get(uid).or_else(|| self.cluster_policies.get(uid))
    }

    /// Whether there is any policy.
    pub(crate) fn has_policies(&self) -> bool {
        self.policies.len() + self.cluster_policies.len() > 0
    }

    /// Whether planners may have to know revisions: there is a policy, or a rollout is remembered.
    pub(super) fn has_policies_or_rollouts(&self) -> bool {
        self.has_policies() || self.rollouts.len() > 0
    }

    /// All policies, of namespaces and of the cluster.
    pub(crate) fn all_policies(&self) -> impl Iterator<Item = &CachedPolicy> {
        self.policies.values().chain(self.cluster_policies.values())
    }

    /// The `DaemonSet`s that have a `DaemonSetRollout`, with their uids.
    pub(crate) fn daemon_set_rollouts(&self) -> impl Iterator<Item = (&SharedStr, &Entry, &RolloutObject)> {
        // Without any rollout, no key has to be made.
        let any = self.rollouts.len() > 0;
        let daemon_sets = any.then(|| self.daemon_sets.iter()).into_iter().flatten();
        daemon_sets.filter_map(|(uid, entry)| Some((uid, entry, self.rollout(entry)?)))
    }

    /// Whether the executor that leads has to know rollout policies: one applies to a `DaemonSet`, or a rollout hasn't been
    /// completed, even if the kinds have been removed. `None` if that isn't known at the moment.
    pub(crate) fn needs_rollout_policies(&self) -> Option<bool> {
        match self.rollout_knowledge() {
            RolloutPolicyKnowledge::Known | RolloutPolicyKnowledge::Absent => {}
            RolloutPolicyKnowledge::Unknown | RolloutPolicyKnowledge::Unspecified => return None,
        }
        let is_accepted = |policy: &CachedPolicy| policy.status.accepted > 0;
        let is_open = |entry: &Entry| self.has_open_rollout(entry);
        Some(self.all_policies().any(is_accepted) || self.daemon_sets.values().any(is_open))
    }

    /// Whether a policy names or selects a `DaemonSet`. Which of several applies is the planner's decision.
    pub(crate) fn is_selected_by_policy(&self, entry: &Entry) -> bool {
        let metadata = &entry.object.metadata;
        let none = StringMap::new();
        let namespace = self.namespaces.get(&metadata.namespace).unwrap_or(&none);
        let mut policies = self.policies.values().chain(self.cluster_policies.values());
        policies.any(|known| {
            policy::selects(
                &known.facts,
                &metadata.namespace,
                &metadata.name,
                &metadata.labels,
                namespace,
            )
        })
    }

    /// The facts of a namespace.
    pub(crate) fn namespace_facts(&self, name: &str) -> Option<NamespaceFacts> {
        let labels = self.namespaces.get(name)?;
        Some(NamespaceFacts {
            name: name.to_owned(),
            labels: labels.clone().into_iter().collect(),
        })
    }

    /// The `DaemonSetRollout` of a `DaemonSet`.
    pub(crate) fn rollout(&self, entry: &Entry) -> Option<&RolloutObject> {
        self.rollouts.get(&entry.object.key())
    }

    /// What people ask of the rollout of the `DaemonSet` with this uid, and what is remembered of it. `None` without the
    /// `DaemonSet`.
    pub(crate) fn rollout_facts(&self, uid: &str) -> Option<RolloutFacts> {
        let rollout = self.rollout(self.daemon_set(uid)?);
        let none = || RolloutFacts {
            daemon_set_uid: uid.to_owned(),
            ..RolloutFacts::default()
        };
        Some(rollout.map_or_else(none, |rollout| rollout.facts(uid)))
    }

    /// Whether a rollout of the `DaemonSet` hasn't been completed: memory says so, or, where nothing is remembered, the
    /// condition of the `DaemonSet` (T3, T14).
    pub(crate) fn has_open_rollout(&self, entry: &Entry) -> bool {
        let facts = self
            .rollout(entry)
            .map(|rollout| rollout.facts(&entry.owner().uid));
        match facts.and_then(|facts| facts.memory) {
            Some(memory) => memory.state() != RolloutState::Completed,
            None => conditions::is_rollout_held(&entry.object.status),
        }
    }

    /// Whether a revision must not be deleted, because memory names it or can't be read (H3).
    pub(crate) fn is_revision_remembered(&self, entry: &Entry, hash: &str) -> bool {
        if self.watch_states.get(Rollout::KIND) == Some(&WatchState::Failing) {
            return true;
        }
        let memory = self.rollout(entry).and_then(|rollout| rollout.memory.as_ref());
        memory.is_some_and(|memory| memory.current_revision == hash || memory.update_revision == hash)
    }

    /// Applies a rollout from the response to a read or a write. The response can be older than the watch's latest event.
    pub(crate) fn apply_written_rollout(&mut self, object: Rollout) {
        let key: SharedStr = object.key.as_str().into();
        let version = Version::parse(object.version());
        let known = self.rollouts.version(&key);
        if known.map_or(version > *self.rollouts.listing.latest_version(), |known| {
            version >= *known
        }) {
            object.set(self, key, version);
        }
    }
}
