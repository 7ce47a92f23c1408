use everynode_proto::{
    facts::RawStruct,
    planner::v1::{
        RolloutAssumptions, RolloutWarningCode, SimulateRolloutRequest, SimulateRolloutResponse,
        SimulatedEvent, SimulatedOutcome,
    },
};
use serde_json::{Value, json};
use tonic::Code;

use super::*;

fn raw_struct(object: &Value) -> RawStruct {
    object.as_object().unwrap().into()
}

fn daemon_set(update_strategy: &Value, container: &Value) -> Value {
    json!({
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "updateStrategy": update_strategy,
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [container]},
            },
        },
    })
}

fn policy(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["targetRefs"] = json!([{"name": "agent"}]);
    json!({"kind": POLICY, "metadata": {"name": "steps", "namespace": "default"}, "spec": spec})
}

/// Nodes in three zones of equal size.
fn nodes(count: usize) -> Vec<RawStruct> {
    let node = |number: usize| {
        let labels = json!({"zone": (["a", "b", "c"][number % 3])});
        raw_struct(
            &json!({"kind": "Node", "metadata": {"name": format!("node-{number:04}"), "labels": labels}}),
        )
    };
    (0..count).map(node).collect()
}

fn request(spec: &Value, count: usize) -> SimulateRolloutRequest {
    SimulateRolloutRequest {
        daemon_set: Some(raw_struct(&daemon_set(
            &json!({}),
            &json!({"name": "agent", "image": "agent"}),
        ))),
        policies: vec![raw_struct(&policy(spec))],
        nodes: nodes(count),
        ..SimulateRolloutRequest::default()
    }
}

fn answer(request: SimulateRolloutRequest) -> SimulateRolloutResponse {
    simulate_rollout(request, &Work::unbounded()).unwrap()
}

/// The steps, each with its time in seconds, its stage, and the number of nodes of the stage.
fn steps(answer: &SimulateRolloutResponse) -> Vec<(i64, &str, SimulatedEvent, u32)> {
    let steps = answer.steps.iter();
    steps
        .map(|step| {
            (
                step.at.unwrap().seconds,
                step.stage.as_str(),
                step.event(),
                step.nodes,
            )
        })
        .collect()
}

fn codes(answer: &SimulateRolloutResponse) -> Vec<RolloutWarningCode> {
    answer.warnings.iter().map(wire::RolloutWarning::code).collect()
}

#[test]
fn steps_have_the_times_that_termination_readiness_and_soaks_take() {
    use SimulatedEvent::{Completed, Done, Opened, Updated};
    let spec = json!({
        "maxUnavailable": 2,
        "stages": [{"name": "canary", "nodes": 1, "soak": "10m"}, {"name": "half", "nodes": "50%", "soak": "2m"}],
    });
    let answer = answer(request(&spec, 10));
    assert_eq!(answer.outcome(), SimulatedOutcome::Completed);
    assert_eq!(
        steps(&answer),
        [
            (0, "canary", Opened, 1),
            (40, "canary", Updated, 1),
            (640, "canary", Done, 1),
            (640, "half", Opened, 4),
            (720, "half", Updated, 4),
            (840, "half", Done, 4),
            (840, "", Opened, 5),
            (960, "", Completed, 10),
        ]
    );
    assert_eq!(answer.duration.unwrap().seconds, 960);
    assert_eq!(
        (answer.desired, answer.updated, answer.most_unavailable),
        (10, 10, 2)
    );
    assert_eq!(answer.policy, "DaemonSetRolloutPolicy default/steps");
    assert!(codes(&answer).is_empty(), "{:?}", answer.warnings);
}

#[test]
fn domains_are_updated_one_after_the_other_and_each_keeps_its_budget() {
    let spec = json!({
        "maxUnavailable": 4,
        "order": {"topologyKey": "zone", "maxUnavailablePerDomain": 2},
    });
    let answer = answer(request(&spec, 30));
    assert_eq!(answer.topology_key, "zone");
    let domains: Vec<_> = answer
        .domains
        .iter()
        .map(|domain| (domain.name.as_str(), domain.nodes, domain.most_unavailable))
        .collect();
    assert_eq!(domains, [("a", 10, 2), ("b", 10, 2), ("c", 10, 2)]);
    assert!(answer.most_unavailable <= 4);
}

