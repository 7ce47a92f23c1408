//! Tests of `Plan`.

use everynode_proto::planner::v1::{
    Action, DaemonSetStatus, PlanRequest, PlanResponse, ProblemCode, Verdict, action,
};
use prost_types::{Duration, Timestamp};
use serde_json::{Value, json};

use super::{
    Server,
    explain::verdicts,
    objects::{daemon_set, list, node, pod, raw_struct},
    soon,
};

pub(crate) fn plan_request(daemon_set: &Value, nodes: &[Value], pods: &[Value]) -> PlanRequest {
    PlanRequest {
        daemon_set: Some(raw_struct(daemon_set)),
        nodes: nodes.iter().map(raw_struct).collect(),
        pods: pods.iter().map(raw_struct).collect(),
        ..PlanRequest::default()
    }
}

async fn plan(request: PlanRequest) -> PlanResponse {
    let server = Server::start().await;
    let mut client = server.client().await;
    soon(client.plan(request)).await.unwrap().into_inner()
}

fn brief(actions: &[Action]) -> Vec<String> {
    let text = |action: &Action| match action.action.as_ref().unwrap() {
        action::Action::Create(create) => format!("create {} after {:?}", create.node, create.succeeds_uid),
        action::Action::Delete(delete) => format!("delete {}: {}", delete.pod, delete.reason().as_str_name()),
    };
    actions.iter().map(text).collect()
}

#[tokio::test]
async fn plan_decides_from_what_kubectl_prints() {
    let cordoned = json!([{"effect": "NoSchedule", "key": "node.kubernetes.io/unschedulable", "timeAdded": "2026-01-02T03:04:05Z"}]);
    let reserved = json!([{"effect": "NoExecute", "key": "reserved", "value": "gpu"}]);
    let nodes = list([
        node("d", &reserved),
        node("c", &cordoned),
        node("b", &Value::Null),
        node("a", &json!([])),
    ]);
    let pods = list([
        pod("agent", "agent-b", "b", "1", "2026-01-02T03:06:00Z"),
        pod("agent", "agent-c", "c", "2", "2026-01-02T04:00:00Z"),
        pod("agent", "agent-d", "d", "1", "2026-01-02T03:06:00Z"),
        pod("other", "other-a", "a", "1", "2026-01-02T03:06:00Z"),
    ]);
    let response = plan(plan_request(&daemon_set("agent"), &[nodes], &[pods])).await;
    assert_eq!(response.problems, []);
    // Half of three nodes, rounded up, may be unavailable, which is two. Two are unavailable, so the budget is spent:
    // node a has no pod, and the pod on node c became ready only at the latest time in the objects, which is the time
    // of the plan.
    let expected = ["create a after \"\"", "delete agent-d: DELETE_REASON_EXCLUDED"];
    assert_eq!(brief(&response.actions), expected);
    assert!(response.actions.iter().all(|action| action.id == 0));
    let status = DaemonSetStatus {
        observed_generation: 2,
        desired_number_scheduled: 3,
        current_number_scheduled: 2,
        number_misscheduled: 1,
        number_ready: 2,
        updated_number_scheduled: 1,
        number_available: 1,
        number_unavailable: 2,
    };
    assert_eq!(response.status, Some(status));
    assert_eq!(
        response.reconsider_after,
        Some(Duration {
            seconds: 30,
            nanos: 0
        })
    );
    assert_eq!(
        verdicts(&response.verdicts),
        [
            ("monitoring/agent", "a", Verdict::Run),
            ("monitoring/agent", "b", Verdict::Run),
            ("monitoring/agent", "c", Verdict::Run),
            ("monitoring/agent", "d", Verdict::Exclude),
        ]
    );
}

#[tokio::test]
async fn plan_takes_the_time_and_the_revision_of_the_request() {
    let nodes = [node("a", &json!([])), node("b", &json!([]))];
    let pods = [
        pod("agent", "agent-a", "a", "2", "2026-01-02T04:00:00Z"),
        pod("agent", "agent-b", "b", "1", "2026-01-02T03:06:00Z"),
    ];
    let mut request = plan_request(&daemon_set("agent"), &nodes, &pods);
    request.now = Some(Timestamp {
        seconds: 1_767_326_400 + 60,
        nanos: 0,
    });
    let response = plan(request.clone()).await;
    assert_eq!(brief(&response.actions), ["delete agent-b: DELETE_REASON_UPDATE"]);
    assert_eq!(
        (
            response.status.unwrap().number_available,
            response.reconsider_after
        ),
        (2, None)
    );

    request.daemon_set = Some(raw_struct(&{
        let mut bare = daemon_set("agent");
        bare["metadata"]["annotations"] = Value::Null;
        bare
    }));
    let response = plan(request.clone()).await;
    assert_eq!(brief(&response.actions), Vec::<String>::new());
    assert_eq!(
        response.problems[0].code(),
        ProblemCode::UnknownRevision,
        "all pods count as current"
    );
    request.update_revision = Some("hash-1".to_owned());
    let response = plan(request).await;
    assert_eq!(brief(&response.actions), ["delete agent-a: DELETE_REASON_UPDATE"]);
}

