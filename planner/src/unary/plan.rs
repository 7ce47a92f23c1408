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
    let uid = daemon_set.uid.clone();
    let mut fleet = Fleet::with_capacity(nodes.len(), pods.len());
    for node in reader.nodes(&nodes) {
        fleet.node_changed(node);
    }
    let mut latest = created.map_or_else(Millis::default, |time| Millis(time.as_millisecond()));
    reader.each("pod", &pods, |reader, object| {
        let pod: facts::Pod = object.read("Pod")?;
        let Some(facts) = pod.facts() else {
            return Ok(());
        };
        let mentioned = [facts.created, facts.ready_since];
        latest = mentioned
            .into_iter()
            .flatten()
            .map(convert::millis)
            .fold(latest, Ord::max);
        if facts.daemon_set_uid == uid.as_ref() {
            let (owner, pod) = convert::pod(&facts, &mut reader.strings).map_err(in_metadata)?;
            fleet.pod_changed(&owner, pod);
        }
        Ok(())
    });
    let now = request.now.map_or(latest, convert::millis);
    fleet.daemon_set_changed(daemon_set);
    let mut response = answer(&mut fleet, &uid, now, reader);
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

fn answer(fleet: &mut Fleet, uid: &str, now: Millis, mut reader: Reader) -> wire::PlanResponse {
    let mut response = wire::PlanResponse::default();
    if let Some(decision) = fleet.decide(uid, now) {
        let actions = decision.actions.iter();
        response.actions = actions.map(|(_, action)| convert::action(0, action)).collect();
        response.status = decision.status.map(convert::status);
        response.reconsider_after = convert::reconsider_after(decision.reconsider_at, now);
    }
    if let Some(known) = fleet.daemon_set(uid) {
        let key = known.daemon_set.key();
        reader.say(&key, &known.problems);
        let verdicts = Verdicts::of(&key, &known.placement, fleet.nodes());
        response.verdicts = verdicts.verdicts;
        response.summary = Some(verdicts.summary);
    }
    response.problems = reader.problems;
    response
}
