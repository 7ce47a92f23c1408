//! Optional metrics of each `DaemonSet`. With thousands of `DaemonSet`s, they are the majority of all series.

use everynode_proto::planner::v1::DaemonSetStatus;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    namespace: String,
    daemonset: String,
}

type Gauges = Family<Labels, Gauge>;

#[derive(Debug, Default)]
pub(super) struct DaemonSets {
    desired: Gauges,
    current: Gauges,
    ready: Gauges,
    updated: Gauges,
    available: Gauges,
    misscheduled: Gauges,
    unavailable: Gauges,
    rollout: Gauges,
}

impl DaemonSets {
    fn all(&self) -> [(&'static str, &'static str, &Gauges); 8] {
        [
            (
                "desired",
                "Nodes that should run a pod of the DaemonSet",
                &self.desired,
            ),
            (
                "current",
                "Nodes that should run a pod of the DaemonSet and do",
                &self.current,
            ),
            (
                "ready",
                "Nodes that should run a pod of the DaemonSet and have a ready one",
                &self.ready,
            ),
            (
                "updated",
                "Nodes that should run a pod of the DaemonSet and have one of the current template",
                &self.updated,
            ),
            (
                "available",
                "Nodes that should run a pod of the DaemonSet and have an available one",
                &self.available,
            ),
            (
                "misscheduled",
                "Nodes that run a pod of the DaemonSet and should not",
                &self.misscheduled,
            ),
            (
                "unavailable",
                "Nodes that should run a pod of the DaemonSet and have no available one",
                &self.unavailable,
            ),
            (
                "rollout_in_progress",
                "Whether a rollout of the DaemonSet is in progress (1) or not (0)",
                &self.rollout,
            ),
        ]
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, gauges) in self.all() {
            registry.register(format!("daemonset_{name}"), help, gauges.clone());
        }
    }

    pub(super) fn set(&self, (namespace, name): (&str, &str), status: &DaemonSetStatus, rolls_out: bool) {
        let labels = Labels::of(namespace, name);
        for (gauges, count) in [
            (&self.desired, status.desired_number_scheduled),
            (&self.current, status.current_number_scheduled),
            (&self.ready, status.number_ready),
            (&self.updated, status.updated_number_scheduled),
            (&self.available, status.number_available),
            (&self.misscheduled, status.number_misscheduled),
            (&self.unavailable, status.number_unavailable),
            (&self.rollout, i32::from(rolls_out)),
        ] {
            gauges.get_or_create(&labels).set(count.into());
        }
    }

    pub(super) fn forget(&self, (namespace, name): (&str, &str)) {
        let labels = Labels::of(namespace, name);
        for (_, _, gauges) in self.all() {
            gauges.remove(&labels);
        }
    }

    pub(super) fn forget_all(&self) {
        for (_, _, gauges) in self.all() {
            gauges.clear();
        }
    }
}

impl Labels {
    fn of(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            daemonset: name.to_owned(),
        }
    }
}
