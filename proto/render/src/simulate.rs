//! Tables for the answer to `SimulateNodes`, and for the resources that `DaemonSet`s take on existing nodes.
//!
//! A single node has a table with a row for each `DaemonSet`. Several nodes share one table with a row for each kind of
//! node, which the module `overview` prints.

mod overview;

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use everynode_proto::planner::v1::{
    DaemonSetDemand, HostPort, NodeSimulation, Problem, ProblemCode, SimulateNodesResponse,
};

pub(crate) use self::overview::{Node, csv as nodes_csv};
use super::{
    TableStyle,
    table::{Cell, Severity, Table},
    units, values,
};

/// Quantities by resource, in Kubernetes' notation.
pub type Resources = BTreeMap<String, String>;

/// The resources that a table shows even if no `DaemonSet` requests them.
const ALWAYS_SHOWN: [&str; 2] = [CPU, MEMORY];
const CPU: &str = "cpu";
const MEMORY: &str = "memory";
const PODS: &str = "pods";

/// The order of nodes in tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortBy {
    /// By name.
    #[default]
    Name,
    /// By the requested share of the node's CPU, largest first.
    Cpu,
    /// By the requested share of the node's memory, largest first.
    Memory,
    /// By the requested share of the node's pods, largest first.
    Pods,
}

impl SortBy {
    /// The names that `--sort` accepts, in the order of the help.
    pub const NAMES: [&'static str; 4] = ["name", "cpu", "memory", "pods"];

    /// Returns the resource to sort by, if it isn't the name.
    fn resource(self) -> Option<&'static str> {
        match self {
            Self::Name => None,
            Self::Cpu => Some(CPU),
            Self::Memory => Some(MEMORY),
            Self::Pods => Some(PODS),
        }
    }
}

impl FromStr for SortBy {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "name" => Ok(Self::Name),
            "cpu" => Ok(Self::Cpu),
            "memory" => Ok(Self::Memory),
            "pods" => Ok(Self::Pods),
            _ => Err(format!("must be one of {}", Self::NAMES.join(", "))),
        }
    }
}

/// The capacities of node templates, each with the template's name, in the order of the request. Two templates may have
/// the same name.
pub type Capacities = Vec<(String, Resources)>;

/// The detailed tables of several nodes are shown only if they have at most this number of lines.
const MAX_DETAILED_LINES: usize = 24;
/// The detailed tables of more nodes never have so few lines.
const MAX_DETAILED_NODES: usize = 6;

/// Renders the detailed table of a single template, or one table with a row for each kind of template. In the wide
/// style, every template has a detailed table.
pub fn table(
    answer: &SimulateNodesResponse,
    capacities: &[(String, Resources)],
    sort: SortBy,
    style: TableStyle,
) -> String {
    let nodes = overview::sorted(nodes(answer, capacities), sort);
    let is_complete = is_complete(&answer.problems);
    let detailed = |node: &Node<'_>| {
        let node_table = node_table(node, &answer.daemon_sets, is_complete, style);
        values::line(&format!("Node template {}", node.simulation.node_template)) + &node_table
    };
    let tables = nodes.iter().map(detailed);
    nodes_table(&nodes, tables, "NODE TEMPLATE", style)
}

/// Renders one table for several nodes, with a row for each kind of node. The detailed tables of the nodes come first if
/// they are short and no nodes are alike, or if the style is wide. A single node has only its detailed table.
pub(crate) fn nodes_table(
    nodes: &[Node<'_>],
    detailed: impl Iterator<Item = String>,
    heading: &str,
    style: TableStyle,
) -> String {
    let join = |tables: Vec<String>| tables.join("\n");
    if nodes.len() <= 1 || style.is_wide {
        return join(detailed.collect());
    }
    let kinds = overview::kinds(nodes);
    if kinds.len() == nodes.len() && nodes.len() <= MAX_DETAILED_NODES {
        let text = join(detailed.collect());
        if text.lines().count() <= MAX_DETAILED_LINES {
            // The detailed tables already have the faults.
            return text + "\n" + &overview::table(&kinds, heading, style);
        }
    }
    overview::table(&kinds, heading, style) + &overview::fault_lines(&kinds, style)
}

/// Renders a line for each template.
pub fn csv(answer: &SimulateNodesResponse, capacities: &[(String, Resources)], sort: SortBy) -> String {
    nodes_csv(
        &overview::sorted(nodes(answer, capacities), sort),
        "NODE TEMPLATE",
    )
}

/// Returns the templates of an answer with their capacities. The answer has the templates in the order of the request,
/// without those that can't be read.
fn nodes<'a>(answer: &'a SimulateNodesResponse, capacities: &'a [(String, Resources)]) -> Vec<Node<'a>> {
    static NONE: Resources = Resources::new();
    let mut rest = capacities;
    let node = |simulation: &'a NodeSimulation| {
        let is_same = |(name, capacity): &(String, Resources)| {
            *name == simulation.node_template && could_leave(capacity, simulation)
        };
        let found = rest.iter().position(is_same).and_then(|index| {
            let (_, from_found) = rest.split_at_checked(index)?;
            let ((_, capacity), after) = from_found.split_first()?;
            rest = after;
            Some(capacity)
        });
        Node {
            simulation,
            capacity: found.unwrap_or(&NONE),
        }
    };
    answer.nodes.iter().map(node).collect()
}

