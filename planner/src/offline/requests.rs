//! Builds the requests that the service would get from the objects in the input.

use std::collections::BTreeMap;

use everynode_proto::{
    facts::{self, RawStruct, raw_struct},
    planner::v1::{ExplainRequest, NodeTemplate, PlanRequest, SimulateNodesRequest},
};
use everynode_render::simulate::Resources;
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
    })
}

/// Builds the request for `Plan`.
///
/// # Errors
/// The input has no `DaemonSet`, it lacks the chosen one, or it has several and the choice isn't unique.
pub(crate) fn plan(objects: &Objects, args: &PlanArgs) -> Result<PlanRequest, Error> {
    let daemon_set = choose(objects.of(Kind::DaemonSet), args.daemon_set.as_deref())?;
    Ok(PlanRequest {
        daemon_set: Some(daemon_set.into()),
        nodes: raw_structs(objects, Kind::Node),
        pods: raw_structs(objects, Kind::Pod),
        update_revision: args.update_revision.clone(),
        now: args.now.map(|now| prost_types::Timestamp {
            seconds: now.as_second(),
            nanos: now.subsec_nanosecond(),
        }),
    })
}

/// Builds the request for `SimulateNodes`. Returns it with the capacity of each template by the template's name.
///
/// # Errors
/// The input has no `DaemonSet` or no node, or a node can't be read. Nodes are read only if there are unknown labels.
pub(crate) fn simulate(
    objects: &Objects,
    unknown_labels: &[String],
) -> Result<(SimulateNodesRequest, BTreeMap<String, Resources>), Error> {
    let mut request = SimulateNodesRequest {
        daemon_sets: require(objects, Kind::DaemonSet, GET_DAEMON_SETS)?,
        nodes: require(objects, Kind::Node, GET_NODES)?,
        runtime_classes: raw_structs(objects, Kind::RuntimeClass),
        ..SimulateNodesRequest::default()
    };
    let nodes = objects.of(Kind::Node);
    if !unknown_labels.is_empty() {
        // A template can list labels with unknown values. A Node can't.
        request.nodes.clear();
        let templates = nodes.iter().map(|node| template(node, unknown_labels));
        request.node_templates = templates.collect::<Result<_, _>>()?;
    }
    let capacities = nodes.iter().map(|node| (name(node).to_owned(), capacity(node)));
    Ok((request, capacities.collect()))
}

fn raw_structs(objects: &Objects, kind: Kind) -> Vec<RawStruct> {
    objects.of(kind).iter().map(RawStruct::from).collect()
}

fn require(objects: &Objects, kind: Kind, remedy: &'static str) -> Result<Vec<RawStruct>, Error> {
    let found = raw_structs(objects, kind);
    if found.is_empty() {
        return Err(Error::Missing { kind, remedy });
    }
    Ok(found)
}

/// Returns the `DaemonSet` called `requested` (NAME or NAMESPACE/NAME). Without a name, returns the only one.
fn choose<'a>(daemon_sets: &'a [Object], requested: Option<&str>) -> Result<&'a Object, Error> {
    let found = || daemon_sets.iter().map(key).collect();
    let matches = |object: &&Object| match requested {
        None => true,
        Some(requested) if requested.contains('/') => key(object) == requested,
        Some(requested) => name(object) == requested,
    };
    let chosen: Vec<_> = daemon_sets.iter().filter(matches).collect();
    match (chosen.as_slice(), requested) {
        ([chosen], _) => Ok(chosen),
        ([], Some(requested)) if !daemon_sets.is_empty() => Err(Error::UnknownDaemonSet {
            name: requested.to_owned(),
            found: found(),
        }),
        ([], _) => Err(Error::Missing {
            kind: Kind::DaemonSet,
            remedy: GET_DAEMON_SETS,
        }),
        _ => Err(Error::Ambiguous(found())),
    }
}

fn metadata<'a>(object: &'a Object, key: &str) -> &'a str {
    let metadata = object.get("metadata").and_then(|metadata| metadata.get(key));
    metadata.and_then(Value::as_str).unwrap_or_default()
}

fn name(object: &Object) -> &str {
    metadata(object, "name")
}

/// Returns namespace/name, as the answers print it.
fn key(object: &Object) -> String {
    let namespace = match metadata(object, "namespace") {
        "" => "default",
        namespace => namespace,
    };
    format!("{namespace}/{}", name(object))
}

fn template(node: &Object, unknown_labels: &[String]) -> Result<NodeTemplate, Error> {
    let items = raw_struct::expand(vec![node.into()]);
    let facts = items.first().map(|item| item.read::<facts::Node>("Node"));
    let facts = facts
        .transpose()
        .map_err(|error| Error::template(name(node), error))?;
    let mut facts = facts.unwrap_or_default().into_facts();
    // The next node of this kind may have other values.
    facts.labels.retain(|key, _| !unknown_labels.contains(key));
    Ok(NodeTemplate {
        name: facts.name,
        labels: facts.labels,
        taints: facts.taints,
        capacity: capacity(node),
        unknown_labels: unknown_labels.to_vec(),
    })
}

/// Returns the amounts that pods may request, from the node's status.
fn capacity(node: &Object) -> Resources {
    let status = |key: &str| node.get("status")?.get(key)?.as_object();
    let quantities = status("allocatable").or_else(|| status("capacity"));
    let text = |(resource, quantity): (&String, &Value)| {
        let quantity = match quantity {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (resource.clone(), quantity)
    };
    quantities.into_iter().flatten().map(text).collect()
}

#[cfg(test)]
mod tests;
