//! Calls the planner's unary methods. The calls use their own connection, which is opened when needed: the session's
//! connection belongs to the main loop, and any planner may give a verdict.

use std::time::Duration;

use everynode_proto::{
    facts::RawStruct,
    planner::v1::{
        ExplainRequest, ExplainResponse, SimulateNodesRequest, SimulateNodesResponse, VerdictSummary,
        planner_service_client::PlannerServiceClient,
    },
};
use everynode_serving::serve::trace;
use prost::Message;
use tonic::{Code, Request, Response, Status, transport::Channel};

/// Timeout for a call.
const DEADLINE: Duration = Duration::from_secs(10);
/// Maximum size of a message in either direction, equal to the planner's limit.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Maximum size of one `Explain` call. It stays below the planner's limits, such as 100,000 pairs of node and
/// `DaemonSet`, and is small enough that answering one call takes negligible time.
const NODES_AT_ONCE: usize = 2_000;
const DAEMON_SETS_AT_ONCE: usize = 50;
const BYTES_AT_ONCE: usize = 16 * 1024 * 1024;

/// Client for the planners' unary methods.
#[derive(Debug, Clone)]
pub struct Planner {
    client: PlannerServiceClient<Channel>,
}

impl Planner {
    /// Creates a client for the planners at the other end of a channel.
    pub fn new(channel: Channel) -> Self {
        let client = PlannerServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Returns the verdict on each pair. Requests that are too large for one call are split into several.
    ///
    /// # Errors
    /// `UNAVAILABLE` when no planner answers; otherwise the planner's error, translated for the caller.
    pub async fn explain(
        &self,
        daemon_sets: Vec<RawStruct>,
        nodes: Vec<RawStruct>,
    ) -> Result<ExplainResponse, Status> {
        let mut whole = ExplainResponse::default();
        let nodes = pieces(nodes, NODES_AT_ONCE);
        for daemon_sets in pieces(daemon_sets, DAEMON_SETS_AT_ONCE) {
            for nodes in &nodes {
                let request = ExplainRequest {
                    daemon_sets: daemon_sets.clone(),
                    nodes: nodes.clone(),
                };
                let mut client = self.client.clone();
                add(
                    &mut whole,
                    asked(async |request| client.explain(request).await, request).await?,
                );
            }
        }
        for summary in &mut whole.summaries {
            summary
                .reasons
                .sort_by_key(|reason| std::cmp::Reverse(reason.nodes));
        }
        Ok(whole)
    }

    /// Simulates nodes with their `DaemonSet`s.
    ///
    /// # Errors
    /// `UNAVAILABLE` when no planner answers; otherwise the planner's error, translated for the caller.
    pub async fn simulate(&self, request: SimulateNodesRequest) -> Result<SimulateNodesResponse, Status> {
        let mut client = self.client.clone();
        asked(async |request| client.simulate_nodes(request).await, request).await
    }
}

async fn asked<Q, A>(
    call: impl AsyncFnOnce(Request<Q>) -> Result<Response<A>, Status>,
    request: Q,
) -> Result<A, Status> {
    let mut request = Request::new(request);
    // The deadline also lets the planner give up.
    request.set_timeout(DEADLINE);
    trace::inject(&mut request);
    match tokio::time::timeout(DEADLINE, call(request)).await {
        Ok(answer) => answer.map(Response::into_inner).map_err(explained),
        Err(_) => Err(unavailable(&format!("no answer within {} s", DEADLINE.as_secs()))),
    }
}

fn unavailable(words: &str) -> Status {
    Status::unavailable(format!(
        "no planner answers, and verdicts are the planner's to give: {words}"
    ))
}

/// Translates a planner's error for the caller.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn explained(status: Status) -> Status {
    let words = status.message();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => unavailable(words),
        Code::Unimplemented => Status::unimplemented(format!("the planner can't do this yet: {words}")),
        // The planner's details say when to retry.
        Code::ResourceExhausted => Status::with_details_and_metadata(
            Code::ResourceExhausted,
            format!("the planner has refused: {words}"),
            status.details().to_vec().into(),
            status.metadata().clone(),
        ),
        code => Status::internal(format!(
            "the planner has refused what it was asked: {words} ({code:?})"
        )),
    }
}

/// Splits objects into pieces that each fit into one call.
fn pieces(objects: Vec<RawStruct>, most: usize) -> Vec<Vec<RawStruct>> {
    let mut pieces: Vec<Vec<RawStruct>> = Vec::new();
    let mut bytes = 0;
    for object in objects {
        let size = object.encoded_len();
        match pieces.last_mut() {
            Some(piece) if piece.len() < most && bytes + size <= BYTES_AT_ONCE => {
                bytes += size;
                piece.push(object);
            }
            _ => {
                bytes = size;
                pieces.push(vec![object]);
            }
        }
    }
    pieces
}

/// Merges the answer to one piece into the whole.
fn add(whole: &mut ExplainResponse, piece: ExplainResponse) {
    whole.verdicts.extend(piece.verdicts);
    for problem in piece.problems {
        // Each answer repeats the problems of its `DaemonSet`s.
        if !whole.problems.contains(&problem) {
            whole.problems.push(problem);
        }
    }
    for summary in piece.summaries {
        let of_same = |before: &&mut VerdictSummary| before.daemon_set == summary.daemon_set;
        match whole.summaries.iter_mut().find(of_same) {
            Some(before) => sum(before, summary),
            None => whole.summaries.push(summary),
        }
    }
}

fn sum(before: &mut VerdictSummary, summary: VerdictSummary) {
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
