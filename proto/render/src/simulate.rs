//! Tables for the answer to `SimulateNodes`, and for the resources that `DaemonSet`s take on an existing node.

use std::collections::{BTreeMap, BTreeSet};

use everynode_proto::planner::v1::{DaemonSetDemand, HostPort, NodeSimulation, SimulateNodesResponse};

use super::{
    TableStyle,
    table::{Cell, Severity, Table},
    values,
};

/// Quantities by resource, in Kubernetes' notation.
pub type Resources = BTreeMap<String, String>;

/// The resources that a table shows even if no `DaemonSet` requests them.
const ALWAYS_SHOWN: [&str; 2] = ["cpu", "memory"];
const PODS: &str = "pods";

/// Renders a table for each node template. `capacities` holds the capacities from the request, by template name.
pub fn table(
    answer: &SimulateNodesResponse,
    capacities: &BTreeMap<String, Resources>,
    style: TableStyle,
) -> String {
    let none = Resources::new();
    let tables = answer.nodes.iter().map(|node| {
        let capacity = capacities.get(&node.node_template).unwrap_or(&none);
        let node_table = node_table(node, &answer.daemon_sets, capacity, style);
        values::line(&format!("Node template {}", node.node_template)) + &node_table
    });
    tables.collect::<Vec<_>>().join("\n")
}

/// Whether all pods fit, no `DaemonSet` is undecided for any template, and no object has a problem.
pub fn is_as_desired(answer: &SimulateNodesResponse) -> bool {
    answer.problems.is_empty() && answer.nodes.iter().all(fits)
}

/// Whether all pods fit on a node, and no `DaemonSet` is undecided for it.
pub(super) fn fits(node: &NodeSimulation) -> bool {
    node.exceeded.is_empty() && node.conflicts.is_empty() && node.undecided.is_empty()
}

/// Renders the resources that `DaemonSet`s take on one node, for each `DaemonSet` and in total. Below the table are the
/// exceeded resources, the conflicts and the undecided `DaemonSet`s.
pub(super) fn node_table(
    node: &NodeSimulation,
    demands: &[DaemonSetDemand],
    capacity: &Resources,
    style: TableStyle,
) -> String {
    let mut text = if node.daemon_sets.is_empty() {
        "No DaemonSet would run on this node.\n".to_owned()
    } else {
        demand_table(node, demands, capacity, style)
    };
    let mut push_line = |label: &str, severity: Severity, rest: String| {
        text.push_str(&severity.paint(label, style));
        text.push_str(&values::line(&rest));
    };
    for resource in &node.exceeded {
        push_line("exceeded:", Severity::Error, format!(" {resource}"));
    }
    for conflict in &node.conflicts {
        let port = conflict
            .host_port
            .as_ref()
            .map(values::host_port)
            .unwrap_or_default();
        let daemon_sets = conflict.daemon_sets.join(", ");
        push_line(
            "conflict:",
            Severity::Error,
            format!(" host port {port} is requested by {daemon_sets}"),
        );
    }
    for undecided in &node.undecided {
        let rest = format!(" {}: {}", undecided.daemon_set, undecided.message);
        push_line("undecided:", Severity::Warning, rest);
    }
    text
}

fn demand_table(
    node: &NodeSimulation,
    demands: &[DaemonSetDemand],
    capacity: &Resources,
    style: TableStyle,
) -> String {
    let resources = resource_columns(node, capacity, style);
    let headings = ["DAEMONSET".to_owned()]
        .into_iter()
        .chain(resources.iter().map(|resource| resource.to_uppercase()))
        .chain(["HOST PORTS".to_owned()]);
    let mut table = Table::new(headings);
    let mut row = |name: &str, quantities: &Resources, ports: &[HostPort]| {
        let amount = |resource: &&str| amount(resource, quantities, &node.exceeded);
        let ports = ports.iter().map(values::host_port).collect::<Vec<_>>().join(", ");
        let cells = [name.into()].into_iter().chain(resources.iter().map(amount));
        table.add_row(cells.chain([ports.into()]));
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
    table.render(style)
}

fn amount(resource: &str, quantities: &Resources, exceeded: &[String]) -> Cell {
    let amount = quantities.get(resource).map_or("-", String::as_str);
    let is_exceeded =
        amount.starts_with('-') && amount.len() > 1 && exceeded.iter().any(|name| name == resource);
    Cell::with_severity(
        amount,
        if is_exceeded {
            Severity::Error
        } else {
            Severity::Neutral
        },
    )
}

/// Returns the resources to show: first [`ALWAYS_SHOWN`], then the requested ones, and pods last. A wide table also has
/// resources that the node offers but no pod requests.
fn resource_columns<'a>(
    node: &'a NodeSimulation,
    capacity: &'a Resources,
    style: TableStyle,
) -> Vec<&'a str> {
    let requested = node.requests.keys();
    let offered = capacity.keys().filter(|_| style.is_wide);
    let others: BTreeSet<_> = requested
        .chain(offered)
        .map(String::as_str)
        .filter(|resource| !ALWAYS_SHOWN.contains(resource) && *resource != PODS)
        .collect();
    ALWAYS_SHOWN.into_iter().chain(others).chain([PODS]).collect()
}

#[cfg(test)]
mod tests;
