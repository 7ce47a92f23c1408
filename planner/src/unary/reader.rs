//! Reads the objects of a request.

use std::sync::Arc;

use everynode_proto::{
    facts::{
        self, RawStruct,
        object::{LabelSelector, demand::NodeCapacity},
        raw_struct::{self, Item},
    },
    planner::v1 as wire,
};
use everynode_serving::serve::Work;
use hashbrown::HashSet;
use prost::Message;
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use tonic::Status;

use crate::{
    convert::{self, FieldError},
    intern::Interner,
    limits::{self, MEMORY_OF_ANSWERS},
    model::{DaemonSet, Millis, Node, NodeTemplate, Problem, Text},
};

/// Placeholder for the uid of a `DaemonSet` that was never in a cluster.
const NO_UID: &str = "(no uid)";

/// The namespace of objects that name none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// Number of objects that one thread reads at a time.
const CHUNK: usize = 256;

/// The maximum number of problems that one check of an object reports. It keeps the answer about a large object small.
const MAX_PROBLEMS: usize = 50;

/// Reads objects, and turns those that can't be read into problems. It stops when the caller no longer waits for the
/// answer.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) strings: Interner,
    problems: Vec<wire::Problem>,
    work: Work,
}

/// A `DaemonSet` of a request, with the parts that only unary calls read.
#[derive(Debug)]
pub(super) struct ReadDaemonSet {
    pub(super) daemon_set: DaemonSet,
    /// Whether the object has a uid. A `DaemonSet` that was never in a cluster has none.
    pub(super) has_uid: bool,
    /// metadata.creationTimestamp.
    pub(super) created: Millis,
    /// spec.selector.
    pub(super) selector: LabelSelector,
    /// spec.template.spec.runtimeClassName; empty if unset.
    pub(super) runtime_class: String,
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
            let of_others = self.problems.len();
            match read_one(self, object) {
                Ok(value) => values.push(value),
                Err(FieldError { field, message }) => {
                    // Lack of memory ends the call. It is not a problem of the object.
                    self.work.check()?;
                    // A check may have found the same problem.
                    let own = self.problems.split_off(of_others);
                    let others = own.into_iter().filter(|problem| problem.field != field);
                    self.problems.extend(others);
                    self.push(wire::Problem {
                        code: wire::ProblemCode::Malformed.into(),
                        object: object_name(kind, object.name().as_deref(), first + index),
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
        self.read_in_parallel("Node", objects, Self::node)
    }

    /// Reads an object as type `T`, within the memory that the call may take.
    pub(super) fn read<T: DeserializeOwned>(&self, object: &Item, kind: &str) -> Result<T, FieldError> {
        Ok(object.read_with_budget(kind, self.work.read_budget())?)
    }

    pub(super) fn node(&mut self, object: &Item) -> Result<Box<Node>, FieldError> {
        let node: facts::Node = self.read(object, "Node")?;
        let node = convert::node(&node.into_facts(), &mut self.strings).map_err(in_object)?;
        self.check_node(object, &node);
        Ok(node)
    }

    /// Reads nodes as templates. The values of their labels with `unknown` keys don't count.
    pub(super) fn templates(
        &mut self,
        objects: &[Item],
        unknown: &Arc<HashSet<Text>>,
    ) -> Result<Vec<NodeTemplate>, Status> {
        self.read_in_parallel("Node", objects, |reader, object| {
            let node = reader.node(object)?;
            let capacity: NodeCapacity = reader.read(object, "Node")?;
            convert::node_as_template(*node, unknown, &capacity.status, &mut reader.strings)
        })
    }

    /// Reads a `DaemonSet`, and reports what the API server would refuse in it. One that was never in a cluster lacks a
    /// uid and perhaps a namespace; this fills in both.
    pub(super) fn daemon_set(&mut self, object: &Item, revision: &str) -> Result<ReadDaemonSet, FieldError> {
        let mut read: facts::DaemonSet = self.read(object, "DaemonSet")?;
        let has_uid = !read.metadata.uid.is_empty();
        if !has_uid {
            NO_UID.clone_into(&mut read.metadata.uid);
        }
        if read.metadata.namespace.is_empty() {
            DEFAULT_NAMESPACE.clone_into(&mut read.metadata.namespace);
        }
        let (mut facts, problems) = read.facts(&read.spec.template, revision);
        for problem in problems {
            self.push(problem);
        }
        // The check below reports a negative number.
        facts.min_ready_seconds = facts.min_ready_seconds.max(0);
        let mut daemon_set = convert::daemon_set(&facts, &mut self.strings).map_err(in_object)?;
        let checked = self.check_daemon_set(object, &read);
        daemon_set.deleting = read.metadata.deletion_timestamp.is_some();
        daemon_set.lacks_selector = checked
            .as_ref()
            .is_some_and(|checked| checked.spec.selector.is_none());
        let created = read.metadata.creation_timestamp;
        Ok(ReadDaemonSet {
            daemon_set,
            has_uid,
            created: created.map_or_else(Millis::default, |time| Millis(time.as_millisecond())),
            selector: read.spec.selector,
            runtime_class: checked
                .map(|checked| checked.spec.template.spec.runtime_class_name)
                .unwrap_or_default(),
        })
    }

    /// Reports the problems of an object that still gets an answer.
    pub(super) fn report(&mut self, object: &str, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems.into_iter().take(MAX_PROBLEMS) {
            self.push(convert::problem(&problem, object));
        }
    }

    /// Whether the call may continue. If it may not, a read error says nothing about the object.
    pub(super) fn may_continue(&self) -> bool {
        self.work.check().is_ok()
    }

    /// Adds problems that another reader has found.
    pub(super) fn extend(&mut self, problems: Vec<wire::Problem>) {
        self.problems.extend(problems);
    }

    /// All problems found so far.
    pub(super) fn into_problems(self) -> Vec<wire::Problem> {
        self.problems
    }

    fn push(&mut self, problem: wire::Problem) {
        let bytes = problem.encoded_len();
        // The work ends at the next check if there is no memory.
        let _ = self.work.allocate_answer(bytes.saturating_mul(MEMORY_OF_ANSWERS));
        self.problems.push(problem);
    }
}

/// Returns a description of an object for messages: its kind and name, or its position among the objects of its kind if
/// it has no name.
pub(crate) fn object_name(kind: &str, name: Option<&str>, index: usize) -> String {
    match name {
        Some(name) => format!("{} {name}", kind.to_ascii_lowercase()),
        None => format!("the {} {kind}", ordinal(index.saturating_add(1))),
    }
}

/// A position, such as 1st, 2nd, 3rd, 4th and 11th.
fn ordinal(number: usize) -> String {
    let is_teen = (11..=13).contains(&(number % 100));
    let ending = match number % 10 {
        1 if !is_teen => "st",
        2 if !is_teen => "nd",
        3 if !is_teen => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Replaces the field of a fact's error with the path of that field in the object.
pub(super) fn in_object(error: FieldError) -> FieldError {
    let path = match error.field.as_str() {
        "min_ready_seconds" => "spec.minReadySeconds",
        "daemon_set_uid" => "metadata.ownerReferences",
        "node" => "spec.nodeName",
        "revision" => "metadata.labels.controller-revision-hash",
        "template_generation" => "metadata.labels.pod-template-generation",
        _ => return error.within("metadata"),
    };
    FieldError::new(path, error.message)
}

/// Returns the objects in a field of a request. Each list is replaced by its items.
pub(super) fn expand(
    field: &str,
    objects: Vec<RawStruct>,
    limit: usize,
    work: &Work,
) -> Result<Vec<Item>, Status> {
    let limit = limits::limit_for(work, limit);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_without_a_name_is_named_by_its_position() {
        assert_eq!(object_name("Node", Some("a"), 7), "node a");
        assert_eq!(object_name("DaemonSet", Some("b/a"), 7), "daemonset b/a");
        for (index, name) in [
            (0, "the 1st Node"),
            (1, "the 2nd Node"),
            (2, "the 3rd Node"),
            (3, "the 4th Node"),
            (10, "the 11th Node"),
            (11, "the 12th Node"),
            (12, "the 13th Node"),
            (20, "the 21st Node"),
            (110, "the 111th Node"),
            (121, "the 122nd Node"),
        ] {
            assert_eq!(object_name("Node", None, index), name);
        }
    }

    #[test]
    fn errors_of_facts_name_the_field_of_the_object() {
        let path = |field: &str| in_object(FieldError::new(field, "")).field;
        assert_eq!(path("name"), "metadata.name");
        assert_eq!(path("min_ready_seconds"), "spec.minReadySeconds");
        assert_eq!(path("node"), "spec.nodeName");
    }
}
