//! Reads the objects of a request.

use everynode_proto::{
    facts::{
        self, RawStruct,
        raw_struct::{self, Item},
    },
    planner::v1 as wire,
};
use everynode_serving::serve::Work;
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use tonic::Status;

use crate::{
    convert::{self, FieldError},
    intern::Interner,
    limits,
    model::{DaemonSet, Node, Problem},
};

/// Placeholder for the uid of a `DaemonSet` that was never in a cluster.
const NO_UID: &str = "(no uid)";

/// The namespace of objects that name none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// Number of objects that one thread reads at a time.
const CHUNK: usize = 256;

/// Reads objects, and turns those that can't be read into problems. It stops when the caller no longer waits for the
/// answer.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) strings: Interner,
    pub(super) problems: Vec<wire::Problem>,
    work: Work,
}

impl Reader {
    /// A reader that has read nothing yet.
    pub(super) fn new(work: &Work) -> Self {
        Self {
            strings: Interner::default(),
            problems: Vec::new(),
            work: work.clone(),
        }
    }

    /// Reads many objects in parallel, because reading takes most of the time of a large call. Results and problems
    /// keep the order of the objects, whatever the number of threads.
    ///
    /// # Errors
    /// `CANCELLED` when the caller no longer waits for the answer, `RESOURCE_EXHAUSTED` when there was no memory to
    /// read an object.
    pub(super) fn read_in_parallel<T: Send>(
        &mut self,
        kind: &str,
        objects: &[Item],
        read_one: impl Fn(&mut Self, &Item) -> Result<T, FieldError> + Sync,
    ) -> Result<Vec<T>, Status> {
        let work = &self.work;
        let read = |(part, objects)| {
            let mut reader = Self::new(work);
            let values = reader.read_from(part * CHUNK, kind, objects, &read_one)?;
            Ok((values, reader.problems))
        };
        let parts = objects.par_chunks(CHUNK).enumerate().map(read);
        let parts: Vec<_> = parts.collect::<Result<_, Status>>()?;
        let mut values = Vec::with_capacity(objects.len());
        for (part, problems) in parts {
            values.extend(part);
            self.problems.extend(problems);
        }
        Ok(values)
    }

    /// Reads objects one by one. An object that can't be used becomes a problem, and the others are still read.
    ///
    /// # Errors
    /// `CANCELLED` when the caller no longer waits for the answer, `RESOURCE_EXHAUSTED` when there was no memory to
    /// read an object.
    pub(super) fn read_each<T>(
        &mut self,
        kind: &str,
        objects: &[Item],
        read_one: impl FnMut(&mut Self, &Item) -> Result<T, FieldError>,
    ) -> Result<Vec<T>, Status> {
        self.read_from(0, kind, objects, read_one)
    }

    /// Like `read_each`. `first` is the index of the first object in its request.
    fn read_from<T>(
        &mut self,
        first: usize,
        kind: &str,
        objects: &[Item],
        mut read_one: impl FnMut(&mut Self, &Item) -> Result<T, FieldError>,
    ) -> Result<Vec<T>, Status> {
        let mut values = Vec::with_capacity(objects.len());
        for (index, object) in objects.iter().enumerate() {
            self.work.check()?;
            match read_one(self, object) {
                Ok(value) => values.push(value),
                Err(FieldError { field, message }) => {
                    // Lack of memory ends the call. It is not a problem of the object.
                    self.work.check()?;
                    self.problems.push(wire::Problem {
                        code: wire::ProblemCode::Malformed.into(),
                        object: format!("{kind} {}", object.name(first + index)),
                        field,
                        message,
                    });
                }
            }
        }
        Ok(values)
    }

    #[expect(
        clippy::vec_box,
        reason = "a fleet keeps nodes boxed, and takes them as they are"
    )]
    pub(super) fn nodes(&mut self, objects: &[Item]) -> Result<Vec<Box<Node>>, Status> {
        self.read_in_parallel("node", objects, Self::node)
    }

    /// Reads an object as type `T`, within the memory that the call may take.
    pub(super) fn read<T: DeserializeOwned>(&self, object: &Item, kind: &str) -> Result<T, FieldError> {
        Ok(object.read_with_budget(kind, self.work.read_budget())?)
    }

    pub(super) fn node(&mut self, object: &Item) -> Result<Box<Node>, FieldError> {
        let node: facts::Node = self.read(object, "Node")?;
        convert::node(&node.into_facts(), &mut self.strings).map_err(in_metadata)
    }

    /// Converts a `DaemonSet`. One that was never in a cluster lacks a uid and perhaps a namespace; this fills in both.
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

    /// Records the problems of a `DaemonSet` that still gets an answer.
    pub(super) fn report_problems(&mut self, daemon_set: &str, problems: &[Problem]) {
        let object = format!("daemonset {daemon_set}");
        let reported = problems.iter().map(|problem| convert::problem(problem, &object));
        self.problems.extend(reported);
    }
}

/// Replaces the field of a fact's error with the path of that field in the object.
pub(super) fn in_metadata(error: FieldError) -> FieldError {
    match error.field.as_str() {
        "min_ready_seconds" => FieldError::new("spec.minReadySeconds", error.message),
        _ => error.within("metadata"),
    }
}

/// Returns the objects in a field of a request. Each list is replaced by its items.
pub(super) fn expand(field: &str, objects: Vec<RawStruct>, limit: usize) -> Result<Vec<Item>, Status> {
    match raw_struct::expand_at_most(objects, limit) {
        Ok(objects) => Ok(objects),
        Err(count) => Err(limits::too_many(field, count, limit)),
    }
}

/// Checks that a required field holds at least one object.
pub(super) fn require(field: &str, count: usize) -> Result<(), Status> {
    match count {
        0 => Err(limits::invalid(&FieldError::new(
            field,
            "must hold at least one object",
        ))),
        _ => Ok(()),
    }
}
