use everynode_proto::planner::v1::{
    ActionOutcome, DaemonSetFacts, DaemonSetGone, NodeGone, PodFacts, PodPhase,
};
use prost::Message as _;

use super::*;

/// The requests of an eventful session. Some of them lead to decisions for several `DaemonSet`s at once.
fn recording() -> Vec<SessionRequest> {
    let named = |number: usize| DaemonSetFacts {
        name: format!("agent-{number}"),
        uid: format!("{number}-uid"),
        ..daemon_set_facts()
    };
    let old = |set: usize, node: usize| PodFacts {
        uid: format!("{set}-{node}"),
        name: format!("agent-{set}-{node}"),
        daemon_set_uid: format!("{set}-uid"),
        revision: "old".into(),
        ..pod_facts("", &format!("n{node}"))
    };
    let mut first: Vec<_> = (0..20).map(|number| node(&format!("n{number}"))).collect();
    first.extend((0..5).map(|number| Fact::DaemonSetChanged(named(number))));
    first.extend((0..5).flat_map(|set| (0..15).map(move |node| Fact::PodChanged(old(set, node)))));
    let mut requests = vec![request(1, first), request(2, vec![synced(), node("")])];
    requests.push(request(
        3,
        (1..40)
            .step_by(3)
            .map(|id| done(id, ActionOutcome::Failed))
            .collect(),
    ));
    requests.push(request(
        4,
        (0..20)
            .step_by(2)
            .map(|node| {
                Fact::NodeGone(NodeGone {
                    name: format!("n{node}"),
                })
            })
            .collect(),
    ));
    requests.push(request(
        5,
        vec![Fact::DaemonSetGone(DaemonSetGone { uid: "2-uid".into() })],
    ));
    requests.push(request(
        6,
        (20..40).rev().map(|number| node(&format!("n{number}"))).collect(),
    ));
    let failed = |node| {
        Fact::PodChanged(PodFacts {
            phase: PodPhase::Failed.into(),
            ready_since: None,
            ..old(0, node)
        })
    };
    requests.push(request(7, (0..15).map(failed).collect()));
    requests.push(SessionRequest {
        now: Some(at(BEGIN + 60)),
        ..request(8, Vec::new())
    });
    requests
}

fn replay() -> Vec<Vec<u8>> {
    let mut session = Session::default();
    let responses = recording()
        .into_iter()
        .flat_map(|request| session.take(request).unwrap().responses);
    responses.map(|response| response.encode_to_vec()).collect()
}

#[test]
fn recorded_session_replays_byte_for_byte() {
    let recorded = replay();
    assert!(recorded.len() > 20, "{} responses", recorded.len());
    for _ in 0..5 {
        assert!(replay() == recorded, "the same requests gave other responses");
    }
}
