//! Objects as they are read from a request.

use everynode_proto::{
    facts::{
        self, Unread,
        unread::{self, Item},
    },
    planner::v1 as wire,
};
use rayon::prelude::*;
use tonic::Status;

use crate::{
    convert::{self, FieldError},
    intern::Interner,
    limits,
    model::{DaemonSet, Node, Problem},
};

/// Stands for the uid of a `DaemonSet` that was never in a cluster.
const NO_UID: &str = "(no uid)";

/// The namespace of objects that name none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// So many objects are read in one go by one thread.
const PART: usize = 256;

/// Reads objects, and turns what can't be read into problems.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) strings: Interner,
    pub(super) problems: Vec<wire::Problem>,
}

impl Reader {
    /// Reads many objects, several at a time: reading is most of what a large call takes. Results and problems come in the
    /// order of the objects, however many threads there are.
    pub(super) fn each_of_many<T: Send>(
        &mut self,
        kind: &str,
        objects: &[Item],
        take: impl Fn(&mut Self, &Item) -> Result<T, FieldError> + Sync,
    ) -> Vec<T> {
        let read = |(part, objects)| {
            let mut reader = Self::default();
            let taken = reader.each_from(part * PART, kind, objects, &take);
            (taken, reader.problems)
        };
        let parts: Vec<_> = objects.par_chunks(PART).enumerate().map(read).collect();
        let mut taken = Vec::with_capacity(objects.len());
        for (part, problems) in parts {
            taken.extend(part);
            self.problems.extend(problems);
        }
        taken
    }

    /// Reads objects one by one. What can't be used becomes a problem, and the others are taken all the same.
    pub(super) fn each<T>(
        &mut self,
        kind: &str,
        objects: &[Item],
        take: impl FnMut(&mut Self, &Item) -> Result<T, FieldError>,
    ) -> Vec<T> {
        self.each_from(0, kind, objects, take)
    }

    /// The same, where `first` is the place of the first object in its request.
    fn each_from<T>(
        &mut self,
        first: usize,
        kind: &str,
        objects: &[Item],
        mut take: impl FnMut(&mut Self, &Item) -> Result<T, FieldError>,
    ) -> Vec<T> {
        let mut taken = Vec::with_capacity(objects.len());
        for (index, object) in objects.iter().enumerate() {
            match take(self, object) {
                Ok(thing) => taken.push(thing),
                Err(FieldError { field, message }) => self.problems.push(wire::Problem {
                    code: wire::ProblemCode::Malformed.into(),
                    object: format!("{kind} {}", object.name(first + index)),
                    field,
                    message,
                }),
            }
        }
        taken
    }

    #[expect(
        clippy::vec_box,
        reason = "a fleet keeps nodes boxed, and takes them as they are"
    )]
    pub(super) fn nodes(&mut self, objects: &[Item]) -> Vec<Box<Node>> {
        self.each_of_many("node", objects, Self::node)
    }

    pub(super) fn node(&mut self, object: &Item) -> Result<Box<Node>, FieldError> {
        let node: facts::Node = object.read("Node")?;
        convert::node(&node.into_facts(), &mut self.strings).map_err(in_metadata)
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
            DEFAULT_NAMESPACE.clone_into(&mut object.metadata.namespace);
        }
        let (facts, problems) = object.facts(&object.spec.template, revision);
        self.problems.extend(problems);
        convert::daemon_set(&facts, &mut self.strings).map_err(in_metadata)
    }

    /// Notes what is wrong with a `DaemonSet` that is answered for all the same.
    pub(super) fn say(&mut self, daemon_set: &str, problems: &[Problem]) {
        let object = format!("daemonset {daemon_set}");
        let told = problems.iter().map(|problem| convert::problem(problem, &object));
        self.problems.extend(told);
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
