//! One table for many nodes, with a row for each kind of node.
//!
//! Nodes are of one kind if their rows show the same numbers, and if the same `DaemonSet`s run there with the same
//! faults. The allocatable memory of real nodes of one type differs by a few pages, which the numbers don't show.

use std::{cmp::Ordering, collections::HashMap};

use everynode_proto::planner::v1::NodeSimulation;

use super::{CPU, Fault, MEMORY, PODS, Resources, SortBy, faults};
use crate::{
    TableStyle,
    csv::Csv,
    table::{Cell, Severity, Table},
    units, values,
};

/// A node, or a template for one, with its capacity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) simulation: &'a NodeSimulation,
    /// Empty if the capacity isn't known.
    pub(crate) capacity: &'a Resources,
}

/// Sorts nodes. Nodes with equal shares are sorted by name.
pub(crate) fn sorted(mut nodes: Vec<Node<'_>>, sort: SortBy) -> Vec<Node<'_>> {
    nodes.sort_by(|a, b| sort.compare(a, b));
    nodes
}

impl SortBy {
    /// Compares two nodes.
    pub(crate) fn compare(self, a: &Node<'_>, b: &Node<'_>) -> Ordering {
        let by_share = self.resource().map_or(Ordering::Equal, |resource| {
            b.share(resource).total_cmp(&a.share(resource))
        });
        by_share.then_with(|| a.simulation.node_template.cmp(&b.simulation.node_template))
    }
}

impl Node<'_> {
    fn requested(&self, resource: &str) -> Option<f64> {
        amount(&self.simulation.requests, resource)
    }

    fn left(&self, resource: &str) -> Option<f64> {
        amount(&self.simulation.left, resource)
    }

    /// Returns the requested share of a resource. If the capacity isn't known, this is the requested amount.
    fn share(&self, resource: &str) -> f64 {
        let capacity = amount(self.capacity, resource).filter(|capacity| *capacity > 0.0);
        self.requested(resource).unwrap_or_default() / capacity.unwrap_or(1.0)
    }

    /// Returns the requested share of a resource in percent. `None` if there is no capacity.
    pub(super) fn percent(&self, resource: &str) -> Option<String> {
        let capacity = amount(self.capacity, resource)?;
        units::percent(self.requested(resource).unwrap_or_default(), capacity)
    }
}

fn amount(resources: &Resources, resource: &str) -> Option<f64> {
    units::amount(resources.get(resource)?)
}

/// The numbers of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Numbers {
    cpu: String,
    cpu_percent: String,
    memory: String,
    memory_percent: String,
    pods: String,
    left: String,
}

impl Numbers {
    fn of(node: &Node<'_>) -> Self {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let requested = |resource: &str, format: fn(f64) -> String| {
            node.requested(resource).map_or_else(|| "0".to_owned(), format)
        };
        let left = |resource: &str, format: fn(f64) -> String| or_dash(node.left(resource).map(format));
        let whole = |number: f64| number.to_string();
        Self {
            cpu: requested(CPU, units::cpu),
            cpu_percent: or_dash(node.percent(CPU)),
            memory: requested(MEMORY, units::memory),
            memory_percent: or_dash(node.percent(MEMORY)),
            pods: requested(PODS, whole),
            left: if node.simulation.left.is_empty() {
                "-".to_owned()
            } else {
                let [cpu, memory, pods] = [
                    left(CPU, units::cpu),
                    left(MEMORY, units::memory),
                    left(PODS, whole),
                ];
                format!("{cpu} / {memory} / {pods}")
            },
        }
    }
}

/// Nodes of one kind.
#[derive(Debug)]
pub(super) struct NodeKind<'a> {
    first: Node<'a>,
    count: usize,
    numbers: Numbers,
    faults: Vec<Fault>,
}

