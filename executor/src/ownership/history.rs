//! The history of a `DaemonSet`'s templates as `ControllerRevision`s (contract H1 to H3).

use everynode_proto::facts::REVISION_LABEL;
use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    apiserver::objects::DaemonSet,
    cluster::CachedRevision,
    pods::{
        hash::{self, Fingerprint},
        pod::owner_reference,
        template,
    },
};

/// The longest name that an object may have.
const MAX_NAME: usize = 253;

/// Default number of revisions that are kept besides the current one.
const DEFAULT_LIMIT: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Value,
    data: &'a RawValue,
    revision: i64,
}

/// Builds a new `ControllerRevision` for a `DaemonSet`'s template. Returns its name and the body to send.
///
/// # Errors
/// The template can't be written as JSON, although it was read from JSON.
pub fn new_revision(daemon_set: &DaemonSet, number: i64) -> Result<(String, Vec<u8>), serde_json::Error> {
    let data = RawValue::from_string(template::data(daemon_set))?;
    let collisions = daemon_set.status.collision_count.unwrap_or(0).to_string();
    let hash = hash::short(&[data.get().as_bytes(), collisions.as_bytes()]);
    let suffix = format!("-{hash}");
    let stem: String = daemon_set
        .metadata
        .name
        .chars()
        .take(MAX_NAME - suffix.len())
        .collect();
    let name = format!("{}{suffix}", stem.trim_end_matches(['.', '-']));
    let mut labels = template_labels(daemon_set);
    labels.insert(REVISION_LABEL.to_owned(), hash.into());
    let body = Body {
        api_version: "apps/v1",
        kind: "ControllerRevision",
        metadata: json!({
            "name": name,
            "namespace": daemon_set.metadata.namespace,
            "labels": labels,
            "annotations": daemon_set.metadata.annotations,
            "ownerReferences": [owner_reference(daemon_set)],
        }),
        data: &data,
        revision: number,
    };
    Ok((name, serde_json::to_vec(&body)?))
}

fn template_labels(daemon_set: &DaemonSet) -> Map<String, Value> {
    let template = daemon_set.spec.template.as_ref();
    let template: Value = template
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    template
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// The next step that a history needs.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Label this revision. It has no hash yet, so its name becomes the hash.
    Label(CachedRevision),
    /// Record the template, which has no revision yet, under this number.
    Record(i64),
    /// Merge revisions with the same template. One stays, and the pods of the others get its label.
    Merge {
        /// The revision that stays.
        keep: CachedRevision,
        /// The revisions to delete.
        duplicates: Vec<CachedRevision>,
    },
    /// Give this revision the number. The template was rolled back to the one that this revision records.
    Renumber(CachedRevision, i64),
}

/// A history that is in order, or the next step that it needs.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// The history needs no step.
    InOrder {
        /// The controller-revision-hash of the current template.
        hash: String,
        /// The revisions of older templates.
        old: Vec<CachedRevision>,
    },
    /// The first step that the history needs.
    Needs(Step),
}

/// Assesses a `DaemonSet`'s revisions (H1).
pub(crate) fn assess(template: Fingerprint, revisions: impl Iterator<Item = CachedRevision>) -> State {
    let (mut current, old): (Vec<_>, Vec<_>) = revisions.partition(|revision| revision.template == template);
    if let Some(unlabeled) = current
        .iter()
        .chain(&old)
        .find(|revision| revision.hash().is_none())
    {
        return State::Needs(Step::Label(unlabeled.clone()));
    }
    let next = old
        .iter()
        .map(|revision| revision.revision)
        .max()
        .unwrap_or(0)
        .saturating_add(1);
    current.sort_by(|a, b| b.revision.cmp(&a.revision).then_with(|| a.name.cmp(&b.name)));
    let mut current = current.into_iter();
    let Some(keep) = current.next() else {
        return State::Needs(Step::Record(next));
    };
    let duplicates: Vec<_> = current.collect();
    if !duplicates.is_empty() {
        return State::Needs(Step::Merge { keep, duplicates });
    }
    if keep.revision < next {
        return State::Needs(Step::Renumber(keep, next));
    }
    State::InOrder {
        hash: keep.hash().unwrap_or_default().to_owned(),
        old,
    }
}

/// Returns how many of the old revisions exceed the limit (H3).
pub(crate) fn excess(limit: Option<i32>, old: &[CachedRevision]) -> usize {
    let limit = limit.map_or(DEFAULT_LIMIT, |limit| usize::try_from(limit).unwrap_or(0));
    old.len().saturating_sub(limit)
}

/// Returns the oldest of the old revisions that no pod uses, at most `excess` of them (H3).
pub(crate) fn removable(
    excess: usize,
    mut old: Vec<CachedRevision>,
    is_in_use: impl Fn(&str) -> bool,
) -> Vec<CachedRevision> {
    if excess == 0 {
        return Vec::new();
    }
    old.sort_by_key(|revision| revision.revision);
    old.retain(|revision| !revision.hash().is_some_and(&is_in_use));
    old.truncate(excess);
    old
}

#[cfg(test)]
mod tests;
