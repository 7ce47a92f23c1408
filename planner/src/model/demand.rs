//! The resources and ports that pods take on their node, and templates of nodes that needn't exist.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashSet;

use super::{Labels, Node, Quantity, Text, Toleration};

/// Amounts by resource, sorted by resource name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources(BTreeMap<Text, Quantity>);

impl Resources {
    /// Returns the amount of a resource, or `None` if it isn't listed.
    pub fn get(&self, name: &str) -> Option<Quantity> {
        self.0.get(name).copied()
    }

    /// Returns a mutable reference to the amount of a resource. Inserts zero if the resource isn't listed.
    pub fn entry(&mut self, name: &Text) -> &mut Quantity {
        self.0.entry(name.clone()).or_insert(Quantity::ZERO)
    }

    /// Adds all amounts of another list.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            *self.entry(name) += amount;
        }
    }

    /// Raises each amount to that of another list if the other is higher. Adds resources that aren't listed here.
    pub fn raise_to(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let own = self.entry(name);
            *own = own.max(amount);
        }
    }

    /// Adds the resources of another list that aren't listed here.
    pub fn fill_from(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            self.0.entry(name.clone()).or_insert(amount);
        }
    }

    /// Iterates over all amounts, in the order of resource names.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, Quantity)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    /// Whether no resource is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// If a resource occurs several times, its last amount counts.
impl FromIterator<(Text, Quantity)> for Resources {
    fn from_iter<I: IntoIterator<Item = (Text, Quantity)>>(amounts: I) -> Self {
        let mut resources = Self::default();
        for (name, amount) in amounts {
            *resources.entry(&name) = amount;
        }
        resources
    }
}

/// The resources of a container, or of a pod as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirements {
    /// resources.requests.
    pub requests: Resources,
    /// resources.limits.
    pub limits: Resources,
}

/// A container of a pod template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// The container's resources.
    pub resources: Requirements,
    /// Whether this is a sidecar: an init container that keeps running (restartPolicy Always).
    pub is_sidecar: bool,
    /// The host ports: those of the container's ports that name one, and all of its ports when the pod uses the host's
    /// network.
    pub host_ports: Vec<HostPort>,
}

/// The parts of a pod template that the scheduler reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workload {
    /// spec.initContainers.
    pub init_containers: Vec<Container>,
    /// spec.containers.
    pub containers: Vec<Container>,
    /// spec.resources.
    pub pod: Requirements,
    /// spec.overhead, or the overhead of the `RuntimeClass`.
    pub overhead: Resources,
}

/// A port on the node itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// The port's number.
    pub port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: Text,
    /// The node address that the port is bound to. Empty means all addresses.
    pub ip: Text,
}

/// The resources and host ports that one pod takes on its node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// Amounts by resource. `pods` is one of the resources.
    pub requests: Resources,
    /// Host ports, sorted and without duplicates.
    pub host_ports: Vec<HostPort>,
}

/// A `RuntimeClass`: what it adds to the pods that name it when they are created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeClass {
    /// metadata.name.
    pub name: Text,
    /// overhead.podFixed.
    pub overhead: Resources,
    /// scheduling.nodeSelector.
    pub node_selector: Labels,
    /// scheduling.tolerations.
    pub tolerations: Vec<Toleration>,
}

/// A hypothetical node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTemplate {
    /// The known properties of the node.
    pub node: Node,
    /// Keys of labels whose values are unknown.
    pub unknown_labels: Arc<HashSet<Text>>,
    /// The amounts that pods may request of the node. Empty when unknown.
    pub capacity: Resources,
}