/// Renders a row for each kind of node.
pub(super) fn table(kinds: &[NodeKind<'_>], heading: &str, style: TableStyle) -> String {
    let is_folded = kinds.iter().any(|kind| kind.count > 1);
    let heading = heading.to_owned() + if is_folded { "S" } else { "" };
    let mut table = Table::new([
        heading.as_str(),
        "DAEMONSETS",
        "CPU",
        "%",
        "MEMORY",
        "%",
        "PODS",
        "LEFT (CPU / MEMORY / PODS)",
    ]);
    for kind in kinds {
        let Node { simulation, .. } = kind.first;
        let numbers = kind.numbers.clone();
        let exceeds = !simulation.exceeded.is_empty();
        let severity = if exceeds {
            Severity::Error
        } else {
            Severity::Neutral
        };
        table.add_row([
            values::group_name(&simulation.node_template, kind.count, "node").into(),
            simulation.daemon_sets.len().to_string().into(),
            numbers.cpu.into(),
            numbers.cpu_percent.into(),
            numbers.memory.into(),
            numbers.memory_percent.into(),
            numbers.pods.into(),
            Cell::with_severity(numbers.left, severity),
        ]);
    }
    table.render(style)
}

/// Groups sorted nodes by kind.
pub(super) fn kinds<'a>(nodes: &[Node<'a>]) -> Vec<NodeKind<'a>> {
    let mut kinds: Vec<NodeKind<'a>> = Vec::new();
    let mut indices = HashMap::new();
    for node in nodes {
        let (numbers, faults) = (Numbers::of(node), faults(node.simulation));
        let key = (&node.simulation.daemon_sets, numbers.clone(), faults.clone());
        let next = kinds.len();
        match kinds.get_mut(*indices.entry(key).or_insert(next)) {
            Some(kind) => kind.count += 1,
            None => kinds.push(NodeKind {
                first: *node,
                count: 1,
                numbers,
                faults,
            }),
        }
    }
    kinds
}

/// Returns a line for each fault, with the nodes that have it.
pub(super) fn fault_lines(kinds: &[NodeKind<'_>], style: TableStyle) -> String {
    let mut lines: Vec<(&Fault, Vec<&NodeKind<'_>>)> = Vec::new();
    let mut indices = HashMap::new();
    for kind in kinds {
        for fault in &kind.faults {
            let next = lines.len();
            match lines.get_mut(*indices.entry(fault).or_insert(next)) {
                Some((_, kinds)) => kinds.push(kind),
                None => lines.push((fault, vec![kind])),
            }
        }
    }
    let line = |(fault, kinds): (&Fault, Vec<&NodeKind<'_>>)| {
        let nodes = match kinds.as_slice() {
            [kind] => values::group_name(&kind.first.simulation.node_template, kind.count, "node"),
            kinds => {
                let count: usize = kinds.iter().map(|kind| kind.count).sum();
                values::count(count as u64, "node")
            }
        };
        fault.severity.paint(fault.label, style) + &values::line(&format!(" {} (on {nodes})", fault.text))
    };
    lines.into_iter().map(line).collect()
}

/// Renders sorted nodes, a line for each node. CPU is in cores and memory in bytes, as plain numbers.
pub(crate) fn csv(nodes: &[Node<'_>], heading: &str) -> String {
    let mut csv = Csv::new([
        heading,
        "DAEMONSETS",
        "CPU",
        "CPU CAPACITY",
        "MEMORY",
        "MEMORY CAPACITY",
        "PODS",
        "PODS CAPACITY",
        "LEFT CPU",
        "LEFT MEMORY",
        "LEFT PODS",
        "EXCEEDED",
        "CONFLICTS",
        "PENDING",
        "UNDECIDED",
    ]);
    let number = |amount: Option<f64>| amount.map(|amount| amount.to_string()).unwrap_or_default();
    for node in nodes {
        let requested = |resource: &str| number(Some(node.requested(resource).unwrap_or_default()));
        let capacity = |resource: &str| number(amount(node.capacity, resource));
        let left = |resource: &str| number(node.left(resource));
        let faults = faults(node.simulation);
        let with_label = |label: &str| {
            let texts = faults.iter().filter(|fault| fault.label == label);
            texts
                .map(|fault| fault.text.as_str())
                .collect::<Vec<_>>()
                .join("; ")
        };
        csv.add_row([
            node.simulation.node_template.clone(),
            node.simulation.daemon_sets.len().to_string(),
            requested(CPU),
            capacity(CPU),
            requested(MEMORY),
            capacity(MEMORY),
            requested(PODS),
            capacity(PODS),
            left(CPU),
            left(MEMORY),
            left(PODS),
            with_label("exceeded:"),
            with_label("conflict:"),
            with_label("pending:"),
            with_label("undecided:"),
        ]);
    }
    csv.into_text()
}

#[cfg(test)]
mod tests;
