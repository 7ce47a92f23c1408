//! Facts and decisions as plain types: no serde, no wire types, no clock.
//!
//! Strings are shared (`Arc<str>`): a session interns them, so a label that a thousand nodes carry is stored once.

mod demand;
mod labels;
mod problem;
mod quantity;
pub mod rollout;
mod uid;

use std::sync::Arc;

pub use self::{
    demand::{Container, Demand, HostPort, NodeTemplate, Requirements, Resources, RuntimeClass, Workload},
    labels::{LabelKey, Labels, same_text},
    problem::{Problem, ProblemCode},
    quantity::{Quantity, QuantityError},
    uid::Uid,
};

/// A shared string.
pub type Text = Arc<str>;

/// Milliseconds since the Unix epoch. Time reaches a decision only as a value of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub i64);

impl Millis {
    /// Returns the time that is `millis` milliseconds later.
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Returns the milliseconds from `earlier` to `self`. They are negative when `self` is before `earlier`.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A node, as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// metadata.name.
    pub name: Text,
    /// metadata.labels.
    pub labels: Labels,
    /// spec.taints.
    pub taints: Vec<Taint>,
    /// metadata.creationTimestamp.
    pub created: Millis,
    /// The status of the condition Ready. `None` if the node has no such condition or doesn't report.
    pub is_ready: Option<bool>,
}

/// One of a node's taints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// The taint's key.
    pub key: Text,
    /// The taint's value.
    pub value: Text,
    /// The taint's effect, as written.
    pub effect: Text,
}

/// One toleration of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration {
    /// The key. With operator Exists, an empty key tolerates every key.
    pub key: Text,
    /// The operator, as written. Empty means Equal.
    pub operator: Text,
    /// The value that the taint must have with operator Equal.
    pub value: Text,
    /// The effect. Empty tolerates every effect.
    pub effect: Text,
}

/// A `DaemonSet`, as decisions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct DaemonSet {
    /// metadata.namespace.
    pub namespace: Text,
    /// metadata.name.
    pub name: Text,
    /// metadata.uid.
    pub uid: Text,
    /// metadata.generation.
    pub generation: i64,
    /// Whether spec.selector is `{}` or missing.
    pub selects_everything: bool,
    /// Whether spec.selector is missing. Always false in a session, because the API server refuses a missing selector.
    pub lacks_selector: bool,
    /// Whether the `DaemonSet` is being deleted. Always false in a session, whose executor reports such a `DaemonSet` as
    /// gone.
    pub deleting: bool,
    /// The parts of spec.template that placement reads.
    pub template: PodTemplate,
    /// spec.updateStrategy.
    pub strategy: Strategy,
    /// The budget that a `DaemonSet` with the strategy `OnDelete` gives to a rollout policy.
    pub on_delete_max_unavailable: Option<Budget>,
    /// spec.minReadySeconds, in milliseconds.
    pub min_ready_millis: i64,
    /// The controller-revision-hash of the current template; empty when unknown.
    pub update_revision: Text,
    /// The template's generation from the `DaemonSet`'s annotation, in decimal.
    pub template_generation: Option<Text>,
    /// Other controller-revision-hashes of the current template, until its duplicate revisions are merged.
    pub equal_revisions: Vec<Text>,
    /// metadata.labels, for the selectors of policies.
    pub labels: Labels,
    /// The templates of its `ControllerRevision`s.
    pub revisions: Vec<Revision>,
    /// Who else drives its rollouts. Empty if nobody does.
    pub managed_by: Text,
    /// Whether a rollout was held when the `DaemonSet` was last seen.
    pub is_rollout_held: bool,
}

/// A `ControllerRevision` of a `DaemonSet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its controller-revision-hash.
    pub hash: Text,
    /// Its number: the newest has the highest.
    pub number: i64,
    /// The parts of its template that placement reads.
    pub template: PodTemplate,
}

impl DaemonSet {
    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// The parts of a pod template that placement reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodTemplate {
    /// spec.nodeName, if set.
    pub node_name: Option<Text>,
    /// spec.nodeSelector.
    pub node_selector: Labels,
    /// The terms of the required node affinity. An affinity that isn't set differs from one without terms.
    pub required_terms: Option<Vec<Term>>,
    /// spec.tolerations, as written.
    pub tolerations: Vec<Toleration>,
    /// spec.hostNetwork.
    pub host_network: bool,
}

/// A node selector term, as written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Term {
    /// Requirements over labels.
    pub expressions: Vec<Requirement>,
    /// Requirements over fields.
    pub fields: Vec<Requirement>,
}

/// A requirement of a node selector term, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's or field's key.
    pub key: Text,
    /// In, `NotIn`, Exists, `DoesNotExist`, Gt or Lt.
    pub operator: Text,
    /// The operator's values.
    pub values: Vec<Text>,
}

/// How new pods replace those of an old template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Old pods stay until somebody deletes them.
    OnDelete,
    /// Old pods are replaced as the budgets allow.
    RollingUpdate {
        /// The number of nodes that may be without an available pod.
        max_unavailable: Budget,
        /// The number of nodes that may have a new pod beside an available old one.
        max_surge: Budget,
    },
}

/// A number of pods, or a percentage of the desired number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// A number of pods.
    Count(i32),
    /// A percentage, rounded up.
    Percent(i32),
}

