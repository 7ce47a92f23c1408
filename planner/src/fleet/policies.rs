//! The rollout policies of a fleet, and which of them applies to which `DaemonSet`.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::{memory, nodes::Nodes, row::rollout::Governance};
use crate::{
    decide::rollout::{
        precedence::{self, Acceptance, Candidate},
        warnings::{self, Warning},
    },
    model::{
        DaemonSet, Labels, Text,
        rollout::{Knowledge, Memory, Policy, Stage, Targets, Verbs},
    },
};

/// Policies, and the facts that decide to which `DaemonSet` they apply.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    knowledge: Knowledge,
    /// By uid.
    by_uid: BTreeMap<Text, Policy>,
    /// The labels of namespaces, by name.
    namespaces: HashMap<Text, Labels>,
    /// Estimated bytes of the namespaces.
    namespace_bytes: usize,
    /// What people ask of rollouts, and what is remembered of them, by the `DaemonSet`'s uid.
    rollouts: HashMap<Text, (Verbs, Option<Memory>)>,
    changed: Changed,
    /// Whether a policy, a `DaemonSet` or a namespace has changed since the last reports. Rollouts are in no report.
    reports_may_differ: bool,
    /// The stages whose nodeSelector selects no node, by the policy's uid.
    empty_stages: BTreeMap<Text, Vec<Text>>,
    /// Whether nodes or policies have changed since the empty stages were found.
    empty_stages_may_differ: bool,
    /// What held for each policy as of the last call of [`Policies::changed_reports`].
    reported: BTreeMap<Text, PolicyReport>,
}

/// What holds for a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyReport {
    /// The policy's uid.
    pub uid: Text,
    /// The generation of the policy that this is about.
    pub generation: i64,
    /// The `DaemonSet`s that it names or selects: first those that it doesn't apply to, then by name.
    pub targets: Vec<PolicyTarget>,
    /// What is wrong with the policy itself.
    pub error: Option<Text>,
    /// Probable mistakes in the policy.
    pub warnings: Vec<Warning>,
}

/// A `DaemonSet` that a policy names or selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTarget {
    /// Its namespace.
    pub namespace: Text,
    /// Its name.
    pub name: Text,
    /// Whether the policy applies to it.
    pub acceptance: Acceptance,
}

impl PolicyReport {
    fn new(policy: &Policy, mut targets: Vec<PolicyTarget>) -> Self {
        if let (Targets::Names(names), Some(namespace)) = (&policy.targets, &policy.namespace) {
            let missing = names
                .iter()
                .filter(|name| !targets.iter().any(|target| target.name == **name));
            let missing: Vec<_> = missing
                .map(|name| PolicyTarget {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    acceptance: Acceptance::NotFound,
                })
                .collect();
            targets.extend(missing);
        }
        targets.sort_by(|a, b| {
            let key = |target: &PolicyTarget| {
                let is_accepted = target.acceptance == Acceptance::Accepted;
                (is_accepted, target.namespace.clone(), target.name.clone())
            };
            key(a).cmp(&key(b))
        });
        Self {
            uid: policy.uid.clone(),
            generation: policy.generation,
            targets,
            error: policy.spec.as_ref().err().cloned(),
            warnings: policy
                .spec
                .as_ref()
                .map(|spec| warnings::of_spec(spec))
                .unwrap_or_default(),
        }
    }
}

/// The `DaemonSet`s for which another policy may apply now.
#[derive(Debug, Default)]
enum Changed {
    #[default]
    None,
    Some(HashSet<Text>),
    All,
}

impl Policies {
    /// Sets whether the policies are known.
    pub(crate) fn set_knowledge(&mut self, knowledge: Knowledge) {
        if std::mem::replace(&mut self.knowledge, knowledge) != knowledge {
            self.touch_all();
        }
    }

    /// Adds a policy or replaces its earlier state.
    pub(crate) fn set(&mut self, policy: Policy) {
        if self.by_uid.get(&policy.uid) != Some(&policy) {
            self.by_uid.insert(policy.uid.clone(), policy);
            self.touch_all();
            self.empty_stages_may_differ = true;
        }
    }

