//! Slim Kubernetes types with only the fields that decisions and actions read, under their Kubernetes names.
//!
//! Every field is optional, and unknown operators and phases are kept as strings, so that one unusual object doesn't
//! keep the others from being read.
//!
//! - [`Node`], [`Pod`], [`DaemonSet`] and [`revision`]: the objects that watches read. [`Meta`] is their metadata.
//! - [`demand`]: the parts of templates, nodes and `RuntimeClass`es that only unary calls read.
//! - [`policy`]: rollout policies, which only unary calls read as objects.
//! - [`checks`]: the parts of a [`DaemonSet`] that show whether the API server would accept it.
//! - [`fields`]: reads single fields as Kubernetes' decoder does.

mod affinity;
pub mod checks;
mod conditions;
mod daemon_set;
pub mod demand;
pub mod fields;
mod int_or_string;
mod meta;
mod node;
mod pod;
pub mod policy;
pub mod revision;
mod selectors;
mod template;

use std::collections::BTreeMap;

pub use self::{
    affinity::{Affinity, NodeAffinity},
    daemon_set::{
        DaemonSet, DaemonSetCondition, DaemonSetSpec, DaemonSetStatus, RollingUpdate, UpdateStrategy,
    },
    int_or_string::IntOrString,
    meta::{Meta, OwnerReference},
    node::{LIFECYCLE_CONDITIONS, Node, NodeCondition, NodeHealth, NodeSpec, READY, Taint},
    pod::{Condition, Pod, PodSpec, PodStatus},
    selectors::{LabelSelector, NodeSelector, NodeSelectorTerm, Requirement},
    template::{PodTemplate, PodTemplateSpec, Toleration},
};

/// Labels, annotations or a node selector.
pub type StringMap = BTreeMap<String, String>;
