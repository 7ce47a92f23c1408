//! Builds the requests that the service would get from the objects in the input.

use everynode_proto::{
    facts::RawStruct,
    planner::v1::{ExplainRequest, PlanRequest, SimulateNodesRequest},
};
use everynode_render::simulate::{Capacities, Resources};
use serde_json::Value;

use super::{
    args::PlanArgs,
    error::Error,
    kind::Kind,
    objects::{Object, Objects},
};

const GET_DAEMON_SETS: &str = "`kubectl get daemonsets -A -o json` prints those of a cluster";
const GET_NODES: &str = "`kubectl get nodes -o json` prints those of a cluster";

/// Builds the request for `Explain`.
///
/// # Errors
/// The input has no `DaemonSet`, or no node.
pub(crate) fn explain(objects: &Objects) -> Result<ExplainRequest, Error> {
    Ok(ExplainRequest {
        daemon_sets: require(objects, Kind::DaemonSet, GET_DAEMON_SETS)?,
        nodes: require(objects, Kind::Node, GET_NODES)?,
        runtime_classes: raw_structs(objects, Kind::RuntimeClass),
    })
}

/// Builds the requests for `Plan`, one for each `DaemonSet`.
///
/// # Errors
/// The input has no `DaemonSet`.
pub(crate) fn plans(
    objects: &Objects,
    args: &PlanArgs,
) -> Result<impl Iterator<Item = PlanRequest> + use<>, Error> {
    let daemon_sets = require(objects, Kind::DaemonSet, GET_DAEMON_SETS)?;
    let request = PlanRequest {
        daemon_set: None,
        nodes: raw_structs(objects, Kind::Node),
        pods: raw_structs(objects, Kind::Pod),
        update_revision: args.update_revision.clone(),
        now: args.now.map(|now| prost_types::Timestamp {
            seconds: now.as_second(),
            nanos: now.subsec_nanosecond(),
        }),
        controller_revisions: raw_structs(objects, Kind::ControllerRevision),
    };
    // Each request holds a copy of the cluster, so it is made when it is needed.
    Ok(daemon_sets.into_iter().map(move |daemon_set| PlanRequest {
        daemon_set: Some(daemon_set),
        ..request.clone()
    }))
}

/// Builds the request for `SimulateNodes`. Returns it with the name and the capacity of each template.
///
/// # Errors
/// The input has no `DaemonSet` or no node.
pub(crate) fn simulate(
    objects: &Objects,
    unknown_labels: &[String],
) -> Result<(SimulateNodesRequest, Capacities), Error> {
    let request = SimulateNodesRequest {
        daemon_sets: require(objects, Kind::DaemonSet, GET_DAEMON_SETS)?,
        nodes: require(objects, Kind::Node, GET_NODES)?,
        runtime_classes: raw_structs(objects, Kind::RuntimeClass),
        unknown_labels: unknown_labels.to_vec(),
        ..SimulateNodesRequest::default()
    };
    let nodes = objects.of(Kind::Node).iter();
    let capacities = nodes.map(|node| (node.name().to_owned(), capacity(node)));
    Ok((request, capacities.collect()))
}

fn raw_structs(objects: &Objects, kind: Kind) -> Vec<RawStruct> {
    objects
        .of(kind)
        .iter()
        .map(|object| RawStruct::from(&object.fields))
        .collect()
}

fn require(objects: &Objects, kind: Kind, remedy: &'static str) -> Result<Vec<RawStruct>, Error> {
    let found = raw_structs(objects, kind);
    if !found.is_empty() {
        return Ok(found);
    }
    Err(match objects.of_any_version(kind).next() {
        Some(_) => Error::NoneAccepted(kind),
        None => Error::Missing { kind, remedy },
    })
}

/// Returns the amounts that pods may request, from the node's status. As in the answer, that is the whole capacity if
/// nothing is allocatable.
fn capacity(node: &Object) -> Resources {
    let status = |key: &str| {
        let quantities = node.fields.get("status")?.get(key)?.as_object();
        quantities.filter(|quantities| !quantities.is_empty())
    };
    let quantities = status("allocatable").or_else(|| status("capacity"));
    let text = |(resource, quantity): (&String, &Value)| {
        let quantity = match quantity {
            // Like Kubernetes, blanks around a quantity don't count, and null is 0.
            Value::String(text) => text.trim().to_owned(),
            Value::Null => "0".to_owned(),
            other => other.to_string(),
        };
        (resource.clone(), quantity)
    };
    quantities.into_iter().flatten().map(text).collect()
}

#[cfg(test)]
mod tests;