    /// Removes a policy.
    pub(crate) fn remove(&mut self, uid: &str) {
        if self.by_uid.remove(uid).is_some() {
            self.touch_all();
        }
    }

    /// Sets the labels of a namespace, or removes it.
    pub(crate) fn set_namespace(&mut self, name: Text, labels: Option<Labels>) {
        self.namespace_bytes += labels
            .as_ref()
            .map_or(0, |labels| name.len() + memory::of_labels(labels));
        let bytes_before = self.namespaces.get(&name);
        let bytes_before = bytes_before.map_or(0, |labels| name.len() + memory::of_labels(labels));
        self.namespace_bytes = self.namespace_bytes.saturating_sub(bytes_before);
        let is_new = self.namespaces.get(&name) != labels.as_ref();
        match labels {
            Some(labels) => drop(self.namespaces.insert(name, labels)),
            None => drop(self.namespaces.remove(&name)),
        }
        // Only policies of the cluster select namespaces, and there are few.
        if is_new && self.by_uid.values().any(|policy| policy.namespace.is_none()) {
            self.touch_all();
        }
    }

    /// Sets what people ask of a `DaemonSet`'s rollout, and what is remembered of it.
    pub(crate) fn set_rollout(&mut self, daemon_set: &Text, verbs: Verbs, memory: Option<Memory>) {
        let now = (verbs, memory);
        if self.rollouts.get(daemon_set) != Some(&now) {
            self.rollouts.insert(daemon_set.clone(), now);
            self.mark(daemon_set);
        }
    }

    /// Forgets a `DaemonSet` that is gone. No policy applies to it any more.
    pub(crate) fn forget(&mut self, daemon_set: &str) {
        self.rollouts.remove(daemon_set);
        self.reports_may_differ = true;
    }

    /// Marks that another policy may apply to a `DaemonSet`, which has changed.
    pub(crate) fn touch(&mut self, daemon_set: &Text) {
        self.reports_may_differ = true;
        self.mark(daemon_set);
    }

    /// Marks that another policy may apply to any `DaemonSet`.
    fn touch_all(&mut self) {
        self.reports_may_differ = true;
        self.changed = Changed::All;
    }

    fn mark(&mut self, daemon_set: &Text) {
        match &mut self.changed {
            Changed::All => {}
            Changed::Some(changed) => {
                changed.insert(daemon_set.clone());
            }
            Changed::None => self.changed = Changed::Some(HashSet::from_iter([daemon_set.clone()])),
        }
    }

    /// Estimates the bytes that the policies and what is remembered take.
    pub(crate) fn bytes(&self) -> usize {
        self.namespace_bytes
            + self.by_uid.len() * memory::POLICY_BYTES
            + self.rollouts.len() * memory::MEMORY_BYTES
    }

    /// Whether another policy may apply to a `DaemonSet` since the last call of [`Policies::settle`].
    pub(crate) fn may_differ(&self, daemon_set: &Text) -> bool {
        match &self.changed {
            Changed::None => false,
            Changed::Some(changed) => changed.contains(daemon_set),
            Changed::All => true,
        }
    }

    /// Whether another policy may apply to any `DaemonSet`.
    pub(crate) fn has_changed(&self) -> bool {
        !matches!(self.changed, Changed::None)
    }

    /// Marks that a node has come or gone, or has other labels.
    pub(crate) fn touch_nodes(&mut self) {
        self.empty_stages_may_differ = true;
    }

    /// Finds the stages whose nodeSelector selects no node. Looks at the nodes
    /// only if they or the policies have changed, and only until each selector has found one.
    pub(crate) fn find_empty_stages(&mut self, nodes: &Nodes) {
        if !std::mem::take(&mut self.empty_stages_may_differ) {
            return;
        }
        let present = || nodes.in_order().iter().filter_map(|index| nodes.get(*index));
        let has_nodes = present().next().is_some();
        let is_empty = |stage: &&Stage| {
            let selector = &stage.node_selector;
            has_nodes
                && !selector.requirements.is_empty()
                && !present().any(|node| selector.selects(&node.labels))
        };
        let empty_stages = self.by_uid.values().filter_map(|policy| {
            let stages = &policy.spec.as_ref().ok()?.stages;
            let names: Vec<_> = stages
                .iter()
                .filter(is_empty)
                .map(|stage| stage.name.clone())
                .collect();
            (!names.is_empty()).then(|| (policy.uid.clone(), names))
        });
        let empty_stages = empty_stages.collect();
        self.reports_may_differ |= self.empty_stages != empty_stages;
        self.empty_stages = empty_stages;
    }