#[test]
fn manual_promotions_come_after_the_assumed_time_and_are_listed() {
    let spec = json!({"stages": [{"name": "canary", "nodes": 1, "promotion": "Manual"}]});
    let mut request = request(&spec, 3);
    request.assumptions = Some(RolloutAssumptions {
        promoted_after: Some(prost_types::Duration {
            seconds: 600,
            nanos: 0,
        }),
        ..RolloutAssumptions::default()
    });
    let answer = answer(request);
    let steps = steps(&answer);
    assert!(
        steps.contains(&(40, "canary", SimulatedEvent::PromotionNeeded, 1)),
        "{steps:?}"
    );
    assert!(
        steps.contains(&(640, "canary", SimulatedEvent::Done, 1)),
        "{steps:?}"
    );
    assert_eq!(answer.outcome(), SimulatedOutcome::Completed);
    assert!(codes(&answer).is_empty(), "{:?}", answer.warnings);
}

#[test]
fn partition_ends_the_simulation_as_it_should() {
    let answer = answer(request(&json!({"partition": "100%"}), 5));
    assert_eq!(
        (answer.outcome(), answer.updated),
        (SimulatedOutcome::Partition, 0)
    );
    let answer = self::answer(request(&json!({"partition": 2}), 5));
    assert_eq!(
        (answer.outcome(), answer.updated),
        (SimulatedOutcome::Partition, 3)
    );
    assert!(codes(&answer).is_empty(), "{:?}", answer.warnings);
}

#[test]
fn failing_nodes_and_a_pause_stop_the_rollout() {
    let canary = json!({"stages": [{"name": "canary", "nodes": "100%", "soak": "5m"}]});
    let mut failing = request(&canary, 3);
    failing.assumptions = Some(RolloutAssumptions {
        failing_nodes: vec!["node-0000".to_owned()],
        ..RolloutAssumptions::default()
    });
    let answer = answer(failing);
    assert_eq!(
        (answer.outcome(), answer.most_unavailable),
        (SimulatedOutcome::Stuck, 1)
    );
    assert!(answer.message.contains("canary"), "{}", answer.message);
    let answer = self::answer(request(&json!({"paused": true}), 3));
    assert_eq!((answer.outcome(), answer.updated), (SimulatedOutcome::Stuck, 0));
    assert!(answer.message.contains("paused"), "{}", answer.message);
}

#[test]
fn policies_that_may_not_be_meant_have_warnings() {
    use RolloutWarningCode::{EmptyStage, ShortSoak, SingleNodeDomain, StagesOverlap, SurgeWithHostPort};
    let all = json!({"nodeSelector": {"matchLabels": {"zone": "a"}}, "name": "a", "soak": "2m"});
    let none = json!({"nodeSelector": {"matchLabels": {"zone": "x"}}, "name": "none", "soak": "2m"});
    let again = json!({"nodeSelector": {"matchLabels": {"zone": "a"}}, "name": "again", "soak": "2m"});
    for (spec, count, expected) in [
        (
            json!({"stages": [{"name": "canary", "nodes": 1}]}),
            9,
            vec![ShortSoak],
        ),
        (
            json!({"stages": [{"name": "canary", "nodes": 1, "soak": "119s"}]}),
            9,
            vec![ShortSoak],
        ),
        (json!({"stages": [all, none]}), 9, vec![EmptyStage]),
        (json!({"stages": [all, again]}), 9, vec![StagesOverlap]),
        (
            json!({"order": {"topologyKey": "zone"}}),
            4,
            vec![SingleNodeDomain],
        ),
    ] {
        let answer = answer(request(&spec, count));
        assert_eq!(codes(&answer), expected, "{spec}");
        assert_eq!(answer.outcome(), SimulatedOutcome::Completed, "{spec}");
    }
    let surge = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    let container = json!({"name": "agent", "ports": [{"containerPort": 80, "hostPort": 80}]});
    let answer = answer(SimulateRolloutRequest {
        daemon_set: Some(raw_struct(&daemon_set(&surge, &container))),
        ..request(&json!({}), 3)
    });
    assert_eq!(codes(&answer), [SurgeWithHostPort]);
    assert_eq!(
        (answer.outcome(), answer.most_unavailable),
        (SimulatedOutcome::Stuck, 0)
    );
}

