use everynode_proto::{
    executor::v1::{Pod, WatchPlansResponse, watch_plans_response::Event},
    planner::v1::{
        Action, CreatePod, DaemonSetStatus, FailedRequirement, NodeTemplate, NodeVerdict, Plan, PlanResponse,
        Reason, ReasonCode, Verdict, action, reason,
    },
};
use prost_types::{Duration, Timestamp};

use super::*;

fn answer() -> PlanResponse {
    let requirement = FailedRequirement {
        key: "disk".to_owned(),
        operator: "In".to_owned(),
        values: vec!["ssd".to_owned()],
        // The field is set, but empty.
        actual: Some(String::new()),
        ..FailedRequirement::default()
    };
    PlanResponse {
        actions: vec![Action {
            id: 0,
            action: Some(action::Action::Create(CreatePod {
                node: "worker-1".to_owned(),
                ..CreatePod::default()
            })),
        }],
        status: Some(DaemonSetStatus {
            observed_generation: 9_007_199_254_740_993,
            desired_number_scheduled: 1,
            ..DaemonSetStatus::default()
        }),
        verdicts: vec![NodeVerdict {
            node: "worker-1".to_owned(),
            verdict: Verdict::Run.into(),
            reasons: vec![Reason {
                code: ReasonCode::NodeSelector.into(),
                message: "yes".to_owned(),
                condition: String::new(),
                detail: Some(reason::Detail::Requirement(requirement)),
            }],
            ..NodeVerdict::default()
        }],
        reconsider_after: Some(Duration {
            seconds: 1,
            nanos: 500_000_000,
        }),
        ..PlanResponse::default()
    }
}

#[test]
fn json_is_protobufs_mapping_as_grpcurl_prints_it() {
    assert_eq!(
        json(&answer()).unwrap(),
        r#"{
  "actions": [
    {
      "create": {
        "node": "worker-1"
      }
    }
  ],
  "status": {
    "observedGeneration": "9007199254740993",
    "desiredNumberScheduled": 1
  },
  "verdicts": [
    {
      "node": "worker-1",
      "verdict": "VERDICT_RUN",
      "reasons": [
        {
          "code": "REASON_CODE_NODE_SELECTOR",
          "message": "yes",
          "requirement": {
            "key": "disk",
            "operator": "In",
            "values": [
              "ssd"
            ],
            "actual": ""
          }
        }
      ]
    }
  ],
  "reconsiderAfter": "1.500s"
}
"#
    );
}

#[test]
fn yaml_has_the_same_content_as_json() {
    let text = yaml(&answer()).unwrap();
    let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let wanted: serde_json::Value = serde_json::from_str(&json(&answer()).unwrap()).unwrap();
    assert_eq!(read, wanted);
    assert!(text.contains("desiredNumberScheduled: 1\n"), "{text}");
}

#[test]
fn text_that_looks_like_other_yaml_stays_text() {
    for odd in [
        "true",
        "1e3",
        "null",
        "",
        "a: b",
        "- x",
        "#",
        "two\nlines\n",
        "no",
        "0x1F",
        " ",
    ] {
        let pod = Pod {
            name: odd.to_owned(),
            phase: format!(
                "{odd} and more than a hundred and twenty characters, of which a folding writer would make several lines where there is one"
            ),
            ..Pod::default()
        };
        let text = yaml(&pod).unwrap();
        let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let wanted: serde_json::Value = serde_json::from_str(&json(&pod).unwrap()).unwrap();
        assert_eq!(read, wanted, "{text}");
    }
}

#[test]
fn maps_are_sorted_and_an_empty_message_is_an_empty_object() {
    let labels = ["c", "a", "d", "b", "e"].map(|key| (key.to_owned(), "x".to_owned()));
    let template = NodeTemplate {
        labels: labels.into(),
        ..NodeTemplate::default()
    };
    assert_eq!(
        json_line(&template).unwrap(),
        "{\"labels\":{\"a\":\"x\",\"b\":\"x\",\"c\":\"x\",\"d\":\"x\",\"e\":\"x\"}}\n"
    );
    assert_eq!(json(&NodeTemplate::default()).unwrap(), "{}\n");
}

#[test]
fn messages_of_the_executor_are_printed_with_their_times() {
    let event = WatchPlansResponse {
        time: Some(Timestamp {
            seconds: 1_700_000_000,
            nanos: 5_000_000,
        }),
        event: Some(Event::Plan(Plan {
            id: 7,
            ..Plan::default()
        })),
    };
    assert_eq!(
        json_line(&event).unwrap(),
        "{\"time\":\"2023-11-14T22:13:20.005Z\",\"plan\":{\"id\":\"7\"}}\n"
    );
}

#[test]
fn enum_value_of_a_newer_service_stays_a_number() {
    let verdict = NodeVerdict {
        verdict: 99,
        ..NodeVerdict::default()
    };
    assert_eq!(json_line(&verdict).unwrap(), "{\"verdict\":99}\n");
}
