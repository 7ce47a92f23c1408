//! Builds the requests that the service would get from the objects in the input.

use std::time::Duration;

use everynode_proto::{
    facts::RawStruct,
    planner::v1::{
        ExplainRequest, PlanRequest, RolloutAssumptions, SimulateNodesRequest, SimulateRolloutRequest,
    },
};
use everynode_render::simulate::{Capacities, Resources};
use everynode_serving::program::glob;
use serde_json::Value;

use super::{
    args::{PlanArgs, rollout::RolloutArgs},
    error::Error,
    kind::Kind,
    objects::{Object, Objects},
};

const GET_DAEMON_SETS: &str = "`kubectl get daemonsets -A -o json` prints those of a cluster";
const GET_POLICIES: &str = "add the file of a DaemonSetRolloutPolicy or a ClusterDaemonSetRolloutPolicy";
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
        ..if has_rollouts(objects) {
            rollouts_to_explain(objects)
        } else {
            ExplainRequest::default()
        }
    })
}

/// Whether the input has anything that a rollout depends on: a policy or a `DaemonSetRollout`.
pub(crate) fn has_rollouts(objects: &Objects) -> bool {
    let kinds = [
        Kind::DaemonSetRolloutPolicy,
        Kind::ClusterDaemonSetRolloutPolicy,
        Kind::DaemonSetRollout,
    ];
    kinds.into_iter().any(|kind| !objects.of(kind).is_empty())
}

fn rollouts_to_explain(objects: &Objects) -> ExplainRequest {
    ExplainRequest {
        policies: raw_structs(objects, Kind::DaemonSetRolloutPolicy),
        cluster_policies: raw_structs(objects, Kind::ClusterDaemonSetRolloutPolicy),
        namespaces: raw_structs(objects, Kind::Namespace),
        rollouts: raw_structs(objects, Kind::DaemonSetRollout),
        pods: raw_structs(objects, Kind::Pod),
        controller_revisions: raw_structs(objects, Kind::ControllerRevision),
        ..ExplainRequest::default()
    }
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

/// Builds the requests for `SimulateRollout`, one for each `DaemonSet`. A failing node may be a pattern of names.
///
/// # Errors
/// The input has no `DaemonSet`, no policy or no node.
pub(crate) fn rollouts(
    objects: &Objects,
    args: &RolloutArgs,
) -> Result<impl Iterator<Item = SimulateRolloutRequest> + use<>, Error> {
    let daemon_sets = require(objects, Kind::DaemonSet, GET_DAEMON_SETS)?;
    let cluster_policies = raw_structs(objects, Kind::ClusterDaemonSetRolloutPolicy);
    let policies = if cluster_policies.is_empty() {
        require(objects, Kind::DaemonSetRolloutPolicy, GET_POLICIES)?
    } else {
        raw_structs(objects, Kind::DaemonSetRolloutPolicy)
    };
    let duration = |duration: Duration| prost_types::Duration::try_from(duration).ok();
    let request = SimulateRolloutRequest {
        daemon_set: None,
        policies,
        cluster_policies,
        nodes: require(objects, Kind::Node, GET_NODES)?,
        pods: raw_structs(objects, Kind::Pod),
        namespaces: raw_structs(objects, Kind::Namespace),
        assumptions: Some(RolloutAssumptions {
            ready_after: duration(args.ready_after),
            terminated_after: duration(args.terminated_after),
            promoted_after: args.promoted_after.and_then(duration),
            failing_nodes: failing_nodes(objects, &args.failing_nodes),
        }),
    };
    // Each request holds a copy of the cluster, so it is made when it is needed.
    Ok(daemon_sets
        .into_iter()
        .map(move |daemon_set| SimulateRolloutRequest {
            daemon_set: Some(daemon_set),
            ..request.clone()
        }))
}

/// Returns the names of the nodes that match one of the patterns, and the patterns that match none, which the planner
/// refuses.
fn failing_nodes(objects: &Objects, patterns: &[String]) -> Vec<String> {
    let names: Vec<_> = objects.of(Kind::Node).iter().map(Object::name).collect();
    let matching = |pattern: &String| {
        let names = names.iter().filter(|name| glob::matches(pattern, name));
        let names: Vec<_> = names.map(|name| (*name).to_owned()).collect();
        if names.is_empty() {
            vec![pattern.clone()]
        } else {
            names
        }
    };
    patterns.iter().flat_map(matching).collect()
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
