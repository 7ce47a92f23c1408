//! `SimulateNodes`.

use std::collections::HashMap;

use everynode_proto::{
    facts::{
        self,
        object::demand::{NodeCapacity, RuntimeClass, SchedulingTemplate},
        raw_struct::Item,
    },
    planner::v1 as wire,
};
use everynode_serving::serve::Work;
use rayon::prelude::*;
use tonic::Status;

use super::reader::{Reader, expand, require};
use crate::{
    convert::{self, FieldError},
    decide::{
        demand::demand,
        placement::Placement,
        simulate::{Candidate, Simulator},
    },
    limits::{self, AnswerSize, MAX_DAEMON_SETS, MAX_NODE_TEMPLATES},
    model::{Demand, NodeTemplate, Resources},
};

/// The path of the template's spec in a `DaemonSet`.
const SPEC: &str = "spec.template.spec";

/// Simulates nodes, which needn't exist: which `DaemonSet`s would run there, what their pods would take, and what would
/// be left.
///
/// # Errors
/// `INVALID_ARGUMENT` when there is no `DaemonSet` or no template, or when a template in `node_templates` can't be
/// used. `RESOURCE_EXHAUSTED` when there are too many objects, when there is no memory for them, or when the answer
/// would be too large. `CANCELLED` when the caller no longer waits for the answer. Objects that can't be read are
/// problems in the answer.
pub fn simulate_nodes(
    request: wire::SimulateNodesRequest,
    work: &Work,
) -> Result<wire::SimulateNodesResponse, Status> {
    let daemon_sets = expand("daemon_sets", request.daemon_sets, MAX_DAEMON_SETS)?;
    let nodes = expand("nodes", request.nodes, MAX_NODE_TEMPLATES)?;
    let classes = expand("runtime_classes", request.runtime_classes, MAX_DAEMON_SETS)?;
    let count = request.node_templates.len().saturating_add(nodes.len());
    require("daemon_sets", daemon_sets.len())?;
    require("node_templates", count)?;
    limits::check("node_templates", count, MAX_NODE_TEMPLATES)?;
    limits::check_pairs("node_templates", daemon_sets.len(), count)?;

    let mut reader = Reader::new(work);
    let mut templates = Vec::with_capacity(count);
    for (index, template) in request.node_templates.into_iter().enumerate() {
        let template = convert::node_template(template, &mut reader.strings)
            .map_err(|error| limits::invalid(&error.within(&format!("node_templates[{index}]"))))?;
        templates.push(template);
    }
    templates.extend(reader.read_in_parallel("node", &nodes, Reader::template)?);
    let overheads = reader.read_each("runtimeclass", &classes, Reader::overhead)?;
    let overheads: HashMap<_, _> = overheads.into_iter().collect();
    let candidates = reader.read_each("daemonset", &daemon_sets, |reader, object| {
        reader.candidate(object, &overheads)
    })?;
    let (keys, candidates): (Vec<_>, Vec<_>) = candidates.into_iter().unzip();

    let demands = keys.iter().zip(&candidates);
    let size = AnswerSize::new(work);
    let simulated = templates.par_iter().map(|template| {
        let mut simulator = Simulator::new(template);
        for candidate in &candidates {
            work.check()?;
            simulator.add(candidate);
        }
        work.check()?;
        let simulation = simulator.finish();
        let simulated = convert::simulation(&simulation, &template.node.name, &keys);
        size.add(&simulated)?;
        Ok(simulated)
    });
    Ok(wire::SimulateNodesResponse {
        nodes: simulated.collect::<Result<_, Status>>()?,
        daemon_sets: demands
            .map(|(key, candidate)| convert::demand(key, &candidate.demand))
            .collect(),
        problems: reader.problems,
    })
}

impl Reader {
    /// Reads a node as a template.
    fn template(&mut self, object: &Item) -> Result<NodeTemplate, FieldError> {
        let node = self.node(object)?;
        let capacity: NodeCapacity = self.read(object, "Node")?;
        convert::node_as_template(*node, &capacity.status, &mut self.strings)
    }

    /// Reads the name of a `RuntimeClass`, and the overhead of running a pod of this class.
    fn overhead(&mut self, object: &Item) -> Result<(String, Resources), FieldError> {
        let class: RuntimeClass = self.read(object, "RuntimeClass")?;
        let overhead = convert::resources("overhead.podFixed", &class.overhead.pod_fixed, &mut self.strings)?;
        Ok((class.metadata.name, overhead))
    }

    /// Reads a `DaemonSet`. Returns it with its key.
    fn candidate(
        &mut self,
        object: &Item,
        overheads: &HashMap<String, Resources>,
    ) -> Result<(String, Candidate), FieldError> {
        // Simulations don't depend on the revision.
        let daemon_set = self.daemon_set(self.read(object, "DaemonSet")?, "")?;
        let key = daemon_set.key();
        let placement = Placement::new(&daemon_set);
        let demand = self.demand(&key, object, overheads)?;
        self.report_problems(&key, &placement.problems());
        Ok((key, Candidate { placement, demand }))
    }

    fn demand(
        &mut self,
        daemon_set: &str,
        object: &Item,
        overheads: &HashMap<String, Resources>,
    ) -> Result<Demand, FieldError> {
        let read: facts::DaemonSet<SchedulingTemplate> = self.read(object, "DaemonSet")?;
        let spec = read.spec.template.spec;
        let class = &spec.runtime_class_name;
        let overhead = overheads.get(class);
        if spec.overhead.is_none() && overhead.is_none() && !class.is_empty() {
            self.problems.push(wire::Problem {
                code: wire::ProblemCode::UnknownOverhead.into(),
                object: format!("daemonset {daemon_set}"),
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
