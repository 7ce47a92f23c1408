//! Prints the state of a rollout.

use everynode_render::{OutputFormat, PrintError, TableStyle, columns, document, text::printable};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    cluster::Target,
    objects::{Phase, PolicyRef},
    progress::{Outcome, Snapshot, Stage, StageState},
    verbs,
};

/// The most ignored nodes that the table names.
const MAX_NAMED: usize = 5;

/// The answer of `status` for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'s> {
    namespace: &'s str,
    name: &'s str,
    rollout: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'s PolicyRef>,
    current_revision: &'s str,
    update_revision: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_observed: Option<String>,
    phase: Phase,
    stage: &'s str,
    reason: &'s str,
    message: &'s str,
    desired: u64,
    updated: u64,
    updated_available: u64,
    ignored: u64,
    ignored_nodes: &'s [String],
    stages: Vec<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Renders the status in a format.
///
/// # Errors
/// The answer can't be written, which is a bug of the program.
pub(crate) fn status(
    target: &Target,
    snapshot: &Snapshot,
    now: Timestamp,
    format: OutputFormat,
) -> Result<String, PrintError> {
    let status = &snapshot.rollout.status;
    let answer = || Answer {
        namespace: &target.namespace,
        name: &target.name,
        rollout: status.rollout,
        policy: status.policy_ref.as_ref(),
        current_revision: &status.current_revision,
        update_revision: &status.update_revision,
        started_at: status.started_at,
        outcome: snapshot.outcome(),
        not_observed: snapshot.not_observed(),
        phase: status.phase,
        stage: &status.stage,
        reason: &status.reason,
        message: &status.message,
        desired: status.desired,
        updated: status.updated,
        updated_available: status.updated_available,
        ignored: status.ignored,
        ignored_nodes: &status.ignored_nodes,
        stages: snapshot.stages(now),
        next: verbs::next(target, snapshot),
    };
    match format {
        OutputFormat::Json => document::json(&answer()),
        OutputFormat::Yaml => document::yaml(&answer()),
        OutputFormat::Table | OutputFormat::Wide | OutputFormat::Csv => {
            Ok(table(target, snapshot, now, TableStyle::for_stdout(format)))
        }
    }
}

/// Renders the status for people.
pub(crate) fn table(target: &Target, snapshot: &Snapshot, now: Timestamp, style: TableStyle) -> String {
    let status = &snapshot.rollout.status;
    let mut fields = vec![
        ("DaemonSet:", format!("{}/{}", target.namespace, target.name)),
        ("Rollout:", rollout(snapshot, now)),
    ];
    if let Some(policy) = &status.policy_ref {
        fields.push(("Policy:", format!("{} {}", policy.kind, policy.name)));
    }
    fields.push(("Phase:", phase(snapshot)));
    fields.push(("Progress:", progress(snapshot)));
    if status.ignored > 0 {
        let named = status.ignored_nodes.iter().take(MAX_NAMED);
        let named = named.map(String::as_str).collect::<Vec<_>>().join(", ");
        fields.push((
            "Ignored:",
            format!(
                "{} nodes had no available pod when the rollout began: {named}",
                status.ignored
            ),
        ));
    }
    let mut text = String::new();
    for (field, value) in fields {
        let value = printable(&value);
        text.extend([&*format!("{field:<11}{value}"), "\n"]);
    }
    let stages = snapshot.stages(now);
    if !stages.is_empty() {
        let rows = stages.iter().map(|stage| {
            vec![
                stage.display_name().to_owned(),
                count(stage),
                state(stage, now),
                stage.nodes.join(" "),
            ]
        });
        text.push('\n');
        text.push_str(&columns(["STAGE", "UPDATED", "STATE", "NODES"], rows, style));
    }
    if let Some(next) = verbs::next(target, snapshot) {
        text.extend(["\nNext: ", &*printable(&next), "\n"]);
    }
    text
}

/// One line about the rollout, which changes only when the rollout does.
pub(crate) fn line(snapshot: &Snapshot) -> String {
    if let Some(why) = snapshot.not_observed() {
        return format!("waiting: {why}");
    }
    format!("{}; {}", progress(snapshot), phase(snapshot))
}

fn rollout(snapshot: &Snapshot, now: Timestamp) -> String {
    let status = &snapshot.rollout.status;
    let (current, update) = (&status.current_revision, &status.update_revision);
    if status.rollout == 0 {
        return format!("none so far, revision {update}");
    }
    let revisions = if current == update {
        format!("revision {update}")
    } else {
        format!("from revision {current} to {update}")
    };
    let number = status.rollout;
    match status.started_at {
        Some(at) => format!("{number}, {revisions}, began {} ago", elapsed(at, now)),
        None => format!("{number}, {revisions}"),
    }
}

fn phase(snapshot: &Snapshot) -> String {
    let status = &snapshot.rollout.status;
    match snapshot.not_observed() {
        Some(why) => format!("unknown: {why}"),
        None if status.message.is_empty() => status.reason.clone(),
        None => format!("{}: {}", status.reason, status.message),
    }
}

fn progress(snapshot: &Snapshot) -> String {
    let status = &snapshot.rollout.status;
    format!(
        "{} of {} nodes updated, {} of them available",
        status.updated, status.desired, status.updated_available
    )
}

fn count(stage: &Stage) -> String {
    match (stage.updated_available, stage.desired) {
        (Some(updated), Some(desired)) => format!("{updated}/{desired}"),
        _ => "-".to_owned(),
    }
}

/// The state of a stage, for people.
pub(crate) fn state(stage: &Stage, now: Timestamp) -> String {
    match stage.state {
        StageState::NotOpen => "not open yet".to_owned(),
        StageState::Open => "open".to_owned(),
        StageState::Soaking => stage.soaks_until.map_or_else(
            || "soaking".to_owned(),
            |until| {
                format!(
                    "soaking until {} UTC ({} left)",
                    until.strftime("%H:%M:%S"),
                    elapsed(now, until)
                )
            },
        ),
        StageState::Updated => "updated, not done".to_owned(),
        StageState::Done => "done".to_owned(),
    }
}

/// The time between two moments, as kubectl prints ages.
pub(crate) fn elapsed(from: Timestamp, until: Timestamp) -> String {
    let elapsed = until.duration_since(from).max(SignedDuration::ZERO);
    let (minutes, hours) = (elapsed.as_mins(), elapsed.as_hours());
    match elapsed.as_secs() {
        seconds if minutes < 2 => format!("{seconds}s"),
        _ if hours < 2 => format!("{minutes}m"),
        _ if hours < 48 => format!("{hours}h"),
        _ => format!("{}d", hours / 24),
    }
}

#[cfg(test)]
mod tests;