    /// Marks that every `DaemonSet` has the policy that applies now.
    pub(crate) fn settle(&mut self) {
        self.changed = Changed::None;
    }

    /// The policy that applies to a `DaemonSet`, what people ask of its rollout, and what is remembered of it.
    pub(crate) fn of(&self, daemon_set: &DaemonSet) -> (Governance, Verbs, Option<Memory>) {
        let (verbs, memory) = self.rollouts.get(&daemon_set.uid).cloned().unwrap_or_default();
        let governance = match (self.knowledge, self.applying(daemon_set)) {
            (Knowledge::Unknown, policy) => Governance::Unknown {
                uid: policy.map(|policy| policy.uid.clone()).unwrap_or_default(),
                spec: policy.and_then(|policy| policy.spec.clone().ok()),
            },
            (Knowledge::Known, Some(policy)) => Governance::Policy {
                uid: policy.uid.clone(),
                spec: policy.spec.clone(),
            },
            (Knowledge::Known, None) | (Knowledge::Absent, _) => Governance::None,
        };
        (governance, verbs, memory)
    }

    /// The policy that applies to a `DaemonSet`, as far as policies have been reported.
    fn applying(&self, daemon_set: &DaemonSet) -> Option<&Policy> {
        let policies: Vec<_> = self.by_uid.values().collect();
        let (applying, _) = precedence::resolve(&self.candidate(daemon_set), &policies);
        policies.get(applying?).copied()
    }

    /// Whether the reports may be others than in the last call of [`Policies::changed_reports`].
    pub(crate) fn reports_may_differ(&self) -> bool {
        self.reports_may_differ
    }

    /// Returns the reports of the policies whose report has changed since the last call.
    pub(crate) fn changed_reports<'d>(
        &mut self,
        daemon_sets: impl Iterator<Item = &'d DaemonSet>,
    ) -> Vec<PolicyReport> {
        self.reports_may_differ = false;
        let reports = self.reports(daemon_sets);
        let is_new = |report: &&PolicyReport| self.reported.get(&report.uid) != Some(*report);
        let changed = reports.iter().filter(is_new).cloned().collect();
        self.reported = reports
            .into_iter()
            .map(|report| (report.uid.clone(), report))
            .collect();
        changed
    }

    fn reports<'d>(&self, daemon_sets: impl Iterator<Item = &'d DaemonSet>) -> Vec<PolicyReport> {
        let policies: Vec<_> = self.by_uid.values().collect();
        let mut targets = vec![Vec::new(); policies.len()];
        for daemon_set in daemon_sets {
            let (_, acceptances) = precedence::resolve(&self.candidate(daemon_set), &policies);
            for (position, acceptance) in acceptances {
                if let Some(targets) = targets.get_mut(position) {
                    targets.push(PolicyTarget {
                        namespace: daemon_set.namespace.clone(),
                        name: daemon_set.name.clone(),
                        acceptance,
                    });
                }
            }
        }
        let reports = policies.iter().zip(targets);
        reports
            .map(|(policy, targets)| {
                let mut report = PolicyReport::new(policy, targets);
                let empty = self.empty_stages.get(&policy.uid).into_iter().flatten();
                report.warnings.extend(empty.map(warnings::empty_stage));
                report
            })
            .collect()
    }

    fn candidate<'d>(&'d self, daemon_set: &'d DaemonSet) -> Candidate<'d> {
        Candidate {
            namespace: &daemon_set.namespace,
            namespace_labels: self.namespaces.get(&daemon_set.namespace),
            name: &daemon_set.name,
            labels: &daemon_set.labels,
            strategy: daemon_set.strategy,
            managed_by: &daemon_set.managed_by,
        }
    }
}
