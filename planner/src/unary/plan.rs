//! `Plan`.

use std::thread;

use everynode_proto::{
    facts::{
        self,
        unread::{self, Item},
    },
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
    limits::{self, AnswerSize, MAX_NODES, MAX_PODS},
    model::{Millis, Pod, Text},
};

/// From so many pods on they are read beside the nodes, on a thread of their own.
const MANY_PODS: usize = 1_000;

/// Decides once for one `DaemonSet`.
///
/// # Errors
/// `INVALID_ARGUMENT` when the `DaemonSet` is missing or can't be read, `RESOURCE_EXHAUSTED` when there are too many
/// objects or when the answer would be too large. Nodes and pods that can't be read are problems in the answer.
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
    let (nodes, told) = thread::scope(|scope| {
        let read = || Told::read(&pods, &uid);
        let beside = (pods.len() >= MANY_PODS).then(|| thread::Builder::new().spawn_scoped(scope, read));
        let nodes = reader.nodes(&nodes);
        let told = beside.and_then(Result::ok).and_then(|beside| beside.join().ok());
        // Where there is no other thread to be had, it is done on this one.
        (nodes, told.unwrap_or_else(read))
    });
    for node in nodes {
        fleet.node_changed(node);
    }
    for (owner, pod) in told.pods {
        fleet.pod_changed(&owner, pod);
    }
    reader.problems.extend(told.problems);
    let created = created.map_or_else(Millis::default, |time| Millis(time.as_millisecond()));
    let latest = created.max(told.latest);
    let now = request.now.map_or(latest, convert::millis);
    fleet.daemon_set_changed(daemon_set);
    let mut response = answer(&mut fleet, &uid, now, reader)?;
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

/// What the pods of a request tell.
struct Told {
    /// Those of the `DaemonSet`, each with that one's uid.
    pods: Vec<(Text, Pod)>,
    /// The latest time that any of them mentions.
    latest: Millis,
    problems: Vec<wire::Problem>,
}

impl Told {
    fn read(objects: &[Item], uid: &str) -> Self {
        let mut reader = Reader::default();
        let mut latest = Millis::default();
        let pods = reader.each("pod", objects, |reader, object| {
            let pod: facts::Pod = object.read("Pod")?;
            let Some(facts) = pod.facts() else {
                return Ok(None);
            };
            let mentioned = [facts.created, facts.ready_since];
            latest = mentioned
                .into_iter()
                .flatten()
                .map(convert::millis)
                .fold(latest, Ord::max);
            if facts.daemon_set_uid != uid {
                return Ok(None);
            }
            convert::pod(&facts, &mut reader.strings)
                .map_err(in_metadata)
                .map(Some)
        });
        Self {
            pods: pods.into_iter().flatten().collect(),
            latest,
            problems: reader.problems,
        }
    }
}

fn answer(
    fleet: &mut Fleet,
    uid: &str,
    now: Millis,
    mut reader: Reader,
) -> Result<wire::PlanResponse, Status> {
    let (mut response, mut size) = (wire::PlanResponse::default(), AnswerSize::default());
    if let Some(decision) = fleet.decide(uid, now) {
        let actions = decision.actions.iter();
        response.actions = actions.map(|(_, action)| convert::action(0, action)).collect();
        response.status = decision.status.map(convert::status);
        response.reconsider_after = convert::reconsider_after(decision.reconsider_at, now);
    }
    if let Some(known) = fleet.daemon_set(uid) {
        let key = known.daemon_set.key();
        reader.say(&key, &known.problems);
        let verdicts = Verdicts::of(&key, &known.placement, fleet.nodes(), &mut size);
        size.check()?;
        response.verdicts = verdicts.verdicts;
        response.summary = Some(verdicts.summary);
    }
    response.problems = reader.problems;
    Ok(response)
}
