//! Tables for the executor's answers, which report the state of `DaemonSet`s in one cluster.

pub mod events;

use std::iter;

use everynode_proto::executor::v1::{
    DaemonSet, ExplainResponse, GetInfoResponse, GetNodeOverheadResponse, ListDaemonSetsResponse, Placement,
    PlannerInfo, Pod, Rollout, RolloutState,
};

use super::{
    TableStyle,
    csv::Csv,
    explain::{
        self, ExplainView, Extent,
        pair::{Layout, Pair, leading_cells},
    },
    simulate::{self, SortBy},
    table::{Cell, Severity, Table},
    values,
};

/// Renders the executor's name, the leader, and the planner if there is one.
pub fn info(answer: &GetInfoResponse, style: TableStyle) -> String {
    let mut table = Table::new(["EXECUTOR", "VERSION", "LEADER", "CLUSTER", "PLANNER"]);
    let leader = match answer.leader.as_str() {
        "" => Cell::with_severity("none", Severity::Warning),
        leader if leader == answer.identity => "itself".into(),
        leader => leader.into(),
    };
    let cluster = if answer.cluster_is_listed {
        Cell::with_severity("synced", Severity::Ok)
    } else {
        Cell::with_severity("syncing", Severity::Warning)
    };
    let (identity, version) = (answer.identity.as_str(), answer.version.as_str());
    let planner = planner(answer.planner.as_ref()).into();
    table.add_row([identity.into(), version.into(), leader, cluster, planner]);
    table.render(style)
}

/// Renders the executor, its leader and its planner in one line.
pub fn info_csv(answer: &GetInfoResponse) -> String {
    let mut csv = Csv::new(["EXECUTOR", "VERSION", "LEADER", "CLUSTER", "PLANNER"]);
    let cluster = if answer.cluster_is_listed {
        "synced"
    } else {
        "syncing"
    };
    csv.add_row([
        answer.identity.as_str(),
        &answer.version,
        &answer.leader,
        cluster,
        &planner(answer.planner.as_ref()),
    ]);
    csv.into_text()
}

/// Describes a planner by its versions.
fn planner(planner: Option<&PlannerInfo>) -> String {
    let Some(planner) = planner else {
        return "none".to_owned();
    };
    let sync_state = if planner.is_synced { "" } else { ", syncing" };
    format!(
        "{} (rules {}{sync_state})",
        planner.version, planner.rules_version
    )
}

/// Renders `DaemonSet`s with their status, their rollout and their first wait. For a single `DaemonSet`, adds its
/// rollout message and all its waits.
pub fn daemon_sets(answer: &ListDaemonSetsResponse, style: TableStyle) -> String {
    let mut headings = vec!["DAEMONSET"];
    headings.extend(values::STATUS_HEADINGS);
    if style.is_wide {
        headings.push("REVISION");
    }
    headings.extend(["ROLLOUT", "WAITS FOR"]);
    let mut table = Table::new(headings);
    for daemon_set in &answer.daemon_sets {
        let revision = daemon_set
            .rollout
            .as_ref()
            .map(|rollout| rollout.update_revision.clone());
        let cells = iter::once(name(daemon_set).into())
            .chain(values::status(daemon_set.status.as_ref()))
            .chain(style.is_wide.then(|| revision.unwrap_or_default().into()))
            .chain([rollout(daemon_set), first_wait(daemon_set).into()]);
        table.add_row(cells);
    }
    let mut text = table.render(style);
    if let [daemon_set] = answer.daemon_sets.as_slice() {
        text.push_str(&details(daemon_set));
    }
    text
}

/// Renders a line for each `DaemonSet`, with all its waits.
pub fn daemon_sets_csv(answer: &ListDaemonSetsResponse) -> String {
    let headings = iter::once("DAEMONSET").chain(values::STATUS_HEADINGS);
    let mut csv = Csv::new(headings.chain(["REVISION", "ROLLOUT", "WAITS FOR"]));
    for daemon_set in &answer.daemon_sets {
        let rollout = daemon_set.rollout.as_ref();
        let revision = rollout.map_or_else(String::new, |rollout| rollout.update_revision.clone());
        let state = rollout.map(Rollout::state).unwrap_or_default();
        let waits: Vec<_> = daemon_set
            .waits
            .iter()
            .map(|wait| wait.message.as_str())
            .collect();
        let counters = daemon_set.status.as_ref().map(values::counters);
        let counters = counters.map_or_else(Default::default, |counters| {
            counters.map(|counter| counter.to_string())
        });
        let cells = iter::once(name(daemon_set)).chain(counters);
        csv.add_row(cells.chain([revision, state_name(state).to_owned(), waits.join("; ")]));
    }
    csv.into_text()
}

