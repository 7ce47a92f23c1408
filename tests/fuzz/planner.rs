//! Fuzz targets: the messages that callers and executors send to the planner.

use std::fmt::Debug;

use everynode_planner::session::{self, Session};
use everynode_planner::unary;
use everynode_proto::facts::{RawStruct, raw_struct};
use everynode_proto::planner::v1::{
    ExplainRequest, PlanRequest, SessionRequest, SessionResponse, SimulateRolloutRequest, action::Action,
    session_response::Message as ResponseMessage,
};
use everynode_serving::serve::Work;
use fastrand::Rng;
use prost::Message;
use prost_types::Timestamp;
use tonic::Status;

use crate::driver::{Input, fuzz};
use crate::mutate::mutated;
use crate::{requests, seeds};

/// Size limit of the response to one fact, or to one pair of `DaemonSet` and node, in bytes. The content of the request
/// is allowed in addition.
const MAX_BYTES_PER_ITEM: usize = 4 * 1024;

/// Runs a session twice, up to the request that ends it. Returns whether a request after the first one was accepted.
fn run_session(input: &Input) -> bool {
    let requests = input
        .iter()
        .map_while(|bytes| SessionRequest::decode(bytes.as_slice()).ok());
    let (mut one, mut other) = (Session::default(), Session::default());
    let (mut request_bytes, mut last_action, mut accepted) = (0, 0, 0);
    for (index, request) in requests.enumerate() {
        if index == 0 {
            let _ = session::read_hello(&request);
        }
        request_bytes += request.encoded_len() + MAX_BYTES_PER_ITEM * (1 + request.facts.len());
        match (one.take(request.clone()), other.take(request)) {
            (Ok(one), Ok(other)) => {
                accepted += 1;
                assert_eq!(
                    one.responses, other.responses,
                    "equal sessions must have equal plans"
                );
                // A plan may follow from everything that was sent so far.
                let response_bytes: usize = one.responses.iter().map(Message::encoded_len).sum();
                assert!(
                    response_bytes <= request_bytes * 4,
                    "{response_bytes} bytes of responses to {request_bytes} bytes"
                );
                one.responses
                    .iter()
                    .for_each(|response| check(response, &mut last_action));
            }
            (Err(one), Err(other)) => {
                assert_eq!(one.message(), other.message());
                break;
            }
            (one, other) => panic!("{one:?} and {other:?}"),
        }
    }
    accepted > 1
}

fn check(response: &SessionResponse, last_action: &mut u64) {
    let Some(ResponseMessage::Plan(plan)) = &response.message else {
        return;
    };
    for action in &plan.actions {
        *last_action += 1;
        assert_eq!(action.id, *last_action, "action ids must be consecutive");
        match action.action.as_ref().unwrap() {
            Action::Create(create) => assert!(!create.node.is_empty()),
            Action::Delete(delete) => assert!(!delete.pod.is_empty() && !delete.uid.is_empty()),
        }
    }
}

#[test]
fn no_session_with_arbitrary_facts_panics() {
    let make = |random: &mut Rng| {
        requests::session(random)
            .iter()
            .map(Message::encode_to_vec)
            .collect()
    };
    fuzz("generated sessions", 4_000, make, run_session);
}

#[test]
fn no_session_with_mutated_requests_panics() {
    let make = |random: &mut Rng| {
        let mut input: Input = requests::session(random)
            .iter()
            .map(Message::encode_to_vec)
            .collect();
        for _ in 0..random.usize(1..4) {
            let index = random.usize(..input.len());
            input[index] = mutated(random, &input[index..=index]);
        }
        input
    };
    fuzz("sessions with mutated requests", 4_000, make, run_session);
}

#[test]
fn no_plan_or_explain_request_panics() {
    let (sets, nodes, pods) = seeds::requests();
    let plans = sets.iter().map(|set| PlanRequest {
        daemon_set: Some(set.clone()),
        nodes: nodes.clone(),
        pods: pods.clone(),
        update_revision: Some("r1".to_owned()),
        now: Some(Timestamp {
            seconds: 1_767_326_400,
            nanos: 0,
        }),
        ..PlanRequest::default()
    });
    // The bytes of each request can also be decoded as the other type.
    let mut valid: Vec<_> = plans.map(|plan| plan.encode_to_vec()).collect();
    let explain = ExplainRequest {
        daemon_sets: sets,
        nodes,
        ..ExplainRequest::default()
    };
    valid.push(explain.encode_to_vec());
    let make = move |random: &mut Rng| vec![mutated(random, &valid)];
    let work = Work::unbounded();
    fuzz("Plan and Explain", 2_000, make, |input| {
        let mut decoded = false;
        if let Ok(request) = PlanRequest::decode(input[0].as_slice()) {
            let answers = [unary::plan(request.clone(), &work), unary::plan(request, &work)];
            decoded |= same(&answers, input[0].len(), 1);
        }
        if let Ok(request) = ExplainRequest::decode(input[0].as_slice()) {
            let items = |objects: &[RawStruct]| raw_struct::expand(objects.to_vec()).len();
            let pairs = items(&request.daemon_sets) * items(&request.nodes);
            let answers = [
                unary::explain(request.clone(), &work),
                unary::explain(request, &work),
            ];
            decoded |= same(&answers, input[0].len() * (1 + pairs), pairs);
        }
        decoded
    });
}

#[test]
fn no_simulate_rollout_request_panics() {
    let valid: Vec<_> = seeds::rollouts::simulations()
        .iter()
        .map(Message::encode_to_vec)
        .collect();
    let make = move |random: &mut Rng| vec![mutated(random, &valid)];
    let work = Work::unbounded();
    fuzz("SimulateRollout", 1_000, make, |input| {
        let Ok(request) = SimulateRolloutRequest::decode(input[0].as_slice()) else {
            return false;
        };
        let items = |objects: &[RawStruct]| raw_struct::expand(objects.to_vec()).len();
        let size = items(&request.policies) + items(&request.nodes);
        let answers = [
            unary::simulate_rollout(request.clone(), &work),
            unary::simulate_rollout(request, &work),
        ];
        same(&answers, input[0].len(), size)
    });
}

/// Returns whether the requests succeeded. Asserts that the two responses are equal and within the size limit.
fn same<A: Message + PartialEq + Debug>(
    answers: &[Result<A, Status>; 2],
    request_bytes: usize,
    pairs: usize,
) -> bool {
    match answers {
        [Ok(one), Ok(other)] => {
            assert!(one == other, "{one:?} and {other:?}");
            let (response_bytes, limit) = (
                one.encoded_len(),
                16 * request_bytes + MAX_BYTES_PER_ITEM * (1 + pairs),
            );
            assert!(
                response_bytes <= limit,
                "{response_bytes} bytes of responses to {request_bytes} bytes"
            );
            true
        }
        [Err(one), Err(other)] => {
            assert_eq!(one.message(), other.message());
            false
        }
        [one, other] => panic!("{one:?} and {other:?}"),
    }
}
