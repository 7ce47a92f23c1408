//! `Explain`, and the verdicts that `Plan` shares with it.

mod rollouts;

use everynode_proto::planner::v1 as wire;
use everynode_serving::serve::Work;
use tonic::Status;

use self::rollouts::Rollouts;
use super::reader::{Reader, expand, require};
use crate::{
    convert,
    decide::{placement::Placement, runtime_class::ClassConditions, summary::Summary},
    limits::{self, AnswerSize, MAX_DAEMON_SETS, MAX_NODES},
    model::Node,
};

/// The verdicts on a `DaemonSet`, with their summary.
pub(super) struct Verdicts {
    pub(super) verdicts: Vec<wire::NodeVerdict>,
    pub(super) summary: wire::VerdictSummary,
}

impl Verdicts {
    /// Computes the verdict on each node. `class` has the conditions of the pods' `RuntimeClass`, which add reasons but
    /// change no verdict.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when the answer would be too large, `CANCELLED` when the caller no longer waits for it.
    pub(super) fn compute<'n>(
        key: &str,
        placement: &Placement,
        class: Option<&ClassConditions>,
        nodes: impl IntoIterator<Item = &'n Node>,
        size: &AnswerSize<'_>,
        work: &Work,
    ) -> Result<Self, Status> {
        let mut summary = Summary::default();
        let verdict = |node: &Node| {
            work.check()?;
            let (verdict, mut reasons) = (placement.verdict(node), placement.explain(node));
            if let Some(class) = class {
                class.explain(node, verdict, &mut reasons);
            }
            summary.add(verdict, &reasons);
            let verdict = convert::verdict(key, &node.name, verdict, reasons);
            size.add(&verdict)?;
            Ok(verdict)
        };
        let verdicts = nodes.into_iter().map(verdict).collect::<Result<_, Status>>()?;
        Ok(Self {
            verdicts,
            summary: convert::summary(key, summary),
        })
    }
}

/// Decides for each pair of `DaemonSet` and node whether a pod belongs there, and gives every reason. With rollout policies,
/// it also says where the node is in the rollout.
///
/// # Errors
/// `INVALID_ARGUMENT` when there is no `DaemonSet` or no node, or when a known rollout can't be read. `RESOURCE_EXHAUSTED`
/// when there are too many, when there is no memory for them, or when the answer would be too large. `CANCELLED` when the
/// caller no longer waits for the answer.
pub fn explain(mut request: wire::ExplainRequest, work: &Work) -> Result<wire::ExplainResponse, Status> {
    let daemon_sets = std::mem::take(&mut request.daemon_sets);
    let daemon_sets = expand("daemon_sets", daemon_sets, MAX_DAEMON_SETS, work)?;
    let nodes = expand("nodes", std::mem::take(&mut request.nodes), MAX_NODES, work)?;
    let classes = std::mem::take(&mut request.runtime_classes);
    let classes = expand("runtime_classes", classes, MAX_DAEMON_SETS, work)?;
    require("daemon_sets", daemon_sets.len())?;
    require("nodes", nodes.len())?;
    limits::check_pairs("nodes", daemon_sets.len(), nodes.len(), work)?;

    let mut reader = Reader::new(work);
    let nodes = reader.last_of_each_name("Node", nodes);
    let daemon_sets = reader.last_of_each_name("DaemonSet", daemon_sets);
    let mut nodes = reader.nodes(&nodes)?;
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let classes = reader.classes(classes)?;
    let mut rollouts = Rollouts::read(request, &mut reader, work)?;
    let (mut response, size) = (wire::ExplainResponse::default(), AnswerSize::new(work));
    let verdicts = reader.read_each("DaemonSet", &daemon_sets, |reader, object| {
        // Placement doesn't depend on the revision.
        let read = reader.daemon_set(object, "")?;
        let placement = Placement::new(&read.daemon_set);
        let key = read.daemon_set.key();
        let class = classes.conditions(&read.runtime_class);
        reader.report_placement(&read, &placement, class);
        let all = nodes.iter().map(AsRef::as_ref);
        let verdicts = Verdicts::compute(&key, &placement, class, all, &size, work);
        Ok(verdicts.and_then(|mut verdicts| {
            let positions = rollouts.positions(reader, read, object, &placement, &nodes)?;
            for verdict in &mut verdicts.verdicts {
                verdict.rollout = positions.of(&verdict.node);
                if let Some(rollout) = &verdict.rollout {
                    size.add(rollout)?;
                }
            }
            Ok(verdicts)
        }))
    })?;
    for verdicts in verdicts {
        let Verdicts { verdicts, summary } = verdicts?;
        response.verdicts.extend(verdicts);
        response.summaries.push(summary);
    }
    response.problems = reader.into_problems();
    Ok(response)
}
