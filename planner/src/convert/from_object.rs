//! Converts the parts of Kubernetes objects that simulations read to the model. Sessions don't use these
//! parts, so the wire doesn't carry them.

use std::sync::Arc;

use everynode_proto::{
    facts::{
        field_path,
        object::demand::{self as object, Quantities},
    },
    planner::v1 as wire,
};
use hashbrown::HashSet;

use super::{FieldError, from_wire};
use crate::{
    intern::Interner,
    model::{
        Container, HostPort, Labels, Node, NodeTemplate, Quantity, Requirements, Resources, RuntimeClass,
        Text, Workload,
    },
};

/// Reads the parts of a template that the scheduler uses. A template that names a `RuntimeClass` gets the
/// overhead of that class, unless it has an overhead of its own.
///
/// # Errors
/// A quantity can't be read or is negative. The field's path is relative to the template's spec.
pub fn workload(
    spec: &object::SchedulingSpec,
    class_overhead: Option<&Resources>,
    strings: &mut Interner,
) -> Result<Workload, FieldError> {
    let overhead = match &spec.overhead {
        Some(overhead) => resources("overhead", overhead, strings)?,
        None => class_overhead.cloned().unwrap_or_default(),
    };
    Ok(Workload {
        init_containers: containers(
            "initContainers",
            &spec.init_containers,
            spec.host_network,
            strings,
        )?,
        containers: containers("containers", &spec.containers, spec.host_network, strings)?,
        pod: requirements("resources", &spec.resources, strings)?,
        overhead,
    })
}

fn containers(
    field: &str,
    containers: &[object::Container],
    on_host_network: bool,
    strings: &mut Interner,
) -> Result<Vec<Container>, FieldError> {
    let numbered = containers.iter().enumerate();
    let read = numbered.map(|(index, container)| {
        Ok(Container {
            resources: requirements(
                &format!("{field}[{index}].resources"),
                &container.resources,
                strings,
            )?,
            is_sidecar: container.restart_policy == "Always",
            host_ports: host_ports(&container.ports, on_host_network, strings),
        })
    });
    read.collect()
}

/// A container on the host's network uses its ports on the host (mirrors `defaultHostNetworkPorts`).
fn host_ports(
    ports: &[object::ContainerPort],
    on_host_network: bool,
    strings: &mut Interner,
) -> Vec<HostPort> {
    let port = |port: &object::ContainerPort| {
        let number = match port.host_port {
            0 if on_host_network => port.container_port,
            number => number,
        };
        let protocol = Some(port.protocol.as_str()).filter(|protocol| !protocol.is_empty());
        let ip = Some(port.host_ip.as_str()).filter(|ip| *ip != "0.0.0.0");
        (number != 0).then(|| HostPort {
            port: number,
            protocol: strings.text(protocol.unwrap_or("TCP")),
            ip: strings.text(ip.unwrap_or_default()),
        })
    };
    ports.iter().filter_map(port).collect()
}

fn requirements(
    field: &str,
    requirements: &object::ResourceRequirements,
    strings: &mut Interner,
) -> Result<Requirements, FieldError> {
    Ok(Requirements {
        requests: resources(&format!("{field}.requests"), &requirements.requests, strings)?,
        limits: resources(&format!("{field}.limits"), &requirements.limits, strings)?,
    })
}

/// Reads amounts by resource.
///
/// # Errors
/// A quantity can't be read or is negative. The field's path begins with `field`.
fn resources(field: &str, quantities: &Quantities, strings: &mut Interner) -> Result<Resources, FieldError> {
    let written = quantities
        .iter()
        .map(|(name, quantity)| (name, quantity.0.as_str()));
    amounts(field, written, strings)
}

fn amounts<'q>(
    field: &str,
    written: impl Iterator<Item = (&'q String, &'q str)>,
    strings: &mut Interner,
) -> Result<Resources, FieldError> {
    let amount = |(name, text): (&String, &str)| {
        let error = |message: String| FieldError::new(field_path::with_key(field, name), message);
        let amount: Quantity = text
            .parse()
            .map_err(|invalid: crate::model::QuantityError| error(invalid.to_string()))?;
        if amount.is_negative() {
            return Err(error(format!("must not be negative, found {text}")));
        }
        // The API server keeps no finer precision (mirrors `SetDefaults_ResourceList`).
        Ok((strings.text(name), amount.rounded_up_to_thousandths()))
    };
    written.map(amount).collect()
}

/// Converts a `RuntimeClass`.
///
/// # Errors
/// The name is empty or too long, or a quantity can't be read or is negative.
pub fn runtime_class(
    class: &object::RuntimeClass,
    strings: &mut Interner,
) -> Result<RuntimeClass, FieldError> {
    let tolerations = class.scheduling.tolerations.iter();
    let tolerations = tolerations.map(|toleration| from_wire::toleration(&toleration.facts(), strings));
    Ok(RuntimeClass {
        tolerations: tolerations.collect(),
        name: strings.text(from_wire::required("metadata.name", &class.metadata.name)?),
        overhead: resources("overhead.podFixed", &class.overhead.pod_fixed, strings)?,
        node_selector: from_wire::labels(&class.scheduling.node_selector, strings),
    })
}

/// An existing node as a template. The values of its labels with `unknown` keys don't count, because the next node of
/// this kind may have other values.
///
/// # Errors
/// A quantity can't be read or is negative.
pub fn node_as_template(
    node: Node,
    unknown: &Arc<HashSet<Text>>,
    status: &object::NodeStatus,
    strings: &mut Interner,
) -> Result<NodeTemplate, FieldError> {
    let capacity = if status.allocatable.is_empty() {
        resources("status.capacity", &status.capacity, strings)
    } else {
        resources("status.allocatable", &status.allocatable, strings)
    };
    Ok(NodeTemplate {
        node: Node {
            labels: without(node.labels, unknown),
            ..node
        },
        unknown_labels: unknown.clone(),
        capacity: capacity?,
    })
}

fn without(labels: Labels, keys: &HashSet<Text>) -> Labels {
    if keys.is_empty() || !labels.iter().any(|(key, _)| keys.contains(key)) {
        return labels;
    }
    let rest = labels.iter().filter(|(key, _)| !keys.contains(*key));
    rest.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A node that may not exist yet, from its wire template.
///
/// # Errors
/// The name is empty or too long, or a quantity can't be read or is negative.
pub fn node_template(
    template: wire::NodeTemplate,
    strings: &mut Interner,
) -> Result<NodeTemplate, FieldError> {
    let unknown = template.unknown_labels.iter();
    let unknown_labels = unknown.map(|key| strings.text(key)).collect::<HashSet<_>>();
    let written = template.capacity.iter();
    let written = written.map(|(name, quantity)| (name, quantity.as_str()));
    let capacity = amounts("capacity", written, strings)?;
    let node = from_wire::node(
        &wire::NodeFacts {
            name: template.name,
            labels: template.labels,
            taints: template.taints,
            ..wire::NodeFacts::default()
        },
        strings,
    )?;
    Ok(NodeTemplate {
        node: *node,
        unknown_labels: unknown_labels.into(),
        capacity,
    })
}
