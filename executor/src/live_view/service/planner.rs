//! Calls the planner's unary methods. The calls use their own connection, which is opened when needed: the session's
//! connection belongs to the main loop, and every planner can give verdicts.

use std::{collections::HashSet, error::Error as _, time::Duration};

use everynode_proto::{
    facts::RawStruct,
    planner::v1::{
        ExplainRequest, ExplainResponse, KnownRollout, SimulateNodesRequest, SimulateNodesResponse,
        VerdictSummary, planner_service_client::PlannerServiceClient,
    },
};
use everynode_render::ErrorChain;
use everynode_serving::{serve::trace, tls::ConnectError};
use prost::Message;
use tonic::{Code, Request, Response, Status, transport::Channel};

/// Timeout for a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a message in either direction, equal to the planner's limit.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Maximum numbers of objects in one `Explain` call. They don't exceed the planner's limits, such as 100,000 pairs of
/// node and `DaemonSet`, and are small enough that answering one call takes negligible time.
const MAX_NODES_PER_CALL: usize = 2_000;
const MAX_DAEMON_SETS_PER_CALL: usize = 50;
/// Maximum size of the nodes in one `Explain` call, in bytes, and also of its `DaemonSet`s.
const MAX_BYTES_PER_CALL: usize = 16 * 1024 * 1024;

/// What `Explain` answers.
#[derive(Debug)]
pub(crate) struct Explained {
    /// The `DaemonSet`s, by namespace and name.
    pub(crate) daemon_sets: Vec<Named>,
    pub(crate) nodes: Vec<Named>,
    pub(crate) runtime_classes: Vec<RawStruct>,
    /// The rollouts of the `DaemonSet`s, with their pods on the nodes.
    pub(crate) known_rollouts: Vec<KnownRollout>,
    /// The executor's time, in seconds since 1970.
    pub(crate) now: i64,
}

/// An object with its name.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) object: RawStruct,
}

/// Client of the planner's unary methods.
#[derive(Debug, Clone)]
pub(crate) struct PlannerClient {
    client: PlannerServiceClient<Channel>,
}

impl PlannerClient {
    /// Creates a client that sends its calls through this channel.
    pub(crate) fn new(channel: Channel) -> Self {
        let client = PlannerServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Returns the verdict on each pair of `DaemonSet` and node. Splits large requests into several calls, and sends
    /// the `RuntimeClass`es and the time with each of them.
    ///
    /// # Errors
    /// `UNAVAILABLE` when no planner answers; otherwise the planner's error, translated for the caller.
    pub(crate) async fn explain(&self, explained: Explained) -> Result<ExplainResponse, Status> {
        let Explained {
            daemon_sets,
            nodes,
            runtime_classes,
            known_rollouts,
            now,
        } = explained;
        let mut merged = ExplainResponse::default();
        let nodes = chunks(nodes, MAX_NODES_PER_CALL);
        for daemon_sets in chunks(daemon_sets, MAX_DAEMON_SETS_PER_CALL) {
            for nodes in &nodes {
                let request = ExplainRequest {
                    daemon_sets: objects(&daemon_sets),
                    nodes: objects(nodes),
                    runtime_classes: runtime_classes.clone(),
                    known_rollouts: rollouts_of(&known_rollouts, &daemon_sets, nodes),
                    now: Some(prost_types::Timestamp {
                        seconds: now,
                        nanos: 0,
                    }),
                    ..ExplainRequest::default()
                };
                let mut client = self.client.clone();
                merge(
                    &mut merged,
                    call(async |request| client.explain(request).await, request).await?,
                );
            }
        }
        for summary in &mut merged.summaries {
            summary
                .reasons
                .sort_by_key(|reason| std::cmp::Reverse(reason.nodes));
        }
        Ok(merged)
    }

    /// Simulates nodes with their `DaemonSet`s.
    ///
    /// # Errors
    /// `UNAVAILABLE` when no planner answers; otherwise the planner's error, translated for the caller.
    pub(crate) async fn simulate(
        &self,
        request: SimulateNodesRequest,
    ) -> Result<SimulateNodesResponse, Status> {
        let mut client = self.client.clone();
        call(async |request| client.simulate_nodes(request).await, request).await
    }
}

/// Sends one call with a deadline.
async fn call<Q, A>(
    send: impl AsyncFnOnce(Request<Q>) -> Result<Response<A>, Status>,
    request: Q,
) -> Result<A, Status> {
    let mut request = Request::new(request);
    // The deadline also lets the planner give up.
    request.set_timeout(CALL_TIMEOUT);
    trace::inject(&mut request);
    match tokio::time::timeout(CALL_TIMEOUT, send(request)).await {
        Ok(answer) => answer.map(Response::into_inner).map_err(translate),
        Err(_) => Err(unavailable(&format!(
            "no answer within {} s",
            CALL_TIMEOUT.as_secs()
        ))),
    }
}

fn unavailable(reason: &str) -> Status {
    Status::unavailable(format!(
        "no planner answers, and only a planner can give verdicts: {reason}"
    ))
}

/// Translates a planner's error for the caller.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn translate(status: Status) -> Status {
    // The status of a failed connection has the message of the error, but not its cause.
    let message = match connect_error(&status) {
        Some(error) => ErrorChain(error).to_string(),
        None => status.message().to_owned(),
    };
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => unavailable(&message),
        Code::Unimplemented => {
            Status::unimplemented(format!("the planner doesn't support this call: {message}"))
        }
        // The planner's details say when to retry.
        Code::ResourceExhausted => Status::with_details_and_metadata(
            Code::ResourceExhausted,
            format!("the planner refused the call: {message}"),
            status.details().to_vec().into(),
            status.metadata().clone(),
        ),
        code => Status::internal(format!("the planner rejected the request: {message} ({code:?})")),
    }
}

