//! `Explain`, and what a plan has of it.

use everynode_proto::planner::v1 as wire;
use tonic::Status;

use super::reader::{Reader, expand, require};
use crate::{
    convert,
    decide::{placement::Placement, summary::Summary},
    limits::{self, MAX_DAEMON_SETS, MAX_NODES},
    model::Node,
};

/// The verdicts of a `DaemonSet`, with their summary.
pub(super) struct Verdicts {
    pub(super) verdicts: Vec<wire::NodeVerdict>,
    pub(super) summary: wire::VerdictSummary,
}

impl Verdicts {
    pub(super) fn of<'n>(
        key: &str,
        placement: &Placement,
        nodes: impl IntoIterator<Item = &'n Node>,
    ) -> Self {
        let mut summary = Summary::default();
        let verdict = |node: &Node| {
            let (verdict, reasons) = (placement.verdict(node), placement.explain(node));
            summary.add(verdict, &reasons);
            convert::verdict(key, &node.name, verdict, reasons)
        };
        let verdicts = nodes.into_iter().map(verdict).collect();
        Self {
            verdicts,
            summary: convert::summary(key, summary),
        }
    }
}

/// Says for each pair of `DaemonSet` and node whether a pod belongs there, with every reason.
///
/// # Errors
/// `INVALID_ARGUMENT` when there is no `DaemonSet` or no node, `RESOURCE_EXHAUSTED` when there are too many.
pub fn explain(request: wire::ExplainRequest) -> Result<wire::ExplainResponse, Status> {
    let daemon_sets = expand("daemon_sets", request.daemon_sets, MAX_DAEMON_SETS)?;
    let nodes = expand("nodes", request.nodes, MAX_NODES)?;
    require("daemon_sets", daemon_sets.len())?;
    require("nodes", nodes.len())?;
    limits::check_pairs("nodes", daemon_sets.len(), nodes.len())?;

    let mut reader = Reader::default();
    let mut nodes = reader.nodes(&nodes);
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut response = wire::ExplainResponse::default();
    reader.each("daemonset", &daemon_sets, |reader, object| {
        // The revision plays no part in placement.
        let daemon_set = reader.daemon_set(object.read("DaemonSet")?, "")?;
        let placement = Placement::new(&daemon_set);
        let key = daemon_set.key();
        reader.say(&key, &placement.problems());
        let verdicts = Verdicts::of(&key, &placement, nodes.iter().map(AsRef::as_ref));
        response.verdicts.extend(verdicts.verdicts);
        response.summaries.push(verdicts.summary);
        Ok(())
    });
    response.problems = reader.problems;
    Ok(response)
}
