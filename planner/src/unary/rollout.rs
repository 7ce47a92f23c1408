//! `SimulateRollout`.

mod course;
mod observer;
mod simulation;
mod warnings;

use everynode_proto::{
    facts::{
        self,
        object::demand::SchedulingTemplate,
        raw_struct::{self, Item},
    },
    planner::v1 as wire,
};
use everynode_serving::serve::Work;
use hashbrown::HashSet;
use tonic::Status;

use self::{
    course::{Course, Outcome, Step, StepKind},
    simulation::{Assumptions, CURRENT, Impossible, Scene, UPDATE, simulate},
    warnings::warnings,
};
use super::{
    plan::own_pods,
    policies::{CLUSTER_POLICY, POLICY, policy_name},
    reader::{ReadDaemonSet, Reader, expand, require},
};
use crate::{
    convert::{self, FieldError},
    decide::demand::demand,
    limits::{self, AnswerSize, MAX_DAEMON_SETS, MAX_NODES, MAX_PODS, number},
    model::{Millis, Node, Pod, Revision, Strategy, Text},
};

const READY_AFTER_MILLIS: i64 = 30_000;
const TERMINATED_AFTER_MILLIS: i64 = 10_000;
/// The longest time that may be assumed, in seconds: a day.
const MAX_ASSUMED_SECONDS: i64 = 86_400;
/// When the template changes, unless an object mentions a later time. Nothing depends on the date.
const EARLIEST_START: Millis = Millis(1_000_000_000_000);

/// Simulates the rollout of a new template under the policy that applies to a `DaemonSet`.
///
/// # Errors
/// `INVALID_ARGUMENT` when the `DaemonSet`, a policy or an assumption is missing or can't be used, and when no node should
/// run a pod. `FAILED_PRECONDITION` when no policy applies. `RESOURCE_EXHAUSTED` when there are too many objects, when there
/// is no memory for them, or when the answer would be too large. `CANCELLED` when the caller no longer waits for the answer.
/// Nodes, pods and namespaces that can't be read are problems in the answer.
pub fn simulate_rollout(
    request: wire::SimulateRolloutRequest,
    work: &Work,
) -> Result<wire::SimulateRolloutResponse, Status> {
    let mut reader = Reader::new(work);
    let policies = expand("policies", request.policies, MAX_DAEMON_SETS, work)?;
    let of_cluster = expand(
        "cluster_policies",
        request.cluster_policies,
        MAX_DAEMON_SETS,
        work,
    )?;
    let namespaces = expand("namespaces", request.namespaces, MAX_NODES, work)?;
    let nodes = expand("nodes", request.nodes, MAX_NODES, work)?;
    let pods = expand("pods", request.pods, MAX_PODS, work)?;
    require("policies", policies.len() + of_cluster.len())?;
    require("nodes", nodes.len())?;
    let (read, has_host_port) = reader.rolled_daemon_set(request.daemon_set.into_iter().collect(), work)?;
    let mut policies = reader.policies("policies", POLICY, &policies, work)?;
    policies.extend(reader.policies("cluster_policies", CLUSTER_POLICY, &of_cluster, work)?);
    let namespaces = reader.namespaces(&namespaces, [&read.daemon_set.namespace])?;
    let nodes = reader.last_of_each_name("Node", nodes);
    let nodes = reader.nodes(&nodes)?;
    let given = request.assumptions.unwrap_or_default();
    let assumptions = assumptions(&given, &nodes, has_host_port, &mut reader)?;

    let own = own_pods(&read, &pods, work)?;
    reader.extend(own.problems);
    let created = nodes.iter().map(|node| node.created);
    let latest = created.chain([own.latest, read.created]).max();
    let (daemon_set, strategy) = (read.daemon_set.key(), read.daemon_set.strategy);
    let mut remarks = own.notes;
    remarks.extend(notes_on(&assumptions, own.pods.is_empty()));
    let names: Vec<_> = policies
        .iter()
        .map(|policy| (policy.uid.clone(), policy_name(policy)))
        .collect();
    let scene = Scene {
        daemon_set: read.daemon_set,
        policies,
        namespaces,
        nodes,
        pods: own.pods.into_iter().map(of_current_revision).collect(),
        start: latest.unwrap_or_default().max(EARLIEST_START),
    };
    let course = match simulate(scene, assumptions.clone(), work)? {
        Ok(course) => course,
        Err(impossible) => return Err(refusal(impossible, &daemon_set, strategy)),
    };
    let warnings = warnings(&course, strategy, &assumptions);
    let mut names = names.into_iter();
    let policy = names.find_map(|(uid, name)| (uid == course.policy).then_some(name));
    let size = AnswerSize::new(work);
    let response = wire::SimulateRolloutResponse {
        daemon_set,
        policy: policy.unwrap_or_default(),
        warnings: warnings.into_iter().map(convert::rollout::warning).collect(),
        problems: reader.into_problems(),
        notes: remarks,
        ..response(course)
    };
    size.add(&response)?;
    Ok(response)
}