/// Returns why the connection failed, if that is why the call failed.
fn connect_error(status: &Status) -> Option<&ConnectError> {
    let mut source = status.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}

/// Splits objects into chunks that each fit into one call.
fn chunks(objects: Vec<Named>, max_count: usize) -> Vec<Vec<Named>> {
    let mut chunks: Vec<Vec<Named>> = Vec::new();
    let mut bytes = 0;
    for named in objects {
        let size = named.object.encoded_len();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < max_count && bytes + size <= MAX_BYTES_PER_CALL => {
                bytes += size;
                chunk.push(named);
            }
            _ => {
                bytes = size;
                chunks.push(vec![named]);
            }
        }
    }
    chunks
}

fn objects(chunk: &[Named]) -> Vec<RawStruct> {
    chunk.iter().map(|named| named.object.clone()).collect()
}

/// Returns the rollouts of these `DaemonSet`s, with the pods on these nodes.
fn rollouts_of(all: &[KnownRollout], daemon_sets: &[Named], nodes: &[Named]) -> Vec<KnownRollout> {
    if all.is_empty() {
        return Vec::new();
    }
    let names =
        |chunk: &[Named]| -> HashSet<String> { chunk.iter().map(|named| named.name.clone()).collect() };
    let (keys, nodes) = (names(daemon_sets), names(nodes));
    let of_chunk = all.iter().filter(|known| keys.contains(&known.daemon_set));
    let with_pods = |known: &KnownRollout| {
        let pods = known.pods.iter().filter(|pod| nodes.contains(&pod.node));
        KnownRollout {
            daemon_set: known.daemon_set.clone(),
            knowledge: known.knowledge,
            policy: known.policy.clone(),
            rollout: known.rollout.clone(),
            report: known.report.clone(),
            status: known.status,
            update_revision: known.update_revision.clone(),
            pods: pods.cloned().collect(),
        }
    };
    of_chunk.map(with_pods).collect()
}

/// Merges the answer to one chunk into the answers so far.
fn merge(merged: &mut ExplainResponse, chunk: ExplainResponse) {
    merged.verdicts.extend(chunk.verdicts);
    for problem in chunk.problems {
        // Each answer repeats the problems of its `DaemonSet`s.
        if !merged.problems.contains(&problem) {
            merged.problems.push(problem);
        }
    }
    for summary in chunk.summaries {
        let is_same = |before: &&mut VerdictSummary| before.daemon_set == summary.daemon_set;
        match merged.summaries.iter_mut().find(is_same) {
            Some(before) => merge_summary(before, summary),
            None => merged.summaries.push(summary),
        }
    }
}

fn merge_summary(before: &mut VerdictSummary, summary: VerdictSummary) {
    before.run_nodes += summary.run_nodes;
    before.keep_nodes += summary.keep_nodes;
    before.exclude_nodes += summary.exclude_nodes;
    for reason in summary.reasons {
        let same = before.reasons.iter_mut().find(|other| {
            (other.code, &other.condition, other.verdict) == (reason.code, &reason.condition, reason.verdict)
        });
        match same {
            Some(same) => same.nodes += reason.nodes,
            None => before.reasons.push(reason),
        }
    }
}

#[cfg(test)]
mod tests;
