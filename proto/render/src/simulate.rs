//! Tables for the answer to `SimulateNodes`, and for the resources that `DaemonSet`s take on an existing node.

use std::collections::{BTreeMap, BTreeSet};

use everynode_proto::planner::v1::{DaemonSetDemand, HostPort, NodeSimulation, SimulateNodesResponse};

use super::{
    View,
    table::{Cell, Table, Tone},
    words,
};

/// Quantities by resource, in Kubernetes' notation.
pub type Resources = BTreeMap<String, String>;

/// Resources that a table always shows, even if no `DaemonSet` requests them.
const USUAL: [&str; 2] = ["cpu", "memory"];
const PODS: &str = "pods";

/// Renders a table for each node template. `capacities` has the capacities in the request by template name.
pub fn table(answer: &SimulateNodesResponse, capacities: &BTreeMap<String, Resources>, view: View) -> String {
    let none = Resources::new();
    let tables = answer.nodes.iter().map(|node| {
        let capacity = capacities.get(&node.node_template).unwrap_or(&none);
        let node_table = node_table(node, &answer.daemon_sets, capacity, view);
        words::line(&format!("Node template {}", node.node_template)) + &node_table
    });
    tables.collect::<Vec<_>>().join("\n")
}

/// Whether everything fits and is decided, and no object has a problem.
pub fn is_as_wished(answer: &SimulateNodesResponse) -> bool {
    answer.problems.is_empty() && answer.nodes.iter().all(fits)
}

/// Whether everything fits on a node, and every `DaemonSet` is decided for it.
pub fn fits(node: &NodeSimulation) -> bool {
    node.exceeded.is_empty() && node.conflicts.is_empty() && node.undecided.is_empty()
}

/// Renders the resources that `DaemonSet`s take on one node, for each and in sum. Below the table it lists what is
/// exceeded, in conflict or undecided.
pub fn node_table(
    node: &NodeSimulation,
    demands: &[DaemonSetDemand],
    capacity: &Resources,
    view: View,
) -> String {
    let mut text = if node.daemon_sets.is_empty() {
        "No DaemonSet would run there.\n".to_owned()
    } else {
        sums(node, demands, capacity, view)
    };
    let mut say = |word: &str, tone: Tone, rest: String| {
        text.push_str(&tone.paint(word, view));
        text.push_str(&words::line(&rest));
    };
    for resource in &node.exceeded {
        say("exceeded:", Tone::Bad, format!(" {resource}"));
    }
    for conflict in &node.conflicts {
        let port = conflict
            .host_port
            .as_ref()
            .map(words::host_port)
            .unwrap_or_default();
        let wanted_by = conflict.daemon_sets.join(", ");
        say(
            "conflict:",
            Tone::Bad,
            format!(" host port {port} is wanted by {wanted_by}"),
        );
    }
    for undecided in &node.undecided {
        let rest = format!(" {}: {}", undecided.daemon_set, undecided.message);
        say("undecided:", Tone::Doubtful, rest);
    }
    text
}

fn sums(node: &NodeSimulation, demands: &[DaemonSetDemand], capacity: &Resources, view: View) -> String {
    let resources = columns(node, capacity, view);
    let headings = ["DAEMONSET".to_owned()]
        .into_iter()
        .chain(resources.iter().map(|resource| resource.to_uppercase()))
        .chain(["HOST PORTS".to_owned()]);
    let mut table = Table::new(headings);
    let mut row = |name: &str, quantities: &Resources, ports: &[HostPort]| {
        let amount = |resource: &&str| amount(resource, quantities, &node.exceeded);
        let ports = ports.iter().map(words::host_port).collect::<Vec<_>>().join(", ");
        let cells = [name.into()].into_iter().chain(resources.iter().map(amount));
        table.row(cells.chain([ports.into()]));
    };
    let by_name: BTreeMap<_, _> = demands
        .iter()
        .map(|demand| (demand.daemon_set.as_str(), demand))
        .collect();
    for name in &node.daemon_sets {
        if let Some(demand) = by_name.get(name.as_str()) {
            row(name, &demand.requests, &demand.host_ports);
        }
    }
    row("requested", &node.requests, &[]);
    if !capacity.is_empty() {
        row("capacity", capacity, &[]);
    }
    if !node.left.is_empty() {
        row("left", &node.left, &[]);
    }
    table.render(view)
}

fn amount(resource: &str, quantities: &Resources, exceeded: &[String]) -> Cell {
    let amount = quantities.get(resource).map_or("-", String::as_str);
    let is_short =
        amount.starts_with('-') && amount.len() > 1 && exceeded.iter().any(|name| name == resource);
    Cell::toned(amount, if is_short { Tone::Bad } else { Tone::Plain })
}

/// Returns the requested resources: the usual ones first, pods last. A wide view adds the resources that only the node
/// has.
fn columns<'a>(node: &'a NodeSimulation, capacity: &'a Resources, view: View) -> Vec<&'a str> {
    let requested = node.requests.keys();
    let had = capacity.keys().filter(|_| view.wide);
    let others: BTreeSet<_> = requested
        .chain(had)
        .map(String::as_str)
        .filter(|resource| !USUAL.contains(resource) && *resource != PODS)
        .collect();
    USUAL.into_iter().chain(others).chain([PODS]).collect()
}

#[cfg(test)]
mod tests;