impl Reader {
    /// Reads the `DaemonSet`, with the current and the update revision, which have the same template. Returns it with
    /// whether its pods have a host port.
    fn rolled_daemon_set(
        &mut self,
        objects: Vec<facts::RawStruct>,
        work: &Work,
    ) -> Result<(ReadDaemonSet, bool), Status> {
        const FIELD: &str = "daemon_set";
        let given = raw_struct::expand_at_most(objects, 1);
        let object = match given.as_ref().map(Vec::as_slice) {
            Ok([object]) => object,
            other => {
                let found = other.map_or_else(|count| *count, <[Item]>::len);
                let message = format!("must be one DaemonSet, found {found}");
                return Err(limits::invalid(&FieldError::new(FIELD, message)));
            }
        };
        let read = self.daemon_set(object, UPDATE).and_then(|read| {
            let scheduled: facts::DaemonSet<SchedulingTemplate> = self.read(object, "DaemonSet")?;
            let spec = scheduled.spec.template.spec;
            let workload = convert::workload(&spec, None, &mut self.strings)
                .map_err(|error| error.within("spec.template.spec"))?;
            Ok((read, !demand(&workload).host_ports.is_empty()))
        });
        // Lack of memory is not an error of the object.
        work.check()?;
        let (mut read, has_host_port) = read.map_err(|error| {
            let name = object.name();
            let name = name.map_or_else(|| "the DaemonSet".to_owned(), |name| format!("daemonset {name}"));
            limits::invalid_object(FIELD, &name, &error)
        })?;
        let daemon_set = &mut read.daemon_set;
        if daemon_set.deleting {
            let message = format!("{} is being deleted", daemon_set.key());
            return Err(limits::invalid(&FieldError::new(FIELD, message)));
        }
        let revision = |number, hash: &str| Revision {
            hash: hash.into(),
            number,
            template: daemon_set.template.clone(),
        };
        daemon_set.revisions = vec![revision(1, CURRENT), revision(2, UPDATE)];
        daemon_set.template_generation = None;
        daemon_set.equal_revisions.clear();
        daemon_set.is_rollout_held = false;
        Ok((read, has_host_port))
    }
}

/// Reads the assumptions.
fn assumptions(
    given: &wire::RolloutAssumptions,
    nodes: &[Box<Node>],
    has_host_port: bool,
    reader: &mut Reader,
) -> Result<Assumptions, Status> {
    let names: HashSet<_> = nodes.iter().map(|node| &*node.name).collect();
    let mut failing = HashSet::new();
    for name in &given.failing_nodes {
        if !names.contains(name.as_str()) {
            let message = format!("has {name:?}, but there is no such node in nodes");
            let field = "assumptions.failing_nodes";
            return Err(limits::invalid(&FieldError::new(field, message)));
        }
        failing.insert(reader.strings.text(name));
    }
    Ok(Assumptions {
        ready_after: assumed("ready_after", given.ready_after, READY_AFTER_MILLIS)?,
        terminated_after: assumed(
            "terminated_after",
            given.terminated_after,
            TERMINATED_AFTER_MILLIS,
        )?,
        promoted_after: assumed("promoted_after", given.promoted_after, 0)?,
        failing,
        has_host_port,
    })
}

/// Reads an assumed duration, in milliseconds.
fn assumed(field: &str, given: Option<prost_types::Duration>, default: i64) -> Result<i64, Status> {
    match given {
        None => Ok(default),
        Some(duration) if (0..=MAX_ASSUMED_SECONDS).contains(&duration.seconds) && duration.nanos >= 0 => {
            Ok(duration.seconds * 1_000 + i64::from(duration.nanos) / 1_000_000)
        }
        Some(_) => Err(limits::invalid(&FieldError::new(
            format!("assumptions.{field}"),
            "must be from 0 s to 24 h",
        ))),
    }
}

