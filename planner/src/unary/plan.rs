//! `Plan`.

mod claim;
mod pods;
mod revisions;
mod template;

use everynode_proto::{
    facts::raw_struct::{self, Item},
    planner::v1::{self as wire, action},
};
use everynode_serving::serve::Work;
use tonic::Status;

use self::{
    claim::Claim,
    pods::RequestPods,
    revisions::{CurrentRevision, NEW_TEMPLATE},
};
use super::{
    explain::Verdicts,
    reader::{ReadDaemonSet, Reader, expand},
};
use crate::{
    convert::{self, FieldError},
    fleet::Fleet,
    limits::{self, AnswerSize, MAX_NODES, MAX_PODS, MAX_REVISIONS},
    model::{Millis, Pod, ProblemCode},
};

/// Decides once for one `DaemonSet`.
///
/// # Errors
/// `INVALID_ARGUMENT` when the `DaemonSet` is missing or can't be read. `RESOURCE_EXHAUSTED` when there are too many
/// objects, when there is no memory for them, or when the answer would be too large. `CANCELLED` when the caller no
/// longer waits for the answer. Nodes, pods and `ControllerRevision`s that can't be read are problems in the answer.
pub fn plan(request: wire::PlanRequest, work: &Work) -> Result<wire::PlanResponse, Status> {
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
    let given_revision = request.update_revision.unwrap_or_default();
    let mut read = match reader.daemon_set(object, &given_revision) {
        Ok(read) => read,
        Err(error) => {
            work.check()?;
            let name = object.name();
            let name = name.map_or_else(|| "the DaemonSet".to_owned(), |name| format!("daemonset {name}"));
            return Err(limits::invalid_object("daemon_set", &name, &error));
        }
    };
    let nodes = expand("nodes", request.nodes, MAX_NODES, work)?;
    let pods = expand("pods", request.pods, MAX_PODS, work)?;
    let revisions = request.controller_revisions;
    let revisions = expand("controller_revisions", revisions, MAX_REVISIONS, work)?;
    let nodes = reader.last_of_each_name("Node", nodes);
    let mut assumptions = Vec::new();
    let claim = Claim::new(&read);
    if given_revision.is_empty()
        && let Some(current) = reader.current_revision(object, &revisions, &claim)?
    {
        assumptions.extend(apply_revision(&mut read, current));
    }

    let uid = read.daemon_set.uid.clone();
    let mut fleet = Fleet::with_capacity(nodes.len(), pods.len());
    let (nodes, request_pods) =
        rayon::join(|| reader.nodes(&nodes), || RequestPods::read(&pods, &claim, work));
    let request_pods = request_pods?;
    assumptions.extend(request_pods.assumptions(&claim));
    // Nodes are added one by one, after the DaemonSet, so that the work can stop after each of them.
    let (created, being_deleted) = (read.created, read.daemon_set.deleting);
    // The revision decides only which of the pods are replaced.
    let needs_revision = !being_deleted && !request_pods.pods.is_empty();
    fleet.daemon_set_changed(read.daemon_set);
    for node in nodes? {
        work.check()?;
        fleet.node_changed(node);
    }
    for pod in request_pods.pods {
        work.check()?;
        fleet.pod_changed(&uid, pod);
    }
    reader.extend(request_pods.problems);
    let latest = created.max(request_pods.latest);
    let now = request.now.map_or(latest, convert::millis);
    let mut response = build_response(&mut fleet, &uid, now, needs_revision, reader, work)?;
    response.adopt = request_pods.adopt;
    response.release = request_pods.release;
    response.notes = assumptions;
    if being_deleted {
        // The garbage collector deletes the DaemonSet's pods (contract A4), so the answer has no actions and no status.
        response = wire::PlanResponse {
            verdicts: response.verdicts,
            summary: response.summary,
            problems: response.problems,
            notes: vec![
                "the DaemonSet is being deleted, so there is nothing to plan: the garbage collector deletes or orphans \
                 its pods"
                    .to_owned(),
            ],
            ..Default::default()
        };
    }
    Ok(response)
}

/// The pods of a request that count as those of a `DaemonSet`.
pub(super) struct OwnPods {
    pub(super) pods: Vec<Pod>,
    /// The latest time that a pod of any `DaemonSet` mentions.
    pub(super) latest: Millis,
    /// What is assumed about the pods, as sentences for people.
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<wire::Problem>,
}

/// Finds the pods of a `DaemonSet`.
///
/// # Errors
/// As [`Reader::read_in_parallel`].
pub(super) fn own_pods(read: &ReadDaemonSet, pods: &[Item], work: &Work) -> Result<OwnPods, Status> {
    let claim = Claim::new(read);
    let found = RequestPods::read(pods, &claim, work)?;
    Ok(OwnPods {
        notes: found.assumptions(&claim),
        pods: found.pods,
        latest: found.latest,
        problems: found.problems,
    })
}

/// Sets the update revision from `ControllerRevision`s.
///
/// # Errors
/// As [`Reader::read_each`].
pub(super) fn set_update_revision(
    reader: &mut Reader,
    read: &mut ReadDaemonSet,
    object: &Item,
    revisions: &[Item],
) -> Result<(), Status> {
    let claim = Claim::new(read);
    if let Some(current) = reader.current_revision(object, revisions, &claim)? {
        apply_revision(read, current);
    }
    Ok(())
}

/// Sets the update revision to the current revision. Returns a note if the template is new.
///
/// The generation in the `DaemonSet`'s annotation counts only if the newest revision holds the template. Otherwise the
/// template has changed since the annotation was written: the API server raises the generation when it stores the change.
fn apply_revision(read: &mut ReadDaemonSet, current: CurrentRevision) -> Option<String> {
    let daemon_set = &mut read.daemon_set;
    match current {
        CurrentRevision::Newest(hash) => daemon_set.update_revision = hash,
        CurrentRevision::Older(hash) => {
            daemon_set.update_revision = hash;
            daemon_set.template_generation = None;
        }
        CurrentRevision::New => {
            daemon_set.update_revision = NEW_TEMPLATE.into();
            daemon_set.template_generation = None;
            return Some(
                "none of the DaemonSet's ControllerRevisions contains its template, so the template is new, and every \
                 existing pod has an old one"
                    .to_owned(),
            );
        }
    }
    None
}

fn build_response(
    fleet: &mut Fleet,
    uid: &str,
    now: Millis,
    needs_revision: bool,
    mut reader: Reader,
    work: &Work,
) -> Result<wire::PlanResponse, Status> {
    let (mut response, size) = (wire::PlanResponse::default(), AnswerSize::new(work));
    if let Some(decision) = fleet.decide(uid, now) {
        let action = |(_, action): &_| {
            let mut action = convert::action(0, action);
            if let Some(action::Action::Create(create)) = &mut action.action
                && create.revision == NEW_TEMPLATE
            {
                create.revision.clear();
            }
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
        let problems = prepared.problems.iter();
        let relevant =
            problems.filter(|problem| needs_revision || problem.code != ProblemCode::UnknownRevision);
        reader.report(&format!("daemonset {key}"), relevant.cloned());
        let verdicts = Verdicts::compute(&key, &prepared.placement, None, fleet.nodes(), &size, work)?;
        response.verdicts = verdicts.verdicts;
        response.summary = Some(verdicts.summary);
    }
    response.problems = reader.into_problems();
    Ok(response)
}
