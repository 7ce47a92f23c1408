//! Finds the current revision of a `DaemonSet` among the `ControllerRevision`s of a request (contract H1, R1).

use std::cmp::Ordering;

use everynode_proto::facts::{self, REVISION_LABEL, object::revision::ControllerRevision, raw_struct::Item};
use serde_json::Value;
use tonic::Status;

use super::{super::reader::Reader, claim::Claim, template::same_template};
use crate::{
    convert::{self, FieldError},
    model::Text,
};

/// The update revision of a template that has no `ControllerRevision` yet. No pod carries it, because it isn't a valid
/// label value.
pub(super) const NEW_TEMPLATE: &str = "(new template)";

/// The current revision of a `DaemonSet`, according to its `ControllerRevision`s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CurrentRevision {
    /// The newest revision, which has this controller-revision-hash, holds the template.
    Newest(Text),
    /// An older revision holds the template, as after a rollback.
    Older(Text),
    /// No revision holds the template.
    New,
}

/// A revision of the `DaemonSet`.
struct OwnRevision {
    number: i64,
    name: String,
    hash: String,
    holds_template: bool,
}

impl OwnRevision {
    /// Orders revisions by number. Of several with the same number, the one with the first name is the newest, because
    /// the executor keeps that one.
    fn by_age(a: &Self, b: &Self) -> Ordering {
        a.number.cmp(&b.number).then_with(|| b.name.cmp(&a.name))
    }
}

impl Reader {
    /// Returns the current revision of a `DaemonSet`. `None` if none of the revisions belongs to it. A revision that
    /// can't be read is a problem.
    ///
    /// # Errors
    /// As [`Reader::read_each`].
    pub(super) fn current_revision(
        &mut self,
        daemon_set: &Item,
        revisions: &[Item],
        claim: &Claim,
    ) -> Result<Option<CurrentRevision>, Status> {
        if revisions.is_empty() {
            return Ok(None);
        }
        // The DaemonSet has been read before, so this fails only for lack of memory, which ends the call.
        let read: facts::DaemonSet<Value> = self.read(daemon_set, "DaemonSet").unwrap_or_default();
        let template = read.spec.template;
        let read = self.read_each("ControllerRevision", revisions, |reader, object| {
            reader.revision(object, claim, &template)
        })?;
        let own: Vec<_> = read.into_iter().flatten().collect();
        let Some(newest) = own.iter().max_by(|a, b| OwnRevision::by_age(a, b)) else {
            return Ok(None);
        };
        let holding = own.iter().filter(|revision| revision.holds_template);
        let current = holding.max_by(|a, b| OwnRevision::by_age(a, b));
        Ok(Some(match current {
            None => CurrentRevision::New,
            Some(current) if current.number == newest.number => {
                CurrentRevision::Newest(self.strings.text(&current.hash))
            }
            Some(current) => CurrentRevision::Older(self.strings.text(&current.hash)),
        }))
    }

    fn revision(
        &self,
        object: &Item,
        claim: &Claim,
        template: &Value,
    ) -> Result<Option<OwnRevision>, FieldError> {
        let revision: ControllerRevision = self.read(object, "ControllerRevision")?;
        let metadata = revision.metadata;
        if !claim.of(&metadata).counts() {
            return Ok(None);
        }
        let data: ControllerRevision<Value> = self.read(object, "ControllerRevision")?;
        let stored = data.data.pointer("/spec/template");
        let label = metadata.labels.get(REVISION_LABEL);
        // A revision without a hash gets its name as its hash.
        let hash = label.filter(|hash| !hash.is_empty()).unwrap_or(&metadata.name);
        convert::check_length("metadata.labels", hash)?;
        Ok(Some(OwnRevision {
            number: revision.revision,
            holds_template: stored.is_some_and(|stored| same_template(template, stored)),
            hash: hash.clone(),
            name: metadata.name,
        }))
    }
}
