//! Facts and decisions as plain types: no serde, no wire types, no clock.
//!
//! Strings are shared (`Arc<str>`): a session interns them, so a label that a thousand nodes carry is stored once.

mod demand;
mod labels;
mod quantity;
mod uid;

use std::sync::Arc;

pub use self::{
    demand::{Container, Demand, HostPort, NodeTemplate, Requirements, Resources, Workload},
    labels::{LabelKey, Labels, same},
    quantity::{NoQuantity, Quantity},
    uid::Uid,
};

/// A shared string.
pub type Text = Arc<str>;

/// Milliseconds since the Unix epoch. Time reaches a decision only as a value of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub i64);

impl Millis {
    /// The time so many milliseconds later.
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// How many milliseconds `self` is after `earlier`; negative when it is before.
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
    /// Empty with operator Exists: every key.
    pub key: Text,
    /// As written; empty means Equal.
    pub operator: Text,
    /// The value to equal.
    pub value: Text,
    /// Empty: every effect.
    pub effect: Text,
}

/// A `DaemonSet`, as decisions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonSet {
    /// metadata.namespace.
    pub namespace: Text,
    /// metadata.name.
    pub name: Text,
    /// metadata.uid.
    pub uid: Text,
    /// metadata.generation.
    pub generation: i64,
    /// Whether spec.selector is `{}`.
    pub selects_everything: bool,
    /// What placement reads of spec.template.
    pub template: PodTemplate,
    /// spec.updateStrategy.
    pub strategy: Strategy,
    /// spec.minReadySeconds, in milliseconds.
    pub min_ready_millis: i64,
    /// The controller-revision-hash of the current template; empty when unknown.
    pub update_revision: Text,
    /// The generation of the template by the `DaemonSet`'s annotation, in decimal.
    pub template_generation: Option<Text>,
}

impl DaemonSet {
    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// What placement reads of a pod template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodTemplate {
    /// spec.nodeName, if set.
    pub node_name: Option<Text>,
    /// spec.nodeSelector.
    pub node_selector: Labels,
    /// The terms of the required node affinity; none set is not the same as no term.
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

/// How pods of an old template give way to new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Old pods stay until somebody deletes them.
    OnDelete,
    /// Old pods are replaced as the budgets allow.
    RollingUpdate {
        /// How many nodes may be without an available pod.
        max_unavailable: Budget,
        /// How many nodes may have a new pod beside an available old one.
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
    /// The number of pods that the budget means when `desired` are wanted. Never negative.
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
    /// Not yet running, or unknown: it may yet become ready.
    #[default]
    Active,
    /// All containers ended well.
    Succeeded,
    /// A container failed for good, or the kubelet refused the pod.
    Failed,
}

/// A pod that a `DaemonSet` controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// metadata.uid.
    pub uid: Text,
    /// metadata.name. A pod's name is its own, so it isn't shared.
    pub name: Box<str>,
    /// The node that the pod is for; empty when unknown.
    pub node: Text,
    /// Whether it is bound to that node.
    pub bound: bool,
    /// status.phase.
    pub phase: Phase,
    /// When it became ready, if it is.
    pub ready_since: Option<Millis>,
    /// metadata.creationTimestamp.
    pub created: Millis,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its controller-revision-hash.
    pub revision: Text,
    /// Its pod-template-generation; empty without one.
    pub template_generation: Text,
}

/// What tells of which template a pod is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Its controller-revision-hash.
    pub revision: Text,
    /// Its pod-template-generation; empty without one.
    pub template_generation: Text,
}

impl Pod {
    /// Whether the pod is over: it will never be ready again.
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }
}

/// Whether a `DaemonSet`'s pod belongs on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A pod should run there.
    Run,
    /// None is created there, one that is there stays.
    Keep,
    /// None is created there, one that is there goes.
    Exclude,
}

/// What a reason is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReasonCode {
    /// Everything fits.
    Fits,
    /// The template's spec.nodeName names another node.
    NodeName,
    /// A label of the template's nodeSelector is missing or other on the node.
    NodeSelector,
    /// A term of the required node affinity doesn't match.
    NodeAffinity,
    /// A taint of the node isn't tolerated.
    UntoleratedTaint,
    /// The `DaemonSet`'s selector is empty.
    SelectsEverything,
}

/// One reason for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What it is about.
    pub code: ReasonCode,
    /// A sentence for people.
    pub message: String,
    /// The condition that isn't met, without what the node has instead; empty when all fits.
    pub condition: String,
    /// The same for programs.
    pub detail: Option<ReasonDetail>,
}

/// What exactly isn't met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReasonDetail {
    /// A requirement on the node's labels or name.
    Requirement {
        /// The place, from 1, of the node affinity's term; 0 for the nodeSelector.
        term: usize,
        /// The requirement.
        requirement: Requirement,
        /// What the node has, if anything.
        actual: Option<Text>,
    },
    /// A taint that isn't tolerated.
    Taint {
        /// The taint.
        taint: Taint,
        /// A toleration that would admit it.
        admitted_by: Toleration,
    },
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Create a pod.
    Create {
        /// The node that it is for.
        node: Text,
        /// The revision that it gets.
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
        /// The node that it is for.
        node: Text,
        /// Why.
        reason: DeleteReason,
    },
}

/// Why a pod is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteReason {
    /// Its node should not run it any more.
    Excluded,
    /// It has failed.
    Failed,
    /// It has succeeded.
    Succeeded,
    /// Another pod of the `DaemonSet` is on the node.
    Excess,
    /// It is of an old template.
    Update,
    /// It waits for a node that is gone.
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

/// How a `DaemonSet` stands by its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The counters.
    pub status: Status,
    /// How many nodes need an available pod for it to be available.
    pub fewest_available: i32,
    /// How far the current template has come.
    pub progress: Progress,
}

/// How far a template has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Every node that should run a pod has an available one of it.
    Complete,
    /// Not yet.
    InProgress,
    /// Old pods stay until somebody deletes them; all else is done.
    WaitsForDeletion,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemCode {
    /// A node affinity term can't be parsed.
    MalformedTerm,
    /// The `DaemonSet`'s selector is empty.
    SelectsEverything,
    /// Current pods can't be told from old ones.
    UnknownRevision,
}

/// What is wrong with a `DaemonSet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem.
    pub code: ProblemCode,
    /// The path of the field.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}