#[test]
fn policy_must_apply_and_be_valid() {
    let refused = |request| simulate_rollout(request, &Work::unbounded()).unwrap_err();
    let mut elsewhere = policy(&json!({}));
    elsewhere["metadata"]["namespace"] = json!("other");
    let status = refused(SimulateRolloutRequest {
        policies: vec![raw_struct(&elsewhere)],
        ..request(&json!({}), 3)
    });
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("no policy applies"), "{status}");
    let status = refused(request(
        &json!({"stages": [{"name": "canary", "soak": "soon"}]}),
        3,
    ));
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("spec.stages[0].soak"), "{status}");
    let status = refused(SimulateRolloutRequest {
        policies: Vec::new(),
        ..request(&json!({}), 3)
    });
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[test]
fn policy_of_the_cluster_selects_namespaces_by_their_labels() {
    let selecting = |value: &str| SimulateRolloutRequest {
        policies: Vec::new(),
        cluster_policies: vec![raw_struct(&json!({
            "kind": CLUSTER_POLICY,
            "metadata": {"name": "all"},
            "spec": {"namespaceSelector": {"matchLabels": {"team": value}}},
        }))],
        namespaces: vec![raw_struct(&json!({
            "kind": "Namespace", "metadata": {"name": "default", "labels": {"team": "infra"}},
        }))],
        ..request(&json!({}), 3)
    };
    assert_eq!(
        answer(selecting("infra")).policy,
        "ClusterDaemonSetRolloutPolicy all"
    );
    let status = simulate_rollout(selecting("web"), &Work::unbounded()).unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
}

#[test]
fn pods_of_the_request_are_those_of_the_current_template() {
    let pod = |number: usize, is_ready: &str| {
        raw_struct(&json!({
            "kind": "Pod",
            "metadata": {
                "name": format!("agent-{number}"), "uid": format!("uid-{number}"), "namespace": "default",
                "labels": {"app": "agent"}, "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "u", "controller": true,
                }],
            },
            "spec": {"nodeName": format!("node-{number:04}")},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": is_ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            },
        }))
    };
    let answer = answer(SimulateRolloutRequest {
        pods: vec![pod(0, "True"), pod(1, "True"), pod(2, "True")],
        ..request(&json!({"maxUnavailable": 1}), 3)
    });
    assert_eq!(answer.outcome(), SimulatedOutcome::Completed);
    assert_eq!((answer.updated, answer.most_unavailable), (3, 1));
    assert!(
        !answer.notes.iter().any(|note| note.contains("no pods")),
        "{:?}",
        answer.notes
    );
}

#[test]
fn assumptions_must_be_possible() {
    for assumptions in [
        RolloutAssumptions {
            ready_after: Some(prost_types::Duration {
                seconds: -1,
                nanos: 0,
            }),
            ..RolloutAssumptions::default()
        },
        RolloutAssumptions {
            promoted_after: Some(prost_types::Duration {
                seconds: i64::MAX,
                nanos: 0,
            }),
            ..RolloutAssumptions::default()
        },
        RolloutAssumptions {
            failing_nodes: vec!["unknown".to_owned()],
            ..RolloutAssumptions::default()
        },
    ] {
        let request = SimulateRolloutRequest {
            assumptions: Some(assumptions),
            ..request(&json!({}), 3)
        };
        let status = simulate_rollout(request, &Work::unbounded()).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}

#[test]
fn pods_that_are_ready_and_gone_at_once_end_too() {
    let mut request = request(
        &json!({"stages": [{"name": "half", "nodes": "50%", "soak": "2m"}]}),
        50,
    );
    request.assumptions = Some(RolloutAssumptions {
        ready_after: Some(prost_types::Duration::default()),
        terminated_after: Some(prost_types::Duration::default()),
        ..RolloutAssumptions::default()
    });
    let answer = answer(request);
    assert_eq!(answer.outcome(), SimulatedOutcome::Completed);
    assert_eq!(answer.duration.unwrap().seconds, 120);
}

#[test]
fn four_stages_on_5000_nodes_complete_within_their_budgets() {
    let spec = json!({
        "maxUnavailable": "2%",
        "stages": [
            {"name": "canary", "nodes": 5, "topologyKey": "zone", "soak": "30m"},
            {"name": "tenth", "nodes": "10%", "soak": "1h"},
            {"name": "half", "nodes": "50%", "soak": "1h", "promotion": "Manual"},
            {"name": "most", "nodes": "90%", "soak": "1h"},
        ],
        "order": {"topologyKey": "zone", "maxUnavailablePerDomain": "5%"},
    });
    let answer = answer(request(&spec, 5_000));
    assert_eq!(
        (answer.outcome(), answer.updated),
        (SimulatedOutcome::Completed, 5_000)
    );
    assert!(answer.most_unavailable <= 100, "{}", answer.most_unavailable);
    for domain in &answer.domains {
        assert!(domain.most_unavailable <= 84, "{domain:?}");
    }
    let updated_after = |stage: &str| {
        let done = answer.steps.iter();
        let mut done = done.filter(|step| step.stage == stage && step.event() == SimulatedEvent::Done);
        done.next().map(|step| step.updated)
    };
    assert_eq!(
        ["canary", "tenth", "half", "most"].map(updated_after),
        [5, 500, 2_500, 4_500].map(Some)
    );
}
