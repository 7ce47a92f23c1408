//! Tables for the executor's answers, which report the state of `DaemonSet`s in one cluster.

pub mod events;

use std::iter;

use everynode_proto::{
    executor::v1::{
        DaemonSet, ExplainResponse, GetInfoResponse, GetNodeOverheadResponse, ListDaemonSetsResponse,
        Placement, PlannerInfo, Pod, Rollout, RolloutState,
    },
    planner::v1::{NodeVerdict, Verdict},
};

use super::{
    TableStyle, explain,
    explain::MAX_SHOWN_PAIRS,
    simulate,
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
    let state = daemon_set.rollout.as_ref().map(Rollout::state);
    match state.unwrap_or_default() {
        RolloutState::Unspecified => "-".into(),
        RolloutState::Complete => Cell::with_severity("complete", Severity::Ok),
        RolloutState::Progressing => Cell::with_severity("progressing", Severity::Warning),
        RolloutState::WaitingForDeletion => Cell::with_severity("waiting for deletion", Severity::Warning),
        RolloutState::Blocked => Cell::with_severity("blocked", Severity::Error),
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

/// Renders the verdicts with the existing pods, and the summary below them. If there are many pairs, the table shows
/// only pairs that don't run or still wait for something, up to a limit. If `all` is set, it shows every pair.
pub fn explain(answer: &ExplainResponse, all: bool, style: TableStyle) -> String {
    let placements = &answer.placements;
    let shows_all = all || placements.len() <= MAX_SHOWN_PAIRS;
    let is_shown = |placement: &&Placement| shows_all || !runs_without_waiting(placement);
    let limit = if shows_all { usize::MAX } else { MAX_SHOWN_PAIRS };
    let mut table = Table::new(["DAEMONSET", "NODE", "VERDICT", "POD", "REASON"]);
    for placement in placements.iter().filter(is_shown).take(limit) {
        for row in rows(placement, style) {
            table.add_row(row);
        }
    }
    let mut text = if table.is_empty() {
        String::new()
    } else {
        table.render(style)
    };
    let hidden = placements.iter().filter(is_shown).count().saturating_sub(limit);
    if hidden > 0 {
        let more = values::count(hidden as u64, "more pair");
        let note = format!("({more} not running or still waiting; --all shows every pair)\n");
        text.push_str(&note);
    }
    if placements.len() > 1 {
        let summary = explain::summary(&answer.summaries, style);
        if !text.is_empty() && !summary.is_empty() {
            text.push('\n');
        }
        text.push_str(&summary);
    }
    text
}

/// Whether every pair runs and waits for nothing, and no object has a problem.
pub fn is_explain_as_desired(answer: &ExplainResponse) -> bool {
    answer.problems.is_empty() && answer.placements.iter().all(runs_without_waiting)
}

fn runs_without_waiting(placement: &Placement) -> bool {
    let verdict = placement.verdict.as_ref().map(NodeVerdict::verdict);
    verdict == Some(Verdict::Run) && placement.waits.is_empty()
}

/// Returns a row for each reason and for each wait.
fn rows(placement: &Placement, style: TableStyle) -> Vec<[Cell; 5]> {
    let Some(verdict) = &placement.verdict else {
        return Vec::new();
    };
    let pods: Vec<_> = placement.pods.iter().map(|pod| pod_text(pod, style)).collect();
    let pods = if pods.is_empty() {
        "-".to_owned()
    } else {
        pods.join(", ")
    };
    let reasons = verdict.reasons.iter().map(|reason| reason.message.clone());
    let waits = placement
        .waits
        .iter()
        .map(|wait| format!("waits: {}", wait.message));
    let mut reasons: Vec<_> = reasons.chain(waits).collect();
    if reasons.is_empty() {
        reasons.push(String::new());
    }
    let row = |reason: String| {
        let [daemon_set, node, verdict_cell] = explain::leading_cells(verdict);
        [
            daemon_set,
            node,
            verdict_cell,
            pods.as_str().into(),
            reason.into(),
        ]
    };
    reasons.into_iter().map(row).collect()
}

/// Describes a pod with its state, such as `agent-7bd5c (Running, ready)`.
fn pod_text(pod: &Pod, style: TableStyle) -> String {
    let state = match pod {
        Pod {
            is_deleting: true, ..
        } => "being deleted",
        Pod { is_bound: false, .. } => "not bound",
        Pod { is_ready: true, .. } => "ready",
        Pod { is_ready: false, .. } => "not ready",
    };
    let revision = if style.is_wide && !pod.revision.is_empty() {
        format!(", revision {}", pod.revision)
    } else {
        String::new()
    };
    format!("{} ({}, {state}{revision})", pod.name, pod.phase)
}

/// Renders the resources that `DaemonSet`s take on a node.
pub fn overhead(answer: &GetNodeOverheadResponse, style: TableStyle) -> String {
    let Some(node) = &answer.node else {
        return String::new();
    };
    let table = simulate::node_table(node, &answer.daemon_sets, &answer.allocatable, style);
    values::line(&format!("Node {}", node.node_template)) + &table
}

/// Whether everything fits on the node and no object has a problem.
pub fn is_overhead_as_desired(answer: &GetNodeOverheadResponse) -> bool {
    answer.problems.is_empty() && answer.node.as_ref().is_some_and(simulate::fits)
}

#[cfg(test)]
mod tests;
