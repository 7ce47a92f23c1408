//! The calls that are answered from one request: `Plan` and `Explain`, on Kubernetes objects as they are printed.

use everynode_proto::{
    facts::{
        self, Unread,
        unread::{self, Item},
    },
    planner::v1 as wire,
};
use serde::de::DeserializeOwned;
use tonic::Status;

use crate::{
    convert::{self, FieldError},
    decide::placement::Placement,
    fleet::Fleet,
    intern::Interner,
    limits::{self, MAX_DAEMON_SETS, MAX_NODES, MAX_PODS},
    model::{DaemonSet, Millis, Node},
};

/// Stands for the uid of a `DaemonSet` that was never in a cluster.
const NO_UID: &str = "(no uid)";

/// Reads objects, and turns what can't be read into problems.
#[derive(Debug, Default)]
struct Reader {
    strings: Interner,
    problems: Vec<wire::Problem>,
}

impl Reader {
    /// The objects that can be read, each with what it is called in messages.
    fn read_all<T: DeserializeOwned>(&mut self, kind: &str, objects: &[Item]) -> Vec<(String, T)> {
        let numbered = objects.iter().enumerate();
        let read = numbered.filter_map(|(index, object)| {
            let name = object.name(index);
            match object.read(kind) {
                Ok(object) => Some((name, object)),
                Err(error) => {
                    self.problems
                        .push(malformed(kind, &name, error.field, error.message));
                    None
                }
            }
        });
        read.collect()
    }

    #[expect(
        clippy::vec_box,
        reason = "a fleet keeps nodes boxed, and takes them as they are"
    )]
    fn nodes(&mut self, objects: &[Item]) -> Vec<Box<Node>> {
        let mut nodes = Vec::with_capacity(objects.len());
        for (name, node) in self.read_all::<facts::Node>("Node", objects) {
            match convert::node(&node.facts(), &mut self.strings) {
                Ok(node) => nodes.push(node),
                Err(error) => self
                    .problems
                    .push(malformed("Node", &name, metadata(&error), error.message)),
            }
        }
        nodes
    }

    /// A `DaemonSet` that was never in a cluster lacks a uid and perhaps a namespace; both are filled in.
    fn daemon_set(&mut self, mut object: facts::DaemonSet, revision: &str) -> Result<DaemonSet, FieldError> {
        if object.metadata.uid.is_empty() {
            NO_UID.clone_into(&mut object.metadata.uid);
        }
        if object.metadata.namespace.is_empty() {
            "default".clone_into(&mut object.metadata.namespace);
        }
        let (facts, problems) = object.facts(&object.spec.template, revision);
        self.problems.extend(problems);
        convert::daemon_set(&facts, &mut self.strings)
            .map_err(|error| FieldError::new(metadata(&error), error.message.clone()))
    }
}

/// The path in the object of a fact's field.
fn metadata(error: &FieldError) -> String {
    match error.field.as_str() {
        "min_ready_seconds" => "spec.minReadySeconds".to_owned(),
        field => format!("metadata.{field}"),
    }
}

fn malformed(kind: &str, name: &str, field: String, message: String) -> wire::Problem {
    wire::Problem {
        code: wire::ProblemCode::Malformed.into(),
        object: format!("{} {name}", kind.to_lowercase()),
        field,
        message,
    }
}

fn expand(field: &str, objects: Vec<Unread>, limit: usize) -> Result<Vec<Item>, Status> {
    let objects = unread::expand(objects);
    limits::check(field, objects.len(), limit)?;
    Ok(objects)
}

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
    let object = object
        .read::<facts::DaemonSet>("DaemonSet")
        .map_err(|error| invalid(FieldError::new(error.field, error.message)))?;
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
        match convert::pod(facts, &mut reader.strings) {
            Ok((owner, pod)) => fleet.pod_changed(&owner, pod),
            Err(error) => {
                let problem = malformed("Pod", name, metadata(&error), error.message);
                reader.problems.push(problem);
            }
        }
    }
    fleet.daemon_set_changed(daemon_set);
    let mut response = answer(&mut fleet, &uid, now, reader.problems);
    if being_deleted {
        // Its pods are the garbage collector's (contract A4).
        response = wire::PlanResponse {
            verdicts: response.verdicts,
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
        response.verdicts = fleet
            .nodes()
            .map(|node| verdict(&key, &known.placement, node))
            .collect();
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

fn verdict(key: &str, placement: &Placement, node: &Node) -> wire::NodeVerdict {
    convert::verdict(key, &node.name, placement.verdict(node), placement.explain(node))
}

/// Says for each pair of `DaemonSet` and node whether a pod belongs there, with every reason.
///
/// # Errors
/// `INVALID_ARGUMENT` when there is no `DaemonSet` or no node, `RESOURCE_EXHAUSTED` when there are too many.
pub fn explain(request: wire::ExplainRequest) -> Result<wire::ExplainResponse, Status> {
    let daemon_sets = expand("daemon_sets", request.daemon_sets, MAX_DAEMON_SETS)?;
    let nodes = expand("nodes", request.nodes, MAX_NODES)?;
    for (field, objects) in [("daemon_sets", &daemon_sets), ("nodes", &nodes)] {
        if objects.is_empty() {
            return Err(limits::invalid(&FieldError::new(
                field,
                "must hold at least one object",
            )));
        }
    }
    limits::check_pairs(daemon_sets.len(), nodes.len())?;

    let mut reader = Reader::default();
    let mut nodes = reader.nodes(&nodes);
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut verdicts = Vec::new();
    for (name, object) in reader.read_all::<facts::DaemonSet>("DaemonSet", &daemon_sets) {
        // The revision plays no part in placement.
        let daemon_set = match reader.daemon_set(object, "") {
            Ok(daemon_set) => daemon_set,
            Err(error) => {
                reader
                    .problems
                    .push(malformed("DaemonSet", &name, error.field, error.message));
                continue;
            }
        };
        let placement = Placement::new(&daemon_set);
        let key = daemon_set.key();
        let object = format!("daemonset {key}");
        reader.problems.extend(
            placement
                .problems()
                .iter()
                .map(|problem| convert::problem(problem, &object)),
        );
        verdicts.extend(nodes.iter().map(|node| verdict(&key, &placement, node)));
    }
    Ok(wire::ExplainResponse {
        verdicts,
        problems: reader.problems,
        summaries: Vec::new(),
    })
}
