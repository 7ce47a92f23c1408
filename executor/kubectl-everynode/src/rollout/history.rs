//! The revisions of a `DaemonSet`, its earlier rollouts, and the return to an earlier revision.

use everynode_render::{OutputFormat, PrintError, TableStyle, columns, document};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    cluster::Target,
    objects::{Attempt, Revision, RolloutStatus},
    render::elapsed,
};
use crate::error::Error;

/// The annotation in which people say why they changed a template.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// The answer of `history`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct History {
    namespace: String,
    name: String,
    revisions: Vec<RevisionEntry>,
    /// Earlier rollouts, the latest first.
    attempts: Vec<Attempt>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RevisionEntry {
    revision: i64,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    /// Whether it is the current revision, which nodes have until the rollout releases them.
    is_current: bool,
    /// Whether nodes get the revision from the rollout.
    is_update: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_cause: Option<String>,
}

impl History {
    /// Combines the revisions, latest first, with what the rollout remembers. `None`: no policy applies.
    pub(crate) fn new(target: &Target, revisions: &[Revision], status: Option<&RolloutStatus>) -> Self {
        let is = |hash: &str, of: fn(&RolloutStatus) -> &str| {
            status.is_some_and(|status| !hash.is_empty() && of(status) == hash)
        };
        let entry = |revision: &Revision| RevisionEntry {
            revision: revision.revision,
            hash: revision.hash().to_owned(),
            created_at: revision.metadata.creation_timestamp,
            is_current: is(revision.hash(), |status| &status.current_revision),
            is_update: is(revision.hash(), |status| &status.update_revision),
            change_cause: revision.metadata.annotations.get(CHANGE_CAUSE).cloned(),
        };
        let attempts = status.map(|status| status.attempts.iter().rev().cloned().collect());
        Self {
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            revisions: revisions.iter().map(entry).collect(),
            attempts: attempts.unwrap_or_default(),
        }
    }

    /// Renders the answer in a format.
    ///
    /// # Errors
    /// The answer can't be written, which is a bug of the program.
    pub(crate) fn render(&self, now: Timestamp, format: OutputFormat) -> Result<String, PrintError> {
        match format {
            OutputFormat::Json => document::json(self),
            OutputFormat::Yaml => document::yaml(self),
            OutputFormat::Table | OutputFormat::Wide | OutputFormat::Csv => {
                Ok(self.table(now, TableStyle::for_stdout(format)))
            }
        }
    }

    fn table(&self, now: Timestamp, style: TableStyle) -> String {
        let age = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| elapsed(at, now));
        let revisions = self.revisions.iter().map(|entry| {
            let role = match (entry.is_current, entry.is_update) {
                (true, true) => "current, update",
                (true, false) => "current",
                (false, true) => "update",
                (false, false) => "",
            };
            vec![
                entry.revision.to_string(),
                entry.hash.clone(),
                age(entry.created_at),
                role.to_owned(),
                entry.change_cause.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        });
        let headings = ["REVISION", "HASH", "AGE", "ROLE", "CHANGE-CAUSE"];
        let mut text = columns(headings, revisions, style);
        if !self.attempts.is_empty() {
            let attempts = self.attempts.iter().map(|attempt| {
                vec![
                    attempt.rollout.to_string(),
                    attempt.update_revision.clone(),
                    attempt.outcome.clone(),
                    age(attempt.ended_at),
                ]
            });
            text.push('\n');
            text.push_str(&columns(
                ["ROLLOUT", "HASH", "OUTCOME", "ENDED-AGO"],
                attempts,
                style,
            ));
        }
        text
    }
}

/// A return to an earlier revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undo {
    /// The revision to return to.
    pub(crate) revision: i64,
    /// What happens, for people.
    pub(crate) sentence: String,
}

/// Chooses the revision to return to, among the revisions of the `DaemonSet`, latest first. Without a number, it is the
/// one before the latest.
///
/// # Errors
/// There is no such revision, or it is the latest one.
pub(crate) fn undo(
    target: &Target,
    revisions: &[Revision],
    status: Option<&RolloutStatus>,
    to_revision: Option<i64>,
) -> Result<Undo, Error> {
    let (latest, chosen) = match (revisions, to_revision) {
        ([latest, ..], Some(number)) => {
            let chosen = revisions.iter().find(|revision| revision.revision == number);
            let chosen = chosen.ok_or_else(|| {
                Error::Refused(format!(
                    "{target} has no revision {number}; `kubectl everynode rollout history` lists its revisions"
                ))
            })?;
            (latest, chosen)
        }
        ([latest, before, ..], None) => (latest, before),
        ([] | [_], _) => {
            return Err(Error::Refused(format!(
                "{target} has no earlier revision to return to"
            )));
        }
    };
    if chosen.revision == latest.revision {
        return Err(Error::Refused(format!(
            "{target} already has the template of revision {}",
            chosen.revision
        )));
    }
    let (number, hash) = (chosen.revision, chosen.hash());
    let how = match status {
        None => "No rollout policy applies, so pods are replaced as its updateStrategy says.".to_owned(),
        Some(status) if status.current_revision == hash => {
            "That is the current revision, so every node goes back to it without stages, within the budgets."
                .to_owned()
        }
        Some(status) => format!(
            "That isn't the current revision ({}), so it is a rollout of its own, which goes through the stages.",
            status.current_revision
        ),
    };
    Ok(Undo {
        revision: number,
        sentence: format!("Returned {target} to the template of revision {number} ({hash}). {how}"),
    })
}

#[cfg(test)]
mod tests;
