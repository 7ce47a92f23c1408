//! Limits on what one call or one message may hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use everynode_proto::{codec::MAX_FACTS, planner::v1::Limits, status};
use everynode_serving::serve::{self, Work, refusal};
use prost::Message;
use tonic::Status;

use crate::convert::FieldError;

/// Bytes of a name, a namespace, a uid or a revision: the length of the longest name that Kubernetes allows.
pub const MAX_NAME_BYTES: usize = 253;
/// `DaemonSet`s in one unary call.
pub const MAX_DAEMON_SETS: usize = 1_000;
/// Nodes in one unary call.
pub const MAX_NODES: usize = 20_000;
/// Pods in one unary call.
pub const MAX_PODS: usize = 200_000;
/// `ControllerRevision`s in one unary call.
pub const MAX_REVISIONS: usize = MAX_NODES;
/// Node templates in one unary call.
pub const MAX_NODE_TEMPLATES: usize = 10_000;
/// Pairs of `DaemonSet` and node, or node template, in one unary call.
pub const MAX_PAIRS: usize = 100_000;
/// Bytes of one message.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// All limits that `GetInfo` reports: those of single calls, and those that the server is started with.
pub fn limits(served: &serve::Limits) -> Limits {
    Limits {
        max_facts_per_request: number(MAX_FACTS),
        max_daemon_sets: number(MAX_DAEMON_SETS),
        max_nodes: number(MAX_NODES),
        max_pods: number(MAX_PODS),
        max_pairs: number(MAX_PAIRS),
        max_message_bytes: number(served.max_message_bytes),
        max_node_templates: number(MAX_NODE_TEMPLATES),
        max_concurrent_calls: served.max_concurrent_calls,
        max_sessions: served.max_streams,
        call_deadline: prost_types::Duration::try_from(served.call_deadline).ok(),
        max_request_bytes: served.max_request_bytes(),
    }
}

/// A limit as the wire carries it. A larger one becomes `u32::MAX`.
pub fn number(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// A limit on the objects of a call. Limits protect servers, so work outside a server has none.
pub fn limit_for(work: &Work, limit: usize) -> usize {
    if work.is_unbounded() { usize::MAX } else { limit }
}

/// Checks that a field holds at most `limit` objects.
///
/// # Errors
/// `RESOURCE_EXHAUSTED`, naming the field.
pub fn check(field: &str, count: usize, limit: usize, work: &Work) -> Result<(), Status> {
    if count <= limit_for(work, limit) {
        return Ok(());
    }
    Err(too_many(field, count, limit))
}

/// `RESOURCE_EXHAUSTED` for a field that holds more objects than a call may, naming the field.
pub fn too_many(field: &str, count: usize, limit: usize) -> Status {
    let message = format!("has {count} items, but at most {limit} are allowed; split the request");
    status::too_many(field, &message)
}

/// Checks that a call makes at most [`MAX_PAIRS`] pairs of `DaemonSet` and node.
///
/// # Errors
/// `RESOURCE_EXHAUSTED`, naming the nodes' field.
pub fn check_pairs(field: &str, daemon_sets: usize, nodes: usize, work: &Work) -> Result<(), Status> {
    let pairs = daemon_sets.saturating_mul(nodes);
    if pairs <= limit_for(work, MAX_PAIRS) {
        return Ok(());
    }
    let message = format!(
        "makes {pairs} pairs with daemon_sets, but at most {MAX_PAIRS} are allowed; split the request"
    );
    Err(status::too_many(field, &message))
}

/// The size of an answer so far. Work on an answer stops as soon as the answer exceeds [`MAX_MESSAGE_BYTES`], because
/// the complete answer to a request with many taints and terms could be a hundred times as large.
#[derive(Debug)]
pub struct AnswerSize<'a> {
    /// Atomic, because several threads may make parts of one answer.
    bytes: AtomicUsize,
    work: &'a Work,
}

/// A part of an answer takes up to this many times its encoded size in memory.
pub const MEMORY_OF_ANSWERS: usize = 3;

impl<'a> AnswerSize<'a> {
    /// The size of an empty answer. Its memory counts against the limits of `work`.
    pub fn new(work: &'a Work) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            work,
        }
    }

    /// Counts a part of the answer.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when the answer has become too large or there is no memory for it, `CANCELLED` when the
    /// caller no longer waits for it.
    pub fn add(&self, part: &impl Message) -> Result<(), Status> {
        if self.work.is_unbounded() {
            return Ok(());
        }
        let bytes = part.encoded_len();
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > MAX_MESSAGE_BYTES {
            return Err(refusal::answer_too_large(MAX_MESSAGE_BYTES));
        }
        self.work.allocate_answer(bytes.saturating_mul(MEMORY_OF_ANSWERS))
    }
}

/// `INVALID_ARGUMENT`, naming the field.
pub fn invalid(error: &FieldError) -> Status {
    status::invalid(&error.field, &error.message)
}

/// `INVALID_ARGUMENT` for a field of an object. `path` is the path of the object in the request, for programs. The
/// message names the object, and the field by its path in the object.
pub fn invalid_object(path: &str, object: &str, error: &FieldError) -> Status {
    let FieldError { field, message } = error;
    let separator = if field.is_empty() { "" } else { "." };
    status::invalid_object(&format!("{path}{separator}{field}"), object, field, message)
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::NodeVerdict;
    use everynode_serving::serve::run_in_background;
    use tonic::{Code, Request};

    use super::*;

    #[test]
    fn limits_do_not_apply_outside_a_server() {
        let work = Work::unbounded();
        check("nodes", usize::MAX, 1, &work).unwrap();
        check_pairs("nodes", MAX_PAIRS, 2, &work).unwrap();
        let size = AnswerSize::new(&work);
        let verdict = NodeVerdict {
            node: "x".repeat(MAX_MESSAGE_BYTES),
            ..NodeVerdict::default()
        };
        for _ in 0..2 {
            size.add(&verdict).unwrap();
        }
    }

    #[tokio::test]
    async fn limits_apply_to_calls() {
        let call = run_in_background(Request::new(()), |(), work| {
            let codes = [
                check("nodes", 2, 1, work).unwrap_err().code(),
                check_pairs("nodes", MAX_PAIRS, 2, work).unwrap_err().code(),
            ];
            assert_eq!(codes, [Code::ResourceExhausted; 2]);
            check_pairs("nodes", MAX_PAIRS, 1, work)?;
            Ok(NodeVerdict::default())
        });
        call.await.unwrap();
    }
}
