//! Valid inputs, from which others are made by mutation.

pub(crate) mod rollouts;

use everynode_proto::facts::RawStruct;
use everynode_proto::planner::v1::{
    Action, CreatePod, DaemonSetCondition, DaemonSetStatus, DeletePod, Plan, PodAvailability, Problem,
    SessionResponse, SyncAccepted, Toleration, Welcome, action::Action as Kind,
    session_response::Message as ResponseMessage,
};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::{Duration, Timestamp};
use serde_json::{Value, json};

fn node() -> Value {
    json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {"name": "n1", "uid": "u1", "resourceVersion": "7", "labels": {"disk": "ssd", "zone": "a"}},
        "spec": {"taints": [{"key": "reserved", "value": "x", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "8", "pods": "110"}, "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:05:00Z"},
            {"type": "DrainInProgress", "status": "True"},
        ]},
    })
}

fn pod() -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "namespace": "default", "name": "agent-1", "uid": "p1", "resourceVersion": "7",
            "creationTimestamp": "2026-01-02T03:05:00Z", "deletionTimestamp": "2026-01-02T03:05:00.123456Z",
            "labels": {"controller-revision-hash": "r1", "pod-template-generation": "1"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "d1", "controller": true},
            ],
        },
        "spec": {"nodeName": "", "affinity": affinity()},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:05:00Z"},
        ]},
    })
}

fn affinity() -> Value {
    let named = json!([{"key": "metadata.name", "operator": "In", "values": ["n1"]}]);
    let newer = json!([{"key": "version", "operator": "Gt", "values": ["9223372036854775807"]}]);
    let terms = json!([{"matchFields": named}, {"matchExpressions": newer}]);
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
}

fn daemon_set(strategy: &Value) -> Value {
    json!({
        "kind": "DaemonSet", "apiVersion": "apps/v1",
        "metadata": {
            "namespace": "default", "name": "agent", "uid": "d1", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-02T03:00:00Z",
            "annotations": {"deprecated.daemonset.template.generation": "2"},
        },
        "spec": {
            "minReadySeconds": 30, "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": "agent"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]},
            "template": {
                "metadata": {"labels": {"app": "agent"}, "annotations": {"a": "<&>"}},
                "spec": {
                    "nodeSelector": {"disk": "ssd"}, "affinity": affinity(), "hostNetwork": true,
                    "tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 9_007_199_254_740_993_u64}],
                    "containers": [{"name": "main", "image": "agent:1", "ports": [{"hostPort": 9100}]}],
                },
            },
            "updateStrategy": strategy,
        },
        "status": {"observedGeneration": 1, "desiredNumberScheduled": 1, "collisionCount": 1},
    })
}

fn daemon_sets() -> Vec<Value> {
    let budgets = json!({"maxUnavailable": "50%", "maxSurge": 2});
    [
        json!({"type": "RollingUpdate", "rollingUpdate": budgets}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "2147483647%", "maxUnavailable": 0}}),
        json!({"type": "OnDelete"}),
    ]
    .iter()
    .map(daemon_set)
    .collect()
}

fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "9", "continue": "x"}, "items": items})
}

/// `DaemonSet`s, nodes and pods in the form that requests carry.
pub(crate) fn requests() -> (Vec<RawStruct>, Vec<RawStruct>, Vec<RawStruct>) {
    let nodes = [
        list(&[node(), json!({"metadata": {"name": "n2"}}), json!({})]),
        node(),
    ];
    let pods = [list(&[pod(), json!(null)]), pod()];
    (
        raw_structs(&daemon_sets()),
        raw_structs(&nodes),
        raw_structs(&pods),
    )
}

fn raw_structs(objects: &[Value]) -> Vec<RawStruct> {
    let raw_struct = |object: &Value| RawStruct::from(object.as_object().unwrap());
    objects.iter().map(raw_struct).collect()
}

/// Writes a message in Kubernetes' protobuf encoding.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn bytes(mut self, number: u32, bytes: &[u8]) -> Self {
        encode_key(number, WireType::LengthDelimited, &mut self.0);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend(bytes);
        self
    }

    fn text(self, number: u32, text: &str) -> Self {
        self.bytes(number, text.as_bytes())
    }

    #[expect(clippy::needless_pass_by_value, reason = "each message is embedded only once")]
    fn message(self, number: u32, message: Self) -> Self {
        self.bytes(number, &message.0)
    }

    fn number(mut self, number: u32, value: u64) -> Self {
        encode_key(number, WireType::Varint, &mut self.0);
        encode_varint(value, &mut self.0);
        self
    }
}

fn message() -> Writer {
    Writer::default()
}

fn time() -> Writer {
    message().number(1, 1_767_225_600).number(2, 5)
}

fn meta() -> Writer {
    let owner = message()
        .text(1, "DaemonSet")
        .text(3, "agent")
        .text(4, "d1")
        .text(5, "apps/v1")
        .number(6, 1);
    message()
        .text(1, "agent-1")
        .text(3, "default")
        .text(5, "p1")
        .text(6, "7")
        .number(7, 2)
        .message(8, time())
        .message(9, time())
        .message(11, message().text(1, "controller-revision-hash").text(2, "r1"))
        .message(12, message().text(1, "k8s.io/initial-events-end").text(2, "true"))
        .message(13, owner)
}