/// Whether a template with this capacity could have what the simulation leaves. It can't be the template of the
/// simulation otherwise.
fn could_leave(capacity: &Resources, simulation: &NodeSimulation) -> bool {
    const TOLERANCE: f64 = 1e-6;
    let amount =
        |resources: &Resources, name: &str| resources.get(name).map_or(Some(0.0), |text| units::amount(text));
    simulation.left.iter().all(|(name, left)| {
        let amounts = (
            units::amount(left),
            amount(capacity, name),
            amount(&simulation.requests, name),
        );
        match amounts {
            (Some(left), Some(capacity), Some(requested)) => {
                (capacity - requested - left).abs() <= TOLERANCE * capacity.abs().max(requested).max(1.0)
            }
            _ => true,
        }
    })
}

/// Whether every object could be read, so that nothing is missing from the answer.
pub(super) fn is_complete(problems: &[Problem]) -> bool {
    problems
        .iter()
        .all(|problem| problem.code() != ProblemCode::Malformed)
}

/// Whether all pods fit and can be bound, no `DaemonSet` is undecided for any template, and no object has a problem.
pub fn is_as_desired(answer: &SimulateNodesResponse) -> bool {
    answer.problems.is_empty() && answer.nodes.iter().all(fits)
}

/// Whether all pods fit on a node and can be bound to it, and no `DaemonSet` is undecided for it.
pub(super) fn fits(node: &NodeSimulation) -> bool {
    faults(node).is_empty()
}

/// Renders the resources that `DaemonSet`s take on one node, for each `DaemonSet` and in total. Below the table are the
/// exceeded resources, the conflicts, and the pending and undecided `DaemonSet`s.
pub(super) fn node_table(
    node: &Node<'_>,
    demands: &[DaemonSetDemand],
    is_complete: bool,
    style: TableStyle,
) -> String {
    let mut text = if !node.simulation.daemon_sets.is_empty() {
        demand_table(node, demands, style)
    } else if is_complete {
        "No DaemonSet would run on this node.\n".to_owned()
    } else {
        "None of the DaemonSets that could be read would run on this node.\n".to_owned()
    };
    for fault in faults(node.simulation) {
        text.push_str(&fault.severity.paint(fault.label, style));
        text.push_str(&values::line(&format!(" {}", fault.text)));
    }
    text
}

/// Something that is wrong on a node, or isn't decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Fault {
    label: &'static str,
    severity: Severity,
    text: String,
}

fn faults(node: &NodeSimulation) -> Vec<Fault> {
    let fault = |label, severity, text| Fault {
        label,
        severity,
        text,
    };
    let exceeded = node
        .exceeded
        .iter()
        .map(|resource| fault("exceeded:", Severity::Error, resource.clone()));
    let conflicts = node.conflicts.iter().map(|conflict| {
        let port = conflict
            .host_port
            .as_ref()
            .map(values::host_port)
            .unwrap_or_default();
        let daemon_sets = conflict.daemon_sets.join(", ");
        let text = format!("host port {port} is requested by {daemon_sets}");
        fault("conflict:", Severity::Error, text)
    });
    let unbound = node.unbound.iter().map(|unbound| {
        let text = format!("{}: {}", unbound.daemon_set, unbound.message);
        fault("pending:", Severity::Warning, text)
    });
    let undecided = node.undecided.iter().map(|undecided| {
        let text = format!("{}: {}", undecided.daemon_set, undecided.message);
        fault("undecided:", Severity::Warning, text)
    });
    exceeded
        .chain(conflicts)
        .chain(unbound)
        .chain(undecided)
        .collect()
}

fn demand_table(node: &Node<'_>, demands: &[DaemonSetDemand], style: TableStyle) -> String {
    let Node { simulation, capacity } = *node;
    let resources = resource_columns(simulation, capacity, style);
    let headings = ["DAEMONSET".to_owned()]
        .into_iter()
        .chain(resources.iter().map(|resource| resource.to_uppercase()))
        .chain(["HOST PORTS".to_owned()]);
    let mut table = Table::new(headings);
    let mut row = |name: &str, quantities: &Resources, ports: &[HostPort]| {
        let amount = |resource: &&str| amount(resource, quantities, &simulation.exceeded);
        let ports = ports.iter().map(values::host_port).collect::<Vec<_>>().join(", ");
        let cells = [name.into()].into_iter().chain(resources.iter().map(amount));
        table.add_row(cells.chain([ports.into()]));
    };
    let by_name: BTreeMap<_, _> = demands
        .iter()
        .map(|demand| (demand.daemon_set.as_str(), demand))
        .collect();
    for name in &simulation.daemon_sets {
        if let Some(demand) = by_name.get(name.as_str()) {
            row(name, &demand.requests, &demand.host_ports);
        }
    }
    row("requested", &simulation.requests, &[]);
    if !capacity.is_empty() {
        let percent = |resource: &&str| {
            simulation.requests.get(*resource)?;
            Some(((*resource).to_owned(), node.percent(resource)?))
        };
        row("percent", &resources.iter().filter_map(percent).collect(), &[]);
        row("capacity", capacity, &[]);
    }
    if !simulation.left.is_empty() {
        row("left", &simulation.left, &[]);
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
