//! Fuzz targets: the messages that callers and executors send to the planner.

use std::fmt::Debug;

use everynode_planner::session::{self, Session};
use everynode_planner::unary;
use everynode_proto::facts::{RawStruct, raw_struct};
use everynode_proto::planner::v1::{
    ExplainRequest, PlanRequest, SessionRequest, SessionResponse, action::Action,
    session_response::Message as Said,
};
use everynode_serving::serve::Work;
use fastrand::Rng;
use prost::Message;
use prost_types::Timestamp;
use tonic::Status;

use crate::driver::{Input, fuzz};
use crate::mutate::mutated;
use crate::{requests, seeds};

/// Limit of the answer to one fact, or to one pair, in bytes beyond the content of the request itself.
const MOST_PER_ITEM: usize = 4 * 1024;

/// Plays a session twice, up to the request that ends it. Returns whether a request after the first one was accepted.
fn play(input: &Input) -> bool {
    let requests = input
        .iter()
        .map_while(|bytes| SessionRequest::decode(bytes.as_slice()).ok());
    let (mut one, mut other) = (Session::default(), Session::default());
    let (mut told, mut last_action, mut taken) = (0, 0, 0);
    for (index, request) in requests.enumerate() {
        if index == 0 {
            let _ = session::hello(&request);
        }
        told += request.encoded_len() + MOST_PER_ITEM * (1 + request.facts.len());
        match (one.take(request.clone()), other.take(request)) {
            (Ok(one), Ok(other)) => {
                taken += 1;
                assert_eq!(
                    one.responses, other.responses,
                    "the same session has the same plans"
                );
                // A plan may follow from everything that was sent so far.
                let said: usize = one.responses.iter().map(Message::encoded_len).sum();
                assert!(said <= told * 4, "{said} bytes are said of {told}");
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
    taken > 1
}

fn check(response: &SessionResponse, last_action: &mut u64) {
    let Some(Said::Plan(plan)) = &response.message else {
        return;
    };
    for action in &plan.actions {
        *last_action += 1;
        assert_eq!(action.id, *last_action, "each action has its own id");
        match action.action.as_ref().unwrap() {
            Action::Create(create) => assert!(!create.node.is_empty()),
            Action::Delete(delete) => assert!(!delete.pod.is_empty() && !delete.uid.is_empty()),
        }
    }
}

#[test]
fn no_session_of_any_facts_in_any_order_panics() {
    let make = |random: &mut Rng| {
        requests::session(random)
            .iter()
            .map(Message::encode_to_vec)
            .collect()
    };
    fuzz("sessions that are made up", 4_000, make, play);
}

#[test]
fn no_session_of_changed_requests_panics() {
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
    fuzz("sessions with changed requests", 4_000, make, play);
}

#[test]
fn no_request_to_plan_or_to_explain_panics() {
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
    });
    // The bytes of each request can also be decoded as the other type.
    let mut valid: Vec<_> = plans.map(|plan| plan.encode_to_vec()).collect();
    let explain = ExplainRequest {
        daemon_sets: sets,
        nodes,
    };
    valid.push(explain.encode_to_vec());
    let make = move |random: &mut Rng| vec![mutated(random, &valid)];
    let work = Work::unbounded();
    fuzz("Plan and Explain", 2_000, make, |input| {
        let mut understood = false;
        if let Ok(request) = PlanRequest::decode(input[0].as_slice()) {
            let answers = [unary::plan(request.clone(), &work), unary::plan(request, &work)];
            understood |= same(&answers, input[0].len(), 1);
        }
        if let Ok(request) = ExplainRequest::decode(input[0].as_slice()) {
            let items = |objects: &[RawStruct]| raw_struct::expand(objects.to_vec()).len();
            let pairs = items(&request.daemon_sets) * items(&request.nodes);
            let answers = [
                unary::explain(request.clone(), &work),
                unary::explain(request, &work),
            ];
            understood |= same(&answers, input[0].len() * (1 + pairs), pairs);
        }
        understood
    });
}

/// Returns whether there is an answer. Asserts that the two answers are equal and within the size limit.
fn same<A: Message + PartialEq + Debug>(
    answers: &[Result<A, Status>; 2],
    asked: usize,
    pairs: usize,
) -> bool {
    match answers {
        [Ok(one), Ok(other)] => {
            assert!(one == other, "{one:?} and {other:?}");
            let (said, most) = (one.encoded_len(), 16 * asked + MOST_PER_ITEM * (1 + pairs));
            assert!(said <= most, "{said} bytes are said of {asked}");
            true
        }
        [Err(one), Err(other)] => {
            assert_eq!(one.message(), other.message());
            false
        }
        [one, other] => panic!("{one:?} and {other:?}"),
    }
}
