//! Where `Explain` says nodes are in the rollouts of `DaemonSet`s.

use everynode_proto::planner::v1::{
    DaemonSetStatus, ExplainRequest, ExplainResponse, KnownRollout, NodeRollout, NodeRolloutReason as Reason,
    PodFacts, PodPhase, RolloutFacts, RolloutMemory, RolloutPolicyFacts, RolloutPolicyKnowledge,
    RolloutPolicySpec, RolloutReport, RolloutStage, RolloutState, StageMemory,
};
use everynode_serving::serve::Work;
use prost_types::{Duration, Timestamp};
use serde_json::{Value, json};
use tonic::Code;

use super::{
    super::explain,
    objects::{daemon_set, fields, node, raw_structs},
};

fn policy(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["targetRefs"] = json!([{"name": "agent"}]);
    json!({"kind": "DaemonSetRolloutPolicy", "metadata": {"name": "steps", "namespace": "sys"}, "spec": spec})
}

fn request(spec: &Value, nodes: &[Value]) -> ExplainRequest {
    ExplainRequest {
        daemon_sets: raw_structs(&[daemon_set("agent", &json!({}))]),
        nodes: raw_structs(nodes),
        policies: raw_structs(&[policy(spec)]),
        ..ExplainRequest::default()
    }
}

fn answer(request: ExplainRequest) -> ExplainResponse {
    explain(request, &Work::unbounded()).unwrap()
}

/// The stage and the reason of each node.
fn positions(answer: &ExplainResponse) -> Vec<(String, u32, Reason)> {
    let of = |rollout: &NodeRollout| (rollout.stage.clone(), rollout.stage_number, rollout.reason());
    let verdicts = answer.verdicts.iter();
    verdicts
        .map(|verdict| of(verdict.rollout.as_ref().unwrap()))
        .collect()
}

fn canary_and_rest() -> Value {
    json!({"stages": [
        {"name": "canary", "nodeSelector": {"matchLabels": {"pool": "canary"}}, "soak": "10m"},
        {"name": "most", "nodeSelector": {"matchLabels": {"pool": "most"}}, "soak": "10m"},
    ]})
}

fn nodes() -> Vec<Value> {
    [("a", "canary"), ("b", "most"), ("c", "other")]
        .map(|(name, pool)| node(name, &json!({"pool": pool}), &json!([])))
        .into()
}

#[test]
fn stages_of_a_rollout_that_begins_are_named() {
    let answer = answer(request(&canary_and_rest(), &nodes()));
    assert!(answer.problems.is_empty(), "{:?}", answer.problems);
    assert_eq!(
        positions(&answer),
        [
            ("canary".to_owned(), 1, Reason::Next),
            ("most".to_owned(), 2, Reason::EarlierStage),
            (String::new(), 3, Reason::EarlierStage),
        ]
    );
    let rollout = answer.verdicts[1].rollout.as_ref().unwrap();
    assert_eq!(rollout.policy, "DaemonSetRolloutPolicy sys/steps");
    assert_eq!(rollout.stages, 3);
    assert!(
        rollout
            .message
            .starts_with("in stage most (2 of 3) of rollout 1, which opens when stage canary is done"),
        "{}",
        rollout.message
    );
}

#[test]
fn held_nodes_and_a_paused_policy_say_so() {
    let mut all = nodes();
    all[0]["metadata"]["labels"]["hold.everynode.io/sys.agent"] = json!("");
    let answer = answer(request(&canary_and_rest(), &all));
    let rollout = answer.verdicts[0].rollout.as_ref().unwrap();
    assert_eq!(rollout.reason(), Reason::Held);
    assert!(
        rollout.message.contains("hold.everynode.io/sys.agent"),
        "{}",
        rollout.message
    );

    let mut paused = canary_and_rest();
    paused["paused"] = json!(true);
    let answer = self::answer(request(&paused, &nodes()));
    let rollout = answer.verdicts[2].rollout.as_ref().unwrap();
    // The rollout doesn't even begin while it is paused.
    assert!(
        matches!(rollout.reason(), Reason::Paused | Reason::NotRecorded),
        "{rollout:?}"
    );
}

#[test]
fn without_a_policy_for_the_daemon_set_there_is_no_rollout() {
    let mut other = request(&canary_and_rest(), &nodes());
    other.daemon_sets = raw_structs(&[daemon_set("other", &json!({}))]);
    let answer = answer(other);
    assert!(answer.verdicts.iter().all(|verdict| verdict.rollout.is_none()));
}

#[test]
fn policies_that_cannot_be_read_are_problems() {
    let spec = json!({"stages": [{"name": "a"}, {"name": "a"}], "pausd": true});
    let answer = answer(request(&spec, &nodes()));
    assert_eq!(
        fields(&answer.problems),
        [
            ("daemonsetrolloutpolicy sys/steps", "spec.pausd"),
            ("daemonsetrolloutpolicy sys/steps", "spec.stages[1].name"),
        ]
    );
    assert_eq!(answer.verdicts.len(), 3);
}

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

