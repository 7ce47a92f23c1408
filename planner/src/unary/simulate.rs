//! `SimulateNodes`.

use std::sync::Arc;

use everynode_proto::{
    facts::{self, object::demand::SchedulingTemplate, raw_struct::Item},
    planner::v1 as wire,
};
use everynode_serving::serve::Work;
use hashbrown::HashSet;
use rayon::prelude::*;
use tonic::Status;

use super::{
    classes::Classes,
    reader::{Reader, expand, object_name, require},
};
use crate::{
    convert::{self, FieldError},
    decide::{
        demand::demand,
        placement::Placement,
        simulate::{Candidate, Simulator},
    },
    limits::{self, AnswerSize, MAX_DAEMON_SETS, MAX_NODE_TEMPLATES},
    model::{Demand, NodeTemplate},
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
    let daemon_sets = expand("daemon_sets", request.daemon_sets, MAX_DAEMON_SETS, work)?;
    let nodes = expand("nodes", request.nodes, MAX_NODE_TEMPLATES, work)?;
    let classes = expand("runtime_classes", request.runtime_classes, MAX_DAEMON_SETS, work)?;
    let count = request.node_templates.len().saturating_add(nodes.len());
    require("daemon_sets", daemon_sets.len())?;
    require("node_templates", count)?;
    limits::check("node_templates", count, MAX_NODE_TEMPLATES, work)?;
    limits::check_pairs("node_templates", daemon_sets.len(), count, work)?;

    let mut reader = Reader::new(work);
    let mut templates = Vec::with_capacity(count);
    for (index, template) in request.node_templates.into_iter().enumerate() {
        templates.push(reader.node_template(index, template)?);
    }
    let unknown = request.unknown_labels.iter();
    let unknown: HashSet<_> = unknown.map(|key| reader.strings.text(key)).collect();
    templates.extend(reader.templates(&nodes, &Arc::new(unknown))?);
    let classes = reader.classes(classes)?;
    let daemon_sets = reader.last_of_each_name("DaemonSet", daemon_sets);
    let candidates = reader.read_each("DaemonSet", &daemon_sets, |reader, object| {
        reader.candidate(object, &classes)
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
        problems: reader.into_problems(),
    })
}

impl Reader {
    /// Reads a template that isn't a Kubernetes object.
    fn node_template(&mut self, index: usize, template: wire::NodeTemplate) -> Result<NodeTemplate, Status> {
        const KIND: &str = "node template";
        let name = Some(template.name.as_str()).filter(|name| !name.is_empty());
        let object = object_name(KIND, name, index);
        let template = convert::node_template(template, &mut self.strings)
            .map_err(|error| limits::invalid_object(&format!("node_templates[{index}]"), &object, &error))?;
        self.check_node_template(&object, &template.node);
        Ok(template)
    }

    /// Reads a `DaemonSet`. Returns it with its key.
    fn candidate(&mut self, object: &Item, classes: &Classes) -> Result<(String, Candidate), FieldError> {
        // Simulations don't depend on the revision.
        let read = self.daemon_set(object, "")?;
        let key = read.daemon_set.key();
        let placement = Placement::new(&read.daemon_set);
        let demand = self.demand(&key, object, classes)?;
        let class = classes.conditions(&read.runtime_class);
        self.report_placement(&read, &placement, class);
        let class = class.cloned();
        Ok((
            key,
            Candidate {
                placement,
                demand,
                class,
            },
        ))
    }

    fn demand(&mut self, daemon_set: &str, object: &Item, classes: &Classes) -> Result<Demand, FieldError> {
        let read: facts::DaemonSet<SchedulingTemplate> = self.read(object, "DaemonSet")?;
        let spec = read.spec.template.spec;
        let class = &spec.runtime_class_name;
        let overhead = classes.overhead(class);
        if spec.overhead.is_none() && overhead.is_none() && !class.is_empty() {
            self.report_unknown_class(daemon_set, class);
        }
        let workload =
            convert::workload(&spec, overhead, &mut self.strings).map_err(|error| error.within(SPEC))?;
        Ok(demand(&workload))
    }
}
