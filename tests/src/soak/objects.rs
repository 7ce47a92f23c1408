//! The parts of a pod and of a `DaemonSet` that the checker needs.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;

use super::model::LastTime;
use super::placement::{NodeView, PlacementRules};
use crate::daemonsets::target_node;

/// The label that holds the version of the pod template that a pod was created from.
pub(super) const VERSION: &str = "soak/version";

/// A pod of a `DaemonSet`.
#[derive(Debug, Clone)]
pub(super) struct PodView {
    pub(super) name: String,
    pub(super) set: String,
    pub(super) node: String,
    pub(super) version: String,
    pub(super) bound: bool,
    pub(super) state: State,
    pub(super) deleting: bool,
    /// When it was last seen unready.
    pub(super) unready: LastTime,
}

/// The stage of a pod's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Unready,
    Ready,
    /// Succeeded or Failed.
    Over,
}

impl PodView {
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
        let owner = owners.iter().find(|owner| owner.kind == "DaemonSet")?;
        let status = pod.status.as_ref();
        let conditions = status
            .and_then(|status| status.conditions.as_deref())
            .unwrap_or_default();
        let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        let over = matches!(
            status.and_then(|status| status.phase.as_deref()),
            Some("Failed" | "Succeeded")
        );
        let ready = conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        Some(Self {
            name: pod.name_any(),
            set: owner.uid.clone(),
            node: target_node(pod).unwrap_or_default().to_owned(),
            version: pod.labels().get(VERSION).cloned().unwrap_or_default(),
            bound,
            state: match (over, ready) {
                (true, _) => State::Over,
                (false, true) => State::Ready,
                (false, false) => State::Unready,
            },
            deleting: pod.metadata.deletion_timestamp.is_some(),
            unready: LastTime::default(),
        })
    }

    /// Whether the pod counts as live: it is neither being deleted nor finished.
    pub(super) fn is_live(&self) -> bool {
        !self.deleting && self.state != State::Over
    }

    /// Whether it waits for a node that doesn't exist.
    pub(super) fn is_orphaned(&self, nodes: &BTreeMap<String, NodeView>) -> bool {
        !self.bound && !nodes.contains_key(&self.node)
    }

    pub(super) fn is_available(&self) -> bool {
        !self.deleting && self.state == State::Ready
    }
}

/// How updates replace pods: only on deletion, by deleting the old pod first, or by surging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    OnDelete,
    Replace,
    Surge,
}

/// A `DaemonSet`.
#[derive(Debug, Clone)]
pub(super) struct SetView {
    pub(super) name: String,
    pub(super) rules: PlacementRules,
    pub(super) version: String,
    pub(super) strategy: Strategy,
    max_unavailable: IntOrString,
    pub(super) generation: i64,
    pub(super) status: DaemonSetStatus,
    pub(super) deleting: bool,
}

impl SetView {
    pub(super) fn of(set: &DaemonSet) -> Self {
        let spec = &set.spec;
        let update = spec.update_strategy.as_ref();
        let rolling = update.and_then(|update| update.rolling_update.as_ref());
        let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
        let surges = surge.is_some_and(|surge| {
            !matches!(surge, IntOrString::Int(0)) && surge != &IntOrString::String("0%".to_owned())
        });
        let on_delete = update.is_some_and(|update| update.type_.as_deref() == Some("OnDelete"));
        let labels = spec
            .template
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.labels.as_ref());
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.clone());
        Self {
            name: set.name_any(),
            rules: PlacementRules::of(set),
            version: labels
                .and_then(|labels| labels.get(VERSION))
                .cloned()
                .unwrap_or_default(),
            strategy: match (on_delete, surges) {
                (true, _) => Strategy::OnDelete,
                (false, true) => Strategy::Surge,
                (false, false) => Strategy::Replace,
            },
            max_unavailable: unavailable.unwrap_or(IntOrString::Int(1)),
            generation: set.metadata.generation.unwrap_or_default(),
            status: set.status.clone().unwrap_or_default(),
            deleting: set.metadata.deletion_timestamp.is_some(),
        }
    }

    /// How many of the desired pods may be missing (R3).
    pub(super) fn max_unavailable(&self, desired: usize) -> usize {
        let most = match &self.max_unavailable {
            IntOrString::Int(number) => usize::try_from(*number).unwrap_or_default(),
            IntOrString::String(percent) => {
                let percent: usize = percent.trim_end_matches('%').parse().unwrap_or_default();
                (desired * percent).div_ceil(100)
            }
        };
        most.max(1)
    }
}