/// Whether every `DaemonSet` is rolled out, waits for nothing and has no problem.
pub fn are_daemon_sets_as_desired(answer: &ListDaemonSetsResponse) -> bool {
    answer.daemon_sets.iter().all(|daemon_set| {
        let state = daemon_set.rollout.as_ref().map(Rollout::state);
        state == Some(RolloutState::Complete) && daemon_set.waits.is_empty() && daemon_set.problems.is_empty()
    })
}

fn name(daemon_set: &DaemonSet) -> String {
    format!("{}/{}", daemon_set.namespace, daemon_set.name)
}

fn rollout(daemon_set: &DaemonSet) -> Cell {
    let state = daemon_set
        .rollout
        .as_ref()
        .map(Rollout::state)
        .unwrap_or_default();
    let severity = match state {
        RolloutState::Unspecified => return "-".into(),
        RolloutState::Complete => Severity::Ok,
        RolloutState::Progressing | RolloutState::WaitingForDeletion => Severity::Warning,
        RolloutState::Blocked => Severity::Error,
    };
    Cell::with_severity(state_name(state), severity)
}

fn state_name(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Unspecified => "",
        RolloutState::Complete => "complete",
        RolloutState::Progressing => "progressing",
        RolloutState::WaitingForDeletion => "waiting for deletion",
        RolloutState::Blocked => "blocked",
    }
}

fn first_wait(daemon_set: &DaemonSet) -> String {
    match daemon_set.waits.as_slice() {
        [] => String::new(),
        [wait] => wait.message.clone(),
        [wait, others @ ..] => format!("{} (and {} more)", wait.message, others.len()),
    }
}

fn details(daemon_set: &DaemonSet) -> String {
    let rollout = daemon_set.rollout.as_ref().map_or("", |rollout| &rollout.message);
    let rollout = (!rollout.is_empty()).then(|| values::line(&format!("Rollout: {rollout}")));
    let waits = daemon_set.waits.iter().map(|wait| {
        let nodes = match wait.nodes {
            0 => String::new(),
            nodes => format!(" ({})", values::count(nodes, "node")),
        };
        values::line(&format!("Waits: {}{nodes}", wait.message))
    });
    let lines: String = rollout.into_iter().chain(waits).collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\n{lines}")
    }
}

/// Renders the verdicts with the existing pods, and the summary below them. If there are many pairs, it groups them as
/// the view says.
pub fn explain(answer: &ExplainResponse, view: &ExplainView, style: TableStyle) -> String {
    let pairs: Vec<_> = answer.placements.iter().filter_map(Pair::of_placement).collect();
    let layout = Layout {
        headings: &["DAEMONSET", "NODE", "VERDICT", "POD", "REASON"],
        leading_cells: &|pair: &Pair<'_>| {
            let mut cells = leading_cells(pair);
            cells.push(pods_text(pair.pods, style).into());
            cells
        },
    };
    view.render(&pairs, &answer.summaries, &layout, style)
}

/// Renders a line for each pair that the view selects, or only the summary.
pub fn explain_csv(answer: &ExplainResponse, view: &ExplainView) -> String {
    if view.extent == Extent::Summary {
        return explain::summary_csv(&answer.summaries);
    }
    let pairs: Vec<_> = answer.placements.iter().filter_map(Pair::of_placement).collect();
    // Without rollouts, the columns are the same as ever.
    let has_rollouts = pairs.iter().any(|pair| pair.found.rollout.is_some());
    let headings = ["DAEMONSET", "NODE", "VERDICT", "POD", "REASON"].into_iter();
    let of_rollouts = has_rollouts.then_some(explain::ROLLOUT_HEADINGS);
    let mut csv = Csv::new(headings.chain(of_rollouts.into_iter().flatten()));
    for pair in pairs.iter().filter(|pair| view.prints(pair.verdict())) {
        let pods = match pair.pods {
            [] => String::new(),
            pods => pods_text(pods, TableStyle::default()),
        };
        let cells = [
            pair.found.daemon_set.clone(),
            pair.found.node.clone(),
            values::verdict_name(pair.verdict()).to_owned(),
            pods,
            pair.reason_texts(|_| true).join("; "),
        ];
        let in_rollout = has_rollouts.then(|| explain::rollout_cells(pair.found.rollout.as_ref()));
        csv.add_row(cells.into_iter().chain(in_rollout.into_iter().flatten()));
    }
    csv.into_text()
}