/// The status of a call that can't be answered.
fn refusal(impossible: Impossible, daemon_set: &str, strategy: Strategy) -> Status {
    match impossible {
        Impossible::NoNode => {
            let message = format!("none of them should run a pod of {daemon_set}; Explain says why");
            limits::invalid(&FieldError::new("nodes", message))
        }
        Impossible::NoPolicy if strategy == Strategy::OnDelete => Status::failed_precondition(format!(
            "no policy applies to DaemonSet {daemon_set}: its updateStrategy is OnDelete, so a policy has to name it in \
             spec.targetRefs, in the same namespace"
        )),
        Impossible::NoPolicy => Status::failed_precondition(format!(
            "no policy applies to DaemonSet {daemon_set}: a {POLICY} must be in its namespace and name it in \
             spec.targetRefs or select its labels, and a {CLUSTER_POLICY} must select its labels and those of its namespace"
        )),
    }
}

/// Makes a pod one of the current revision.
fn of_current_revision(pod: Pod) -> Pod {
    Pod {
        revision: CURRENT.into(),
        template_generation: Text::default(),
        ..pod
    }
}

/// What the simulation assumes, as sentences for people.
fn notes_on(assumptions: &Assumptions, has_no_pods: bool) -> Vec<String> {
    let Assumptions {
        ready_after,
        terminated_after,
        promoted_after,
        failing,
        ..
    } = assumptions;
    let mut notes = Vec::new();
    if has_no_pods {
        notes.push("there are no pods of the DaemonSet, so every node that should run one has an available pod at first".to_owned());
    }
    notes.push(format!(
        "a new pod is ready after {}, and a deleted one is gone after {}",
        seconds(*ready_after),
        seconds(*terminated_after)
    ));
    match promoted_after {
        0 => notes.push("a stage that waits for a promotion gets it at once".to_owned()),
        millis => notes.push(format!(
            "a stage that waits for a promotion gets it after {}",
            seconds(*millis)
        )),
    }
    match failing.len() {
        0 => {}
        1 => notes.push("on 1 node, the new pod never becomes ready".to_owned()),
        count => notes.push(format!("on {count} nodes, the new pods never become ready")),
    }
    notes
}

fn seconds(millis: i64) -> String {
    let (seconds, millis) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
    match millis {
        0 => format!("{seconds} s"),
        millis => {
            let fraction = format!("{millis:03}");
            format!("{seconds}.{} s", fraction.trim_end_matches('0'))
        }
    }
}

/// The parts of the answer that follow from the simulation alone.
fn response(course: Course) -> wire::SimulateRolloutResponse {
    let observer = &course.observer;
    let (outcome, message) = match course.outcome {
        Outcome::Completed => (wire::SimulatedOutcome::Completed, String::new()),
        Outcome::Partition => (
            wire::SimulatedOutcome::Partition,
            "the other nodes keep the current template, as the policy's partition says".to_owned(),
        ),
        Outcome::Stuck(message) => (wire::SimulatedOutcome::Stuck, message),
    };
    let has_domains = observer.domains().iter().any(|domain| !domain.name.is_empty());
    let domains = observer.domains().iter().filter(|_| has_domains);
    let domains = domains.map(|domain| wire::SimulatedDomain {
        name: domain.name.to_string(),
        nodes: number(domain.nodes),
        most_unavailable: number(domain.unavailable.most),
    });
    wire::SimulateRolloutResponse {
        outcome: outcome.into(),
        message,
        duration: Some(duration(course.duration)),
        desired: number(observer.len()),
        updated: number(course.updated),
        most_unavailable: number(observer.total().most),
        domains: domains.collect(),
        topology_key: course.topology_key.to_string(),
        steps: course.steps.iter().map(step).collect(),
        ..wire::SimulateRolloutResponse::default()
    }
}

fn step(step: &Step) -> wire::SimulatedStep {
    let event = match step.kind {
        StepKind::Opened => wire::SimulatedEvent::Opened,
        StepKind::Updated => wire::SimulatedEvent::Updated,
        StepKind::PromotionNeeded => wire::SimulatedEvent::PromotionNeeded,
        StepKind::Done => wire::SimulatedEvent::Done,
        StepKind::Completed => wire::SimulatedEvent::Completed,
    };
    wire::SimulatedStep {
        at: Some(duration(step.at)),
        stage: step.stage.to_string(),
        event: event.into(),
        nodes: number(step.nodes),
        updated: number(step.updated),
        unavailable: number(step.unavailable),
        most_unavailable: number(step.most_unavailable),
    }
}

fn duration(millis: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: millis.div_euclid(1_000),
        nanos: i32::try_from(millis.rem_euclid(1_000) * 1_000_000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
