//! `SimulateNodes`.

use std::collections::HashMap;

use everynode_proto::{
    facts::{
        self,
        object::demand::{NodeCapacity, RuntimeClass, SchedulingTemplate},
        unread::Item,
    },
    planner::v1 as wire,
};
use tonic::Status;

use super::reader::{Reader, expand, in_metadata, require};
use crate::{
    convert::{self, FieldError},
    decide::{
        demand::demand,
        placement::Placement,
        simulate::{Candidate, simulate},
    },
    limits::{self, MAX_DAEMON_SETS, MAX_NODE_TEMPLATES},
    model::{Demand, NodeTemplate, Resources},
};

/// Where a template's spec is in its `DaemonSet`.
const SPEC: &str = "spec.template.spec";

/// Says of nodes that needn't exist which `DaemonSet`s would run there, what their pods would take, and what would be left.
///
/// # Errors
/// `INVALID_ARGUMENT` when there is no `DaemonSet` or no template, or when a template of the request's own can't be used;
/// `RESOURCE_EXHAUSTED` when there are too many. Objects that can't be read are problems in the answer.
pub fn simulate_nodes(request: wire::SimulateNodesRequest) -> Result<wire::SimulateNodesResponse, Status> {
    let daemon_sets = expand("daemon_sets", request.daemon_sets, MAX_DAEMON_SETS)?;
    let nodes = expand("nodes", request.nodes, MAX_NODE_TEMPLATES)?;
    let classes = expand("runtime_classes", request.runtime_classes, MAX_DAEMON_SETS)?;
    let count = request.node_templates.len().saturating_add(nodes.len());
    require("daemon_sets", daemon_sets.len())?;
    require("node_templates", count)?;
    limits::check("node_templates", count, MAX_NODE_TEMPLATES)?;
    limits::check_pairs("node_templates", daemon_sets.len(), count)?;

    let mut reader = Reader::default();
    let mut templates = Vec::with_capacity(count);
    for (index, template) in request.node_templates.into_iter().enumerate() {
        let template = convert::node_template(template, &mut reader.strings)
            .map_err(|error| limits::invalid(&error.within(&format!("node_templates[{index}]"))))?;
        templates.push(template);
    }
    templates.extend(reader.templates(&nodes));
    let overheads = reader.overheads(&classes);
    let (keys, candidates) = reader.candidates(&daemon_sets, &overheads);

    let demands = keys.iter().zip(&candidates);
    let simulated = templates.iter().map(|template| {
        let simulation = simulate(&candidates, template);
        convert::simulation(&simulation, &template.node.name, &keys)
    });
    Ok(wire::SimulateNodesResponse {
        nodes: simulated.collect(),
        daemon_sets: demands
            .map(|(key, candidate)| convert::demand(key, &candidate.demand))
            .collect(),
        problems: reader.problems,
    })
}

impl Reader {
    /// Nodes as templates.
    fn templates(&mut self, objects: &[Item]) -> Vec<NodeTemplate> {
        let mut templates = Vec::with_capacity(objects.len());
        for (index, object) in objects.iter().enumerate() {
            match self.template(object) {
                Ok(template) => templates.push(template),
                Err(error) => self.malformed("Node", &object.name(index), error.field, error.message),
            }
        }
        templates
    }

    fn template(&mut self, object: &Item) -> Result<NodeTemplate, FieldError> {
        let node: facts::Node = object.read("Node")?;
        let node = convert::node(&node.facts(), &mut self.strings).map_err(in_metadata)?;
        let capacity: NodeCapacity = object.read("Node")?;
        convert::node_as_template(*node, &capacity.status, &mut self.strings)
    }

    /// What running a pod of each `RuntimeClass` takes.
    fn overheads(&mut self, objects: &[Item]) -> HashMap<String, Resources> {
        let mut overheads = HashMap::new();
        for (name, class) in self.read_all::<RuntimeClass>("RuntimeClass", objects) {
            match convert::resources("overhead.podFixed", &class.overhead.pod_fixed, &mut self.strings) {
                Ok(overhead) => drop(overheads.insert(class.metadata.name, overhead)),
                Err(error) => self.malformed("RuntimeClass", &name, error.field, error.message),
            }
        }
        overheads
    }

    /// The `DaemonSet`s that can be read, each with its key.
    fn candidates(
        &mut self,
        objects: &[Item],
        overheads: &HashMap<String, Resources>,
    ) -> (Vec<String>, Vec<Candidate>) {
        let (mut keys, mut candidates) = (Vec::new(), Vec::new());
        for (index, object) in objects.iter().enumerate() {
            let name = object.name(index);
            match self.candidate(object, overheads) {
                Ok((key, candidate)) => {
                    keys.push(key);
                    candidates.push(candidate);
                }
                Err(error) => self.malformed("DaemonSet", &name, error.field, error.message),
            }
        }
        (keys, candidates)
    }

    fn candidate(
        &mut self,
        object: &Item,
        overheads: &HashMap<String, Resources>,
    ) -> Result<(String, Candidate), FieldError> {
        let read: facts::DaemonSet = object.read("DaemonSet")?;
        // The revision plays no part here.
        let daemon_set = self.daemon_set(read, "")?;
        let key = daemon_set.key();
        let placement = Placement::new(&daemon_set);
        let about = format!("daemonset {key}");
        let found = placement.problems();
        self.problems
            .extend(found.iter().map(|problem| convert::problem(problem, &about)));
        let demand = self.demand(object, overheads, about)?;
        Ok((key, Candidate { placement, demand }))
    }

    fn demand(
        &mut self,
        object: &Item,
        overheads: &HashMap<String, Resources>,
        about: String,
    ) -> Result<Demand, FieldError> {
        let read: facts::DaemonSet<SchedulingTemplate> = object.read("DaemonSet")?;
        let spec = read.spec.template.spec;
        let class = &spec.runtime_class_name;
        let overhead = overheads.get(class);
        if spec.overhead.is_none() && overhead.is_none() && !class.is_empty() {
            self.problems.push(wire::Problem {
                code: wire::ProblemCode::UnknownOverhead.into(),
                object: about,
                field: format!("{SPEC}.runtimeClassName"),
                message: format!(
                    "the RuntimeClass {class} is not among runtime_classes, so its overhead counts as none"
                ),
            });
        }
        let workload =
            convert::workload(&spec, overhead, &mut self.strings).map_err(|error| error.within(SPEC))?;
        Ok(demand(&workload))
    }
}