#[tokio::test]
async fn plan_counts_only_pods_whose_controller_reference_names_the_daemon_set() {
    let fake = |path: &str, value: &str| {
        let mut pod = pod("agent", "fake", "a", "2", "2026-01-02T03:06:00Z");
        *pod["metadata"].pointer_mut(path).unwrap() = json!(value);
        pod
    };
    let set = daemon_set("agent");
    for (path, value) in [
        ("/namespace", "tenant"),
        ("/ownerReferences/0/name", "other"),
        ("/ownerReferences/0/kind", "ReplicaSet"),
        ("/ownerReferences/0/uid", "other"),
    ] {
        let request = plan_request(&set, &[node("a", &json!([]))], &[fake(path, value)]);
        let response = plan(request).await;
        assert_eq!(
            brief(&response.actions),
            ["create a after \"\""],
            "{path}: {value}"
        );
        assert_eq!(
            response.status.unwrap().current_number_scheduled,
            0,
            "{path}: {value}"
        );
    }
    for version in ["apps/v1beta2", "extensions/v1beta1"] {
        let pods = [fake("/ownerReferences/0/apiVersion", version)];
        let response = plan(plan_request(&set, &[node("a", &json!([]))], &pods)).await;
        assert_eq!(brief(&response.actions), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test]
async fn plan_reports_malformed_objects() {
    let mut odd_pod = pod("agent", "agent-a", "a", "2", "2026-01-02T03:06:00Z");
    odd_pod["status"]["conditions"] = json!("ready");
    let mut nameless = pod("agent", "agent-b", "a", "2", "2026-01-02T03:06:00Z");
    nameless["metadata"]["uid"] = json!("");
    let mut odd_node = node("z", &json!([]));
    odd_node["spec"]["taints"] = json!([{"key": "a", "effect": "NoSchedule"}, {"key": 7}]);
    let nodes = [
        node("a", &json!([])),
        odd_node,
        node("", &json!([])),
        json!({"kind": "Service"}),
    ];
    let mut set = daemon_set("agent");
    set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = json!("some");
    let response = plan(plan_request(&set, &nodes, &[odd_pod, nameless])).await;
    let mut found: Vec<_> = response
        .problems
        .iter()
        .map(|problem| (problem.object.as_str(), problem.field.as_str()))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (
                "daemonset monitoring/agent",
                "spec.updateStrategy.rollingUpdate.maxUnavailable"
            ),
            ("node z", "spec.taints[1].key"),
            ("pod monitoring/agent-a", "status.conditions"),
            ("pod monitoring/agent-b", "metadata.uid"),
            ("the 3rd Node", "metadata.name"),
            ("the 4th Node", "kind"),
        ]
    );
    assert_eq!(brief(&response.actions), ["create a after \"\""]);
}

#[tokio::test]
async fn a4_daemon_set_that_is_being_deleted_gets_no_plan() {
    let mut deleted = daemon_set("agent");
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-02T05:00:00Z");
    let response = plan(plan_request(&deleted, &[node("a", &json!([]))], &[])).await;
    assert_eq!(
        (response.actions.len(), response.status, response.verdicts.len()),
        (0, None, 1)
    );
}

#[tokio::test]
async fn p6_daemon_set_that_selects_everything_gets_no_plan() {
    let mut all = daemon_set("agent");
    all["spec"]["selector"] = json!({});
    let response = plan(plan_request(&all, &[node("a", &json!([]))], &[])).await;
    assert_eq!((response.actions.len(), response.status), (0, None));
    assert_eq!(response.problems[0].code(), ProblemCode::SelectsEverything);
    assert_eq!(response.verdicts[0].verdict(), Verdict::Exclude);
}

#[tokio::test]
async fn malformed_objects_without_a_name_are_named_by_position_in_input_order() {
    const COUNT: usize = 2_000;
    let broken = |index: usize| matches!(index, 0 | 255 | 256 | 1_999);
    let nodes = (0..COUNT).map(|index| {
        let mut node = node(&format!("node-{index:04}"), &json!([]));
        if broken(index) {
            node["metadata"]["labels"] = json!("none");
            node["metadata"]["name"] = json!("");
        }
        node
    });
    let pods = (0..COUNT).map(|index| {
        let node = format!("node-{index:04}");
        let mut pod = pod(
            "agent",
            &format!("agent-{index:04}"),
            &node,
            "1",
            "2026-01-02T03:06:00Z",
        );
        if broken(index) {
            pod["metadata"]["labels"] = json!("none");
        }
        pod
    });
    let (nodes, pods) = (list(nodes), list(pods));
    let response = plan(plan_request(&daemon_set("agent"), &[nodes], &[pods])).await;
    let objects: Vec<_> = response
        .problems
        .iter()
        .map(|problem| problem.object.as_str())
        .collect();
    assert_eq!(
        objects,
        [
            "the 1st Node",
            "the 256th Node",
            "the 257th Node",
            "the 2000th Node",
            "pod monitoring/agent-0000",
            "pod monitoring/agent-0255",
            "pod monitoring/agent-0256",
            "pod monitoring/agent-1999",
        ]
    );
    assert_eq!(response.verdicts.len(), COUNT - 4);
}