/// Nodes, pods and the messages that contain them, in Kubernetes' protobuf encoding, both wrapped and unwrapped.
pub(crate) fn protobuf() -> Vec<Vec<u8>> {
    let taint = message().text(1, "reserved").text(2, "x").text(3, "NoSchedule");
    let node = message()
        .message(1, meta())
        .message(2, message().message(5, taint))
        .0;
    let requirement = message().text(1, "metadata.name").text(2, "In").text(3, "n1");
    let term = message().message(1, message().message(2, requirement));
    let affinity = message().message(1, message().message(1, term));
    let ready = message().text(1, "Ready").text(2, "True").message(4, time());
    let status = message().text(1, "Running").message(2, ready);
    let spec = message().text(10, "n1").message(18, affinity);
    let pod = message().message(1, meta()).message(2, spec).message(3, status).0;
    let cause = message()
        .text(1, "FieldValueInvalid")
        .text(2, "odd")
        .text(3, "spec");
    let details = message().text(1, "a").message(4, cause).number(5, 0x7FFF_FFFF);
    let refusal = message()
        .text(2, "Failure")
        .text(3, "no")
        .text(4, "Invalid")
        .message(5, details)
        .number(6, 422)
        .0;
    let wrapped = |object: &[u8]| [b"k8s\0", message().bytes(2, object).0.as_slice()].concat();
    let event = |kind: &str, object: &[u8]| {
        message()
            .text(1, kind)
            .message(2, message().bytes(1, &wrapped(object)))
            .0
    };
    let page = message()
        .message(1, message().text(2, "9").text(3, "x"))
        .bytes(2, &node)
        .bytes(2, &pod)
        .0;
    let mut all = vec![
        event("ADDED", &node),
        event("DELETED", &pod),
        event("BOOKMARK", &pod),
        event("ERROR", &refusal),
    ];
    all.extend([&node, &pod, &refusal, &page].map(|object| wrapped(object)));
    all.extend([node, pod, refusal, page]);
    all
}

/// Answers of an API server, in both encodings.
pub(crate) fn answers() -> Vec<Vec<u8>> {
    let revision = json!({
        "kind": "ControllerRevision", "apiVersion": "apps/v1", "metadata": node()["metadata"], "revision": 2,
        "data": {"spec": {"template": daemon_set(&Value::Null)["spec"]["template"]}},
    });
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409, "reason": "Conflict", "message": "no",
        "details": {"name": "a", "retryAfterSeconds": 5, "causes": [{"reason": "a", "message": "b", "field": "c"}]},
    });
    let mut objects = daemon_sets();
    objects.extend([node(), pod(), revision]);
    objects.extend(rollouts::objects());
    let mut all = vec![
        status.clone(),
        json!({"type": "ERROR", "object": status}),
        json!({"type": "BOOKMARK", "object": node()}),
        list(&objects),
    ];
    all.extend(
        objects
            .iter()
            .map(|object| json!({"type": "MODIFIED", "object": object})),
    );
    all.extend(objects);
    let mut all: Vec<_> = all.iter().map(|answer| answer.to_string().into_bytes()).collect();
    all.extend(protobuf());
    all
}

/// Tolerations that a planner adds.
pub(crate) fn tolerations() -> Vec<Toleration> {
    let operator = "Exists".to_owned();
    vec![Toleration {
        key: "a".to_owned(),
        operator,
        ..Toleration::default()
    }]
}

/// Responses of a planner.
pub(crate) fn responses() -> Vec<Vec<u8>> {
    let create = CreatePod {
        node: "n1".to_owned(),
        revision: "r1".to_owned(),
        succeeds_uid: "p0".to_owned(),
    };
    let delete = DeletePod {
        pod: "agent-1".to_owned(),
        uid: "p1".to_owned(),
        reason: 1,
        node: "n1".to_owned(),
    };
    let actions = [Kind::Create(create), Kind::Delete(delete)].into_iter().zip(1..);
    let problem = Problem {
        code: 1,
        object: "daemonset default/agent".to_owned(),
        ..Problem::default()
    };
    let condition = DaemonSetCondition {
        r#type: "Available".to_owned(),
        status: true,
        reason: "MinimumReplicasAvailable".to_owned(),
        message: "1 of 1 node has an available pod".to_owned(),
    };
    let availability = PodAvailability {
        uid: "p1".to_owned(),
        available_at: Some(Timestamp {
            seconds: 1_000_030,
            nanos: 0,
        }),
    };
    let plan = Plan {
        id: 1,
        daemon_set: "default/agent".to_owned(),
        daemon_set_uid: "d1".to_owned(),
        based_on: 2,
        actions: actions
            .map(|(action, id)| Action {
                id,
                action: Some(action),
            })
            .collect(),
        status: Some(DaemonSetStatus {
            observed_generation: 2,
            number_ready: 1,
            ..DaemonSetStatus::default()
        }),
        problems: vec![problem.clone()],
        reconsider_after: Some(Duration {
            seconds: 30,
            nanos: 1_000_000,
        }),
        added_tolerations: tolerations(),
        conditions: vec![condition],
        progress: 2,
        progress_message: "0 of 1 pod is of the current template, 1 available".to_owned(),
        pod_availability: vec![availability],
        rollout: Some(rollouts::report()),
        current_added_tolerations: tolerations(),
    };
    let welcome = Welcome {
        max_facts_per_request: 1_000,
        ..Welcome::default()
    };
    let accepted = SyncAccepted { sequence: 7 };
    [
        ResponseMessage::Plan(plan),
        ResponseMessage::Problem(problem),
        ResponseMessage::Welcome(welcome),
        ResponseMessage::SyncAccepted(accepted),
        ResponseMessage::RolloutPolicyStatus(rollouts::policy_status()),
    ]
    .map(|message| {
        SessionResponse {
            message: Some(message),
        }
        .encode_to_vec()
    })
    .to_vec()
}
