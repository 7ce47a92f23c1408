//! `Plan`.

use everynode_proto::{
    facts::{self, unread},
    planner::v1 as wire,
};
use tonic::Status;

use super::{
    explain::Verdicts,
    reader::{Reader, expand, in_metadata},
};
use crate::{
    convert::{self, FieldError},
    fleet::Fleet,
    limits::{self, MAX_NODES, MAX_PODS},
    model::Millis,
};

/// Decides once for one `DaemonSet`.
///
/// # Errors
/// `INVALID_ARGUMENT` when the `DaemonSet` is missing or can't be read, `RESOURCE_EXHAUSTED` when there are too many
/// objects. Nodes and pods that can't be read are problems in the answer.
pub fn plan(request: wire::PlanRequest) -> Result<wire::PlanResponse, Status> {
    let invalid = |error: FieldError| limits::invalid(&error.within("daemon_set"));
    let mut reader = Reader::default();
    let given = unread::expand(request.daemon_set.into_iter().collect());
    let [object] = given.as_slice() else {
        let message = format!("must be one DaemonSet, found {}", given.len());
        return Err(limits::invalid(&FieldError::new("daemon_set", message)));
    };
    let object: facts::DaemonSet = object.read("DaemonSet").map_err(|error| invalid(error.into()))?;
    let created = object.metadata.creation_timestamp;
    let being_deleted = object.metadata.deletion_timestamp.is_some();
    let revision = request.update_revision.unwrap_or_default();
    let daemon_set = reader.daemon_set(object, &revision).map_err(invalid)?;

    let nodes = expand("nodes", request.nodes, MAX_NODES)?;
    let pods = expand("pods", request.pods, MAX_PODS)?;
    let nodes = reader.nodes(&nodes);
    let pods = reader.read_all::<facts::Pod>("Pod", &pods);
    let pods: Vec<_> = pods
        .iter()
        .filter_map(|(name, pod)| Some((name, pod.facts()?)))
        .collect();

    let now = request
        .now
        .map_or_else(|| latest(created, &pods), convert::millis);
    let uid = daemon_set.uid.clone();
    let mut fleet = Fleet::with_capacity(nodes.len(), pods.len());
    for node in nodes {
        fleet.node_changed(node);
    }
    for (name, facts) in pods.iter().filter(|(_, pod)| pod.daemon_set_uid == uid.as_ref()) {
        match convert::pod(facts, &mut reader.strings).map_err(in_metadata) {
            Ok((owner, pod)) => fleet.pod_changed(&owner, pod),
            Err(error) => {
                reader.malformed("Pod", name, error.field, error.message);
            }
        }
    }
    fleet.daemon_set_changed(daemon_set);
    let mut response = answer(&mut fleet, &uid, now, reader.problems);
    if being_deleted {
        // Its pods are the garbage collector's (contract A4).
        response = wire::PlanResponse {
            verdicts: response.verdicts,
            summary: response.summary,
            problems: response.problems,
            ..Default::default()
        };
    }
    Ok(response)
}

fn answer(fleet: &mut Fleet, uid: &str, now: Millis, mut problems: Vec<wire::Problem>) -> wire::PlanResponse {
    let mut response = wire::PlanResponse::default();
    if let Some(decision) = fleet.decide(uid, now) {
        let actions = decision.actions.iter();
        response.actions = actions.map(|(_, action)| convert::action(0, action)).collect();
        response.status = decision.status.map(convert::status);
        response.reconsider_after = convert::reconsider_after(decision.reconsider_at, now);
    }
    if let Some(known) = fleet.daemon_set(uid) {
        let key = known.daemon_set.key();
        let object = format!("daemonset {key}");
        let found = known.problems.iter();
        problems.extend(found.map(|problem| convert::problem(problem, &object)));
        let verdicts = Verdicts::of(&key, &known.placement, fleet.nodes());
        response.verdicts = verdicts.verdicts;
        response.summary = Some(verdicts.summary);
    }
    response.problems = problems;
    response
}

/// The latest time that the objects mention.
fn latest(created: Option<jiff::Timestamp>, pods: &[(&String, wire::PodFacts)]) -> Millis {
    let created = created.map(|time| Millis(time.as_millisecond()));
    let mentioned = pods
        .iter()
        .flat_map(|(_, pod)| [pod.created, pod.ready_since])
        .flatten()
        .map(convert::millis);
    created.into_iter().chain(mentioned).max().unwrap_or_default()
}
