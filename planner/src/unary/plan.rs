//! `Plan`.

use everynode_proto::{
    facts::{
        self, Identity,
        raw_struct::{self, Item},
    },
    planner::v1 as wire,
};
use everynode_serving::serve::Work;
use tonic::Status;

use super::{
    explain::Verdicts,
    reader::{DEFAULT_NAMESPACE, Reader, expand, in_metadata},
};
use crate::{
    convert::{self, FieldError},
    fleet::Fleet,
    limits::{self, AnswerSize, MAX_NODES, MAX_PODS},
    model::{Millis, Pod, Text},
};

/// Decides once for one `DaemonSet`.
///
/// # Errors
/// `INVALID_ARGUMENT` when the `DaemonSet` is missing or can't be read. `RESOURCE_EXHAUSTED` when there are too many
/// objects, when there is no memory for them, or when the answer would be too large. `CANCELLED` when the caller no
/// longer waits for the answer. Nodes and pods that can't be read are problems in the answer.
pub fn plan(request: wire::PlanRequest, work: &Work) -> Result<wire::PlanResponse, Status> {
    let invalid = |error: FieldError| limits::invalid(&error.within("daemon_set"));
    let mut reader = Reader::new(work);
    let given = raw_struct::expand_at_most(request.daemon_set.into_iter().collect(), 1);
    let object = match given.as_ref().map(Vec::as_slice) {
        Ok([object]) => object,
        other => {
            let found = other.map_or_else(|count| *count, <[Item]>::len);
            let message = format!("must be one DaemonSet, found {found}");
            return Err(limits::invalid(&FieldError::new("daemon_set", message)));
        }
    };
    let object: facts::DaemonSet = match reader.read(object, "DaemonSet") {
        Ok(object) => object,
        Err(error) => {
            work.check()?;
            return Err(invalid(error));
        }
    };
    let created = object.metadata.creation_timestamp;
    let being_deleted = object.metadata.deletion_timestamp.is_some();
    let revision = request.update_revision.unwrap_or_default();
    let daemon_set = reader.daemon_set(object, &revision).map_err(invalid)?;

    let nodes = expand("nodes", request.nodes, MAX_NODES)?;
    let pods = expand("pods", request.pods, MAX_PODS)?;
    let [namespace, name, uid] = [&daemon_set.namespace, &daemon_set.name, &daemon_set.uid].map(Text::clone);
    let owner = Identity {
        namespace: &namespace,
        name: &name,
        uid: &uid,
    };
    let mut fleet = Fleet::with_capacity(nodes.len(), pods.len());
    let (nodes, request_pods) =
        rayon::join(|| reader.nodes(&nodes), || RequestPods::read(&pods, owner, work));
    let request_pods = request_pods?;
    // Nodes are added one by one, after the DaemonSet, so that the work can stop after each of them.
    fleet.daemon_set_changed(daemon_set);
    for node in nodes? {
        work.check()?;
        fleet.node_changed(node);
    }
    for (owner, pod) in request_pods.pods {
        work.check()?;
        fleet.pod_changed(&owner, pod);
    }
    reader.problems.extend(request_pods.problems);
    let created = created.map_or_else(Millis::default, |time| Millis(time.as_millisecond()));
    let latest = created.max(request_pods.latest);
    let now = request.now.map_or(latest, convert::millis);
    let mut response = build_response(&mut fleet, &uid, now, reader, work)?;
    if being_deleted {
        // The garbage collector deletes the DaemonSet's pods (contract A4), so the answer has no actions and no status.
        response = wire::PlanResponse {
            verdicts: response.verdicts,
            summary: response.summary,
            problems: response.problems,
            ..Default::default()
        };
    }
    Ok(response)
}

/// The pods of a request.
struct RequestPods {
    /// The pods of the `DaemonSet`, each with the `DaemonSet`'s uid.
    pods: Vec<(Text, Pod)>,
    /// The latest time that any pod mentions, including pods of other owners.
    latest: Millis,
    problems: Vec<wire::Problem>,
}

impl RequestPods {
    fn read(objects: &[Item], owner: Identity<'_>, work: &Work) -> Result<Self, Status> {
        let mut reader = Reader::new(work);
        let pods = reader.read_in_parallel("pod", objects, |reader, object| {
            let pod: facts::Pod = reader.read(object, "Pod")?;
            let Some(facts) = pod.facts() else {
                return Ok((Millis::default(), None));
            };
            let mentioned = [facts.created, facts.ready_since].into_iter().flatten();
            let latest = mentioned.map(convert::millis).max().unwrap_or_default();
            if !is_controlled_by(&pod, owner) {
                return Ok((latest, None));
            }
            let pod = convert::pod(&facts, &mut reader.strings).map_err(in_metadata)?;
            Ok((latest, Some(pod)))
        })?;
        Ok(Self {
            latest: pods.iter().map(|(latest, _)| *latest).max().unwrap_or_default(),
            pods: pods.into_iter().filter_map(|(_, pod)| pod).collect(),
            problems: reader.problems,
        })
    }
}

/// Whether the pod's controller reference names this `DaemonSet`. The uid alone proves nothing, because anybody who may
/// create pods anywhere can write it there. A pod without a namespace counts as one in the default namespace, as a
/// `DaemonSet` without a namespace does.
fn is_controlled_by(pod: &facts::Pod, owner: Identity<'_>) -> bool {
    pod.metadata.controlling_daemon_set().is_some_and(|named| {
        let namespace = if named.namespace.is_empty() {
            DEFAULT_NAMESPACE
        } else {
            named.namespace
        };
        owner == Identity { namespace, ..named }
    })
}

fn build_response(
    fleet: &mut Fleet,
    uid: &str,
    now: Millis,
    mut reader: Reader,
    work: &Work,
) -> Result<wire::PlanResponse, Status> {
    let (mut response, size) = (wire::PlanResponse::default(), AnswerSize::new(work));
    if let Some(decision) = fleet.decide(uid, now) {
        let action = |(_, action): &_| {
            let action = convert::action(0, action);
            size.add(&action)?;
            Ok(action)
        };
        let actions = decision.actions.iter().map(action);
        response.actions = actions.collect::<Result<_, Status>>()?;
        response.status = decision.status.map(convert::status);
        response.reconsider_after = convert::reconsider_after(decision.reconsider_at, now);
    }
    if let Some(prepared) = fleet.daemon_set(uid) {
        let key = prepared.daemon_set.key();
        reader.report_problems(&key, &prepared.problems);
        let verdicts = Verdicts::compute(&key, &prepared.placement, fleet.nodes(), &size, work)?;
        response.verdicts = verdicts.verdicts;
        response.summary = Some(verdicts.summary);
    }
    response.problems = reader.problems;
    Ok(response)
}
