//! Objects as they are read from a request.

use everynode_proto::{
    facts::{
        self, Unread,
        unread::{self, Item},
    },
    planner::v1 as wire,
};
use serde::de::DeserializeOwned;
use tonic::Status;

use crate::{
    convert::{self, FieldError},
    intern::Interner,
    limits,
    model::{DaemonSet, Node},
};

/// Stands for the uid of a `DaemonSet` that was never in a cluster.
const NO_UID: &str = "(no uid)";

/// Reads objects, and turns what can't be read into problems.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) strings: Interner,
    pub(super) problems: Vec<wire::Problem>,
}

impl Reader {
    /// The objects that can be read, each with what it is called in messages.
    pub(super) fn read_all<T: DeserializeOwned>(&mut self, kind: &str, objects: &[Item]) -> Vec<(String, T)> {
        let numbered = objects.iter().enumerate();
        let read = numbered.filter_map(|(index, object)| {
            let object_or_error = object.read(kind);
            let name = object.name(index);
            match object_or_error {
                Ok(object) => Some((name, object)),
                Err(error) => {
                    self.malformed(kind, &name, error.field, error.message);
                    None
                }
            }
        });
        read.collect()
    }

    #[expect(
        clippy::vec_box,
        reason = "a fleet keeps nodes boxed, and takes them as they are"
    )]
    pub(super) fn nodes(&mut self, objects: &[Item]) -> Vec<Box<Node>> {
        let mut nodes = Vec::with_capacity(objects.len());
        for (name, node) in self.read_all::<facts::Node>("Node", objects) {
            match convert::node(&node.facts(), &mut self.strings).map_err(in_metadata) {
                Ok(node) => nodes.push(node),
                Err(error) => self.malformed("Node", &name, error.field, error.message),
            }
        }
        nodes
    }

    /// A `DaemonSet` that was never in a cluster lacks a uid and perhaps a namespace; both are filled in.
    pub(super) fn daemon_set(
        &mut self,
        mut object: facts::DaemonSet,
        revision: &str,
    ) -> Result<DaemonSet, FieldError> {
        if object.metadata.uid.is_empty() {
            NO_UID.clone_into(&mut object.metadata.uid);
        }
        if object.metadata.namespace.is_empty() {
            "default".clone_into(&mut object.metadata.namespace);
        }
        let (facts, problems) = object.facts(&object.spec.template, revision);
        self.problems.extend(problems);
        convert::daemon_set(&facts, &mut self.strings).map_err(in_metadata)
    }

    /// Notes an object that can't be used.
    pub(super) fn malformed(&mut self, kind: &str, name: &str, field: String, message: String) {
        self.problems.push(wire::Problem {
            code: wire::ProblemCode::Malformed.into(),
            object: format!("{} {name}", kind.to_lowercase()),
            field,
            message,
        });
    }
}

/// An error about a fact's field, with that field's path in the object.
pub(super) fn in_metadata(error: FieldError) -> FieldError {
    match error.field.as_str() {
        "min_ready_seconds" => FieldError::new("spec.minReadySeconds", error.message),
        _ => error.within("metadata"),
    }
}

/// The objects in a field of a request, lists replaced by their items.
pub(super) fn expand(field: &str, objects: Vec<Unread>, limit: usize) -> Result<Vec<Item>, Status> {
    let objects = unread::expand(objects);
    limits::check(field, objects.len(), limit)?;
    Ok(objects)
}

/// Refuses a request that holds nothing where there must be something.
pub(super) fn require(field: &str, count: usize) -> Result<(), Status> {
    match count {
        0 => Err(limits::invalid(&FieldError::new(
            field,
            "must hold at least one object",
        ))),
        _ => Ok(()),
    }
}