impl Budget {
    /// Returns the number of pods that the budget allows when `desired` pods are wanted. A negative budget allows 0.
    pub fn of(self, desired: usize) -> usize {
        match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(0),
            Self::Percent(percent) => {
                let percent = usize::try_from(percent).unwrap_or(0);
                percent.saturating_mul(desired).div_ceil(100)
            }
        }
    }
}

/// A pod's phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Pending, running or unknown: the pod is ready or can become ready.
    #[default]
    Active,
    /// All containers ended successfully.
    Succeeded,
    /// A container failed for good, or the kubelet refused the pod.
    Failed,
}

/// A pod that a `DaemonSet` controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// metadata.uid.
    pub uid: Text,
    /// metadata.name. It isn't shared, because every pod has its own name.
    pub name: Box<str>,
    /// The node that the pod is for. Empty when unknown.
    pub node: Text,
    /// Whether the pod is bound to that node.
    pub bound: bool,
    /// status.phase.
    pub phase: Phase,
    /// The time at which the pod became ready. `None` while it isn't ready.
    pub ready_since: Option<Millis>,
    /// The time at which the pod became unready. `None` while it is ready, and if it never was.
    pub unready_since: Option<Millis>,
    /// metadata.creationTimestamp.
    pub created: Millis,
    /// Whether the pod is being deleted.
    pub deleting: bool,
    /// The pod's controller-revision-hash.
    pub revision: Text,
    /// The pod's pod-template-generation. Empty if the pod has none.
    pub template_generation: Text,
}

/// Identifies the template that a pod was created from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TemplateId {
    /// The pod's controller-revision-hash.
    pub revision: Text,
    /// The pod's pod-template-generation. Empty if the pod has none.
    pub template_generation: Text,
}

impl Pod {
    /// Whether the pod has ended and will never be ready again.
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }
}

/// Whether a `DaemonSet`'s pod belongs on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A pod should run there.
    Run,
    /// No pod is created there. An existing pod stays.
    Keep,
    /// No pod is created there. An existing pod is deleted.
    Exclude,
}

/// The kinds of reasons for a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReasonCode {
    /// Everything fits.
    Fits,
    /// The template's spec.nodeName names another node.
    NodeName,
    /// The node lacks a label of the template's nodeSelector, or has another value for it.
    NodeSelector,
    /// A term of the required node affinity doesn't match.
    NodeAffinity,
    /// A taint of the node isn't tolerated.
    UntoleratedTaint,
    /// The `DaemonSet`'s selector is empty or missing.
    SelectsEverything,
    /// The `DaemonSet` is being deleted.
    BeingDeleted,
    /// The node lacks a label that the pod's `RuntimeClass` wants. The pod stays pending there.
    RuntimeClass,
}

/// One reason for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The kind of reason.
    pub code: ReasonCode,
    /// A sentence for people.
    pub message: String,
    /// The condition that isn't met, without what the node has instead. Empty when everything fits.
    pub condition: String,
    /// The reason in a form for programs.
    pub detail: Option<ReasonDetail>,
}

/// The exact requirement or taint that keeps a pod away from a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReasonDetail {
    /// A requirement on the node's labels or name.
    Requirement {
        /// The position of the node affinity's term, counted from 1. It is 0 for the nodeSelector.
        term: usize,
        /// The requirement.
        requirement: Requirement,
        /// The node's value, if it has one.
        actual: Option<Text>,
    },
    /// A taint that isn't tolerated.
    Taint {
        /// The taint.
        taint: Taint,
        /// A toleration that would admit the pod.
        admitted_by: Toleration,
    },
}

/// An action of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Create a pod.
    Create {
        /// The node that the pod is for.
        node: Text,
        /// The revision that the pod gets.
        revision: Text,
        /// The uid of the youngest pod known to have been on the node.
        succeeds: Option<Text>,
    },
    /// Delete a pod.
    Delete {
        /// The pod's name.
        pod: Text,
        /// The pod's uid.
        uid: Text,
        /// The node that the pod is for.
        node: Text,
        /// The reason for the deletion.
        reason: DeleteReason,
    },
}

/// Why a pod is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteReason {
    /// The pod's node should no longer run it.
    Excluded,
    /// The pod has failed.
    Failed,
    /// The pod has succeeded.
    Succeeded,
    /// Another pod of the `DaemonSet` is on the node.
    Excess,
    /// The pod is of an old template.
    Update,
    /// The pod waits for a node that is gone.
    NodeGone,
}

/// The counters of a `DaemonSet`'s status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(
    missing_docs,
    reason = "the fields are those of the apps/v1 status, by their names there"
)]
pub struct Status {
    pub observed_generation: i64,
    pub desired_number_scheduled: i32,
    pub current_number_scheduled: i32,
    pub number_misscheduled: i32,
    pub number_ready: i32,
    pub updated_number_scheduled: i32,
    pub number_available: i32,
    pub number_unavailable: i32,
}

/// A `DaemonSet`'s counters, with the availability and progress that follow from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutStatus {
    /// The counters.
    pub status: Status,
    /// The number of nodes that need an available pod for the `DaemonSet` to be available.
    pub min_available: i32,
    /// The rollout progress of the current template.
    pub progress: Progress,
}

/// The rollout progress of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Every node that should run a pod has an available pod of the template.
    Complete,
    /// Some pods are still missing, unavailable or of an old template.
    InProgress,
    /// Only old pods are left to replace, and they stay until somebody deletes them.
    WaitsForDeletion,
}
