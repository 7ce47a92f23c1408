//! The parts of pod templates, nodes and `RuntimeClass`es from which the scheduler computes resources and host ports.
//!
//! Only unary calls read these types. Watches don't.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use super::{
    Meta, StringMap, Toleration,
    fields::{list, null_as_default, port, string_map},
};

/// A quantity as written. As in Kubernetes, it may be a number, because hand-written YAML often omits the quotes, and
/// null is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity(pub String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QuantityVisitor;

        impl Visitor<'_> for QuantityVisitor {
            type Value = Quantity;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a quantity such as 100m or 1Gi")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Quantity, E> {
                Ok(Quantity("0".to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }
        }

        deserializer.deserialize_any(QuantityVisitor)
    }
}

/// Quantities by resource.
pub type Quantities = BTreeMap<String, Quantity>;

/// The parts of a pod template that the scheduler reads.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SchedulingTemplate {
    /// template.spec.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: SchedulingSpec,
}

/// The parts of a pod template's spec that the scheduler reads.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SchedulingSpec {
    /// spec.initContainers.
    #[serde(deserialize_with = "list")]
    pub init_containers: Vec<Container>,
    /// spec.containers.
    #[serde(deserialize_with = "list")]
    pub containers: Vec<Container>,
    /// spec.resources: the resources of the pod as a whole.
    #[serde(deserialize_with = "null_as_default")]
    pub resources: ResourceRequirements,
    /// spec.overhead.
    pub overhead: Option<Quantities>,
    /// spec.runtimeClassName.
    #[serde(deserialize_with = "null_as_default")]
    pub runtime_class_name: String,
    /// spec.hostNetwork.
    #[serde(deserialize_with = "null_as_default")]
    pub host_network: bool,
}

/// One of a pod's containers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// The container's restartPolicy. Always makes an init container a sidecar.
    #[serde(deserialize_with = "null_as_default")]
    pub restart_policy: String,
    /// The container's ports.
    #[serde(deserialize_with = "list")]
    pub ports: Vec<ContainerPort>,
    /// The container's resources.
    #[serde(deserialize_with = "null_as_default")]
    pub resources: ResourceRequirements,
}

/// One of a container's ports.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// hostPort; 0 if unset.
    #[serde(deserialize_with = "port")]
    pub host_port: u16,
    /// containerPort.
    #[serde(deserialize_with = "port")]
    pub container_port: u16,
    /// hostIP.
    #[serde(rename = "hostIP", deserialize_with = "null_as_default")]
    pub host_ip: String,
    /// protocol: TCP (the default when empty), UDP or SCTP.
    #[serde(deserialize_with = "null_as_default")]
    pub protocol: String,
}

/// Resource requests and limits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ResourceRequirements {
    /// requests.
    #[serde(deserialize_with = "null_as_default")]
    pub requests: Quantities,
    /// limits.
    #[serde(deserialize_with = "null_as_default")]
    pub limits: Quantities,
}

/// The parts of a node that say how much it offers to pods.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeCapacity {
    /// status.
    #[serde(deserialize_with = "null_as_default")]
    pub status: NodeStatus,
}

/// The parts of a node's status that say how much it offers to pods.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// status.allocatable.
    #[serde(deserialize_with = "null_as_default")]
    pub allocatable: Quantities,
    /// status.capacity.
    #[serde(deserialize_with = "null_as_default")]
    pub capacity: Quantities,
}

/// A node.k8s.io `RuntimeClass`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RuntimeClass {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
    /// overhead.
    #[serde(deserialize_with = "null_as_default")]
    pub overhead: Overhead,
    /// scheduling.
    #[serde(deserialize_with = "null_as_default")]
    pub scheduling: Scheduling,
}

/// The nodes that can run the pods of a `RuntimeClass`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scheduling {
    /// scheduling.nodeSelector.
    #[serde(deserialize_with = "string_map")]
    pub node_selector: StringMap,
    /// scheduling.tolerations.
    #[serde(deserialize_with = "list")]
    pub tolerations: Vec<Toleration>,
}

/// The resources that a pod needs in addition to those of its containers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Overhead {
    /// overhead.podFixed.
    #[serde(deserialize_with = "null_as_default")]
    pub pod_fixed: Quantities,
}