/// Whether every pair runs and waits for nothing, and no object has a problem.
pub fn is_explain_as_desired(answer: &ExplainResponse) -> bool {
    answer.problems.is_empty() && answer.placements.iter().all(runs_without_waiting)
}

fn runs_without_waiting(placement: &Placement) -> bool {
    Pair::of_placement(placement).is_some_and(|pair| pair.runs_without_waiting())
}

/// Describes the pods of a pair. Without pods, the text is a dash.
fn pods_text(pods: &[Pod], style: TableStyle) -> String {
    if pods.is_empty() {
        return "-".to_owned();
    }
    let pods: Vec<_> = pods.iter().map(|pod| pod_text(pod, style)).collect();
    pods.join(", ")
}

/// Describes a pod with its state, such as `agent-7bd5c (Running, ready)` or
/// `agent-7bd5c (Pending, not bound: SchedulingGated)`.
fn pod_text(pod: &Pod, style: TableStyle) -> String {
    let state = match pod {
        Pod {
            is_deleting: true, ..
        } => "being deleted",
        Pod { is_bound: false, .. } => "not bound",
        Pod { is_ready: true, .. } => "ready",
        Pod { is_ready: false, .. } => "not ready",
    };
    let reason = if pod.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", pod.reason)
    };
    let revision = if style.is_wide && !pod.revision.is_empty() {
        format!(", revision {}", pod.revision)
    } else {
        String::new()
    };
    format!("{} ({}, {state}{reason}{revision})", pod.name, pod.phase)
}

/// Renders the resources that `DaemonSet`s take on nodes. A single node has a row for each `DaemonSet`, and several
/// nodes share a table with a row for each kind of node.
pub fn overheads(answers: &[GetNodeOverheadResponse], sort: SortBy, style: TableStyle) -> String {
    let found = overhead_nodes(answers, sort);
    let nodes: Vec<_> = found.iter().map(|(node, _)| *node).collect();
    let tables = found.iter().map(|(node, answer)| {
        let is_complete = simulate::is_complete(&answer.problems);
        let table = simulate::node_table(node, &answer.daemon_sets, is_complete, style);
        values::line(&format!("Node {}", node.simulation.node_template)) + &table
    });
    simulate::nodes_table(&nodes, tables, "NODE", style)
}

/// Renders a line for each node.
pub fn overheads_csv(answers: &[GetNodeOverheadResponse], sort: SortBy) -> String {
    let nodes: Vec<_> = overhead_nodes(answers, sort)
        .into_iter()
        .map(|(node, _)| node)
        .collect();
    simulate::nodes_csv(&nodes, "NODE")
}

/// Returns the nodes in the order of the table, each with its answer.
fn overhead_nodes(
    answers: &[GetNodeOverheadResponse],
    sort: SortBy,
) -> Vec<(simulate::Node<'_>, &GetNodeOverheadResponse)> {
    let mut nodes: Vec<_> = answers
        .iter()
        .filter_map(|answer| {
            let node = simulate::Node {
                simulation: answer.node.as_ref()?,
                capacity: &answer.allocatable,
            };
            Some((node, answer))
        })
        .collect();
    nodes.sort_by(|(a, _), (b, _)| sort.compare(a, b));
    nodes
}

/// Whether everything fits on the node and no object has a problem.
pub fn is_overhead_as_desired(answer: &GetNodeOverheadResponse) -> bool {
    answer.problems.is_empty() && answer.node.as_ref().is_some_and(simulate::fits)
}

#[cfg(test)]
mod tests;