/// A rollout that an executor knows: the canary is soaking.
fn known() -> KnownRollout {
    let stage = RolloutStage {
        name: "canary".to_owned(),
        soak: Some(Duration {
            seconds: 600,
            nanos: 0,
        }),
        ..RolloutStage::default()
    };
    let canary = RolloutStage {
        nodes: Some(everynode_proto::planner::v1::IntOrPercent {
            value: Some(everynode_proto::planner::v1::int_or_percent::Value::Count(1)),
        }),
        ..stage
    };
    let memory = RolloutMemory {
        rollout: 7,
        daemon_set_uid: "uid".to_owned(),
        current_revision: "old".to_owned(),
        update_revision: "new".to_owned(),
        started_at: Some(at(1_000)),
        state: RolloutState::Progressing.into(),
        stages: vec![StageMemory {
            name: "canary".to_owned(),
            opened_at: Some(at(1_000)),
            updated_at: Some(at(1_100)),
            nodes: vec!["a".to_owned()],
            ..StageMemory::default()
        }],
        ..RolloutMemory::default()
    };
    KnownRollout {
        daemon_set: "sys/agent".to_owned(),
        knowledge: RolloutPolicyKnowledge::Known.into(),
        policy: Some(RolloutPolicyFacts {
            uid: "policy".to_owned(),
            namespace: "sys".to_owned(),
            name: "steps".to_owned(),
            target_names: vec!["agent".to_owned()],
            spec: Some(RolloutPolicySpec {
                stages: vec![canary],
                ..RolloutPolicySpec::default()
            }),
            ..RolloutPolicyFacts::default()
        }),
        rollout: Some(RolloutFacts {
            daemon_set_uid: "uid".to_owned(),
            memory: Some(memory),
            ..RolloutFacts::default()
        }),
        report: Some(RolloutReport {
            desired: 100,
            ..RolloutReport::default()
        }),
        status: Some(DaemonSetStatus {
            number_unavailable: 1,
            ..DaemonSetStatus::default()
        }),
        update_revision: "new".to_owned(),
        pods: vec![PodFacts {
            uid: "pod".to_owned(),
            name: "agent-b".to_owned(),
            node: "b".to_owned(),
            daemon_set_uid: "uid".to_owned(),
            bound: true,
            phase: PodPhase::Running.into(),
            revision: "old".to_owned(),
            created: Some(at(1)),
            ready_since: Some(at(2)),
            ..PodFacts::default()
        }],
    }
}

fn known_request(known: KnownRollout) -> ExplainRequest {
    let mut object = daemon_set("agent", &json!({}));
    object["metadata"]["uid"] = json!("uid");
    ExplainRequest {
        daemon_sets: raw_structs(&[object]),
        nodes: raw_structs(&[node("b", &json!({}), &json!([]))]),
        known_rollouts: vec![known],
        now: Some(at(1_220)),
        ..ExplainRequest::default()
    }
}

#[test]
fn known_rollout_needs_only_the_node_that_is_asked_for() {
    let answer = answer(known_request(known()));
    let rollout = answer.verdicts[0].rollout.clone().unwrap();
    assert_eq!(rollout.reason(), Reason::EarlierStage);
    assert_eq!((rollout.rollout, rollout.target_revision.as_str()), (7, "old"));
    assert_eq!(
        rollout.message,
        "in the last stage (2 of 2) of rollout 7, which opens when stage canary is done; canary soaks until 00:28 UTC \
         (8 min left)"
    );
}

#[test]
fn full_budget_and_unknown_policies_of_a_known_rollout_are_named() {
    let done = |mut known: KnownRollout| {
        let memory = known.rollout.as_mut().unwrap().memory.as_mut().unwrap();
        memory.stages[0].done_at = Some(at(1_200));
        memory.stages.push(StageMemory {
            opened_at: Some(at(1_200)),
            ..StageMemory::default()
        });
        known
    };
    let answer = answer(known_request(done(known())));
    let rollout = answer.verdicts[0].rollout.clone().unwrap();
    assert_eq!(rollout.reason(), Reason::Budget);
    assert!(
        rollout.message.ends_with("1 of 1 nodes are unavailable"),
        "{}",
        rollout.message
    );

    let unknown = KnownRollout {
        knowledge: RolloutPolicyKnowledge::Unknown.into(),
        policy: None,
        ..done(known())
    };
    let answer = self::answer(known_request(unknown));
    assert_eq!(
        answer.verdicts[0].rollout.as_ref().unwrap().reason(),
        Reason::PoliciesUnknown
    );
}

#[test]
fn known_rollout_that_cannot_be_read_is_refused() {
    let mut broken = known();
    broken.pods[0].uid.clear();
    let refused = explain(known_request(broken), &Work::unbounded()).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("known_rollouts"),
        "{}",
        refused.message()
    );
}
