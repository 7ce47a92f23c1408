//! Tests that newer and older peers are understood, with the bytes that they send.

use everynode_proto::{
    planner::v1::{
        ActionDone, DaemonSetFacts, ExplainRequest, ExplainResponse, Fact as Facts, Hello, IntOrPercent,
        NodeFacts, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Plan, PlanRequest, PlanResponse,
        PodFacts, PodTemplateFacts, ProblemCode, SessionRequest, SessionResponse, SyncComplete, Taint,
        Toleration, UpdateStrategy, Verdict,
        action::Action,
        fact::Fact,
        session_response::Message as SessionMessage,
        update_strategy::{RollingUpdate, Strategy},
    },
    testing::{encode_as_newer_peer, receive_from_newer_peer},
};
use http::uri::PathAndQuery;
use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType, skip_field},
};
use prost_types::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Streaming};
use tonic_prost::ProstCodec;

use super::{
    Server,
    objects::{daemon_set, list, node, pod, raw_struct},
    soon,
};

/// A value that no enumeration defines yet.
const UNKNOWN_VALUE: i32 = 99;

/// A message that is sent as these bytes.
#[derive(Debug, Default)]
struct Encoded(Vec<u8>);

impl Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("/everynode.planner.v1.PlannerService/{method}")
        .parse()
        .unwrap()
}

/// Makes a unary call with these bytes as its request.
async fn call<A: Message + Default + 'static>(server: &Server, method: &str, request: Vec<u8>) -> A {
    let mut client = tonic::client::Grpc::new(server.connect().await);
    client.ready().await.unwrap();
    let codec = ProstCodec::<Encoded, A>::default();
    let request = Request::new(Encoded(request));
    soon(client.unary(request, path(method), codec))
        .await
        .unwrap()
        .into_inner()
}

/// A session whose requests are sent as bytes.
struct Session {
    requests: mpsc::UnboundedSender<Encoded>,
    responses: Streaming<SessionResponse>,
    sequence: u64,
    encode: fn(&SessionRequest) -> Vec<u8>,
}

impl Session {
    async fn open(server: &Server, encode: fn(&SessionRequest) -> Vec<u8>) -> Self {
        let hello = SessionRequest {
            sequence: 1,
            now: Some(seconds(1_000_000)),
            hello: Some(Hello {
                cluster: "c".to_owned(),
                identity: "executor-0".to_owned(),
                epoch: 1,
                protocol: 1,
                capabilities: ["something_newer", "pod_availability"]
                    .map(str::to_owned)
                    .to_vec(),
                ..Hello::default()
            }),
            facts: Vec::new(),
        };
        let (requests, outgoing) = mpsc::unbounded_channel();
        requests.send(Encoded(encode(&hello))).unwrap();
        let mut client = tonic::client::Grpc::new(server.connect().await);
        client.ready().await.unwrap();
        let codec = ProstCodec::<Encoded, SessionResponse>::default();
        let outgoing = Request::new(UnboundedReceiverStream::new(outgoing));
        let responses = soon(client.streaming(outgoing, path("Session"), codec)).await;
        let mut session = Self {
            requests,
            responses: responses.unwrap().into_inner(),
            sequence: 1,
            encode,
        };
        assert!(matches!(session.next().await, SessionMessage::Welcome(_)));
        session
    }

    fn send(&mut self, facts: impl IntoIterator<Item = Option<Fact>>) {
        self.sequence += 1;
        let request = SessionRequest {
            sequence: self.sequence,
            now: Some(seconds(1_000_000)),
            hello: None,
            facts: facts.into_iter().map(|fact| Facts { fact }).collect(),
        };
        self.requests.send(Encoded((self.encode)(&request))).unwrap();
    }

    /// The next message, skipping the answer to a full sync.
    async fn next(&mut self) -> SessionMessage {
        loop {
            let response = soon(self.responses.message()).await.unwrap();
            let message = response.expect("the stream ended").message.expect("a message");
            if !matches!(message, SessionMessage::SyncAccepted(_)) {
                return message;
            }
        }
    }

    async fn plan(&mut self) -> Plan {
        match self.next().await {
            SessionMessage::Plan(plan) => plan,
            other => panic!("a plan was expected: {other:?}"),
        }
    }
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

fn from_newer_executor(request: &SessionRequest) -> Vec<u8> {
    encode_as_newer_peer("everynode.planner.v1.SessionRequest", request)
}

/// A `DaemonSet` that contains a message of each kind that facts hold.
fn rich_daemon_set() -> DaemonSetFacts {
    let requirement = NodeSelectorRequirement {
        key: "disk".to_owned(),
        operator: "In".to_owned(),
        values: vec!["ssd".to_owned()],
    };
    let tolerations = vec![Toleration {
        key: "reserved".to_owned(),
        operator: "Exists".to_owned(),
        ..Toleration::default()
    }];
    let terms = vec![NodeSelectorTerm {
        match_expressions: vec![requirement],
        match_fields: Vec::new(),
    }];
    let rolling = RollingUpdate {
        // A budget of an unknown kind counts as 0.
        max_unavailable: Some(IntOrPercent::default()),
        max_surge: None,
    };
    DaemonSetFacts {
        namespace: "default".to_owned(),
        name: "agent".to_owned(),
        uid: "agent-uid".to_owned(),
        generation: 1,
        template: Some(PodTemplateFacts {
            required_node_affinity: Some(NodeSelector { terms }),
            tolerations,
            ..PodTemplateFacts::default()
        }),
        update_strategy: Some(UpdateStrategy {
            strategy: Some(Strategy::RollingUpdate(rolling)),
        }),
        min_ready_seconds: 30,
        update_revision: "new".to_owned(),
        ..DaemonSetFacts::default()
    }
}

fn rich_node(name: &str) -> Fact {
    Fact::NodeChanged(NodeFacts {
        name: name.to_owned(),
        labels: [("disk".to_owned(), "ssd".to_owned())].into(),
        taints: vec![Taint {
            key: "reserved".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        }],
        ..NodeFacts::default()
    })
}

#[tokio::test]
async fn unknown_fields_and_values_of_a_newer_executor_are_tolerated() {
    let server = Server::start().await;
    let mut session = Session::open(&server, from_newer_executor).await;
    session.send([
        Some(rich_node("a")),
        Some(rich_node("b")),
        Some(Fact::PodChanged(PodFacts {
            uid: "pod-uid".to_owned(),
            name: "agent-b".to_owned(),
            daemon_set_uid: "agent-uid".to_owned(),
            node: "b".to_owned(),
            bound: true,
            // The planner doesn't know this phase. It treats the pod as neither succeeded nor failed, so the pod stays.
            phase: UNKNOWN_VALUE,
            ready_since: Some(seconds(999_999)),
            created: Some(seconds(999_998)),
            revision: "new".to_owned(),
            ..PodFacts::default()
        })),
        Some(Fact::DaemonSetChanged(rich_daemon_set())),
        None,
        Some(Fact::SyncComplete(SyncComplete {})),
    ]);
    let SessionMessage::Problem(problem) = session.next().await else {
        panic!("a kind of fact that isn't known is a problem")
    };
    assert_eq!(problem.code(), ProblemCode::Malformed);
    assert_eq!(
        (problem.object.as_str(), problem.field.as_str()),
        ("fact facts[4]", "fact")
    );
    let plan = session.plan().await;
    assert_eq!(plan.problems, []);
    let [action] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert!(
        matches!(&action.action, Some(Action::Create(create)) if create.node == "a"),
        "{plan:?}"
    );
    let status = plan.status.unwrap();
    assert_eq!((status.desired_number_scheduled, status.number_available), (2, 0));
    let waiting: Vec<_> = plan.pod_availability.iter().map(|pod| &pod.uid).collect();
    assert_eq!(
        waiting,
        ["pod-uid"],
        "a capability that isn't known changes nothing"
    );

    // An action with an unknown outcome has still ended, so the planner requests it again if it is still needed.
    session.send([Some(Fact::ActionDone(ActionDone {
        action_id: action.id,
        outcome: UNKNOWN_VALUE,
    }))]);
    let again = session.plan().await;
    assert_eq!(again.actions.len(), 1, "{again:?}");
    assert_ne!(again.actions[0].id, action.id);
}

#[tokio::test]
async fn executor_that_sends_only_required_fields_gets_a_plan() {
    let server = Server::start().await;
    let mut session = Session::open(&server, SessionRequest::encode_to_vec).await;
    session.send([
        Some(Fact::NodeChanged(NodeFacts {
            name: "a".to_owned(),
            ..NodeFacts::default()
        })),
        Some(Fact::NodeChanged(NodeFacts {
            name: "b".to_owned(),
            ..NodeFacts::default()
        })),
        Some(Fact::PodChanged(PodFacts {
            uid: "pod-uid".to_owned(),
            name: "agent-b".to_owned(),
            daemon_set_uid: "agent-uid".to_owned(),
            node: "b".to_owned(),
            ..PodFacts::default()
        })),
        Some(Fact::DaemonSetChanged(DaemonSetFacts {
            namespace: "default".to_owned(),
            name: "agent".to_owned(),
            uid: "agent-uid".to_owned(),
            ..DaemonSetFacts::default()
        })),
        Some(Fact::SyncComplete(SyncComplete {})),
    ]);
    let plan = session.plan().await;
    assert_eq!(plan.problems[0].code(), ProblemCode::UnknownRevision);
    let [action] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert!(
        matches!(&action.action, Some(Action::Create(create)) if create.node == "a"),
        "{plan:?}"
    );
    assert_eq!(plan.status.unwrap().current_number_scheduled, 1);
}

#[tokio::test]
async fn unknown_fields_of_a_newer_caller_do_not_change_the_answer() {
    let server = Server::start().await;
    let nodes = list([node("a", &json!([])), node("b", &json!([]))]);
    let pods = [pod("agent", "agent-a", "a", "1", "2026-01-02T03:06:00Z")];
    let plan = PlanRequest {
        daemon_set: Some(raw_struct(&daemon_set("agent"))),
        nodes: vec![raw_struct(&nodes)],
        pods: pods.iter().map(raw_struct).collect(),
        update_revision: Some("new".to_owned()),
        now: Some(seconds(1_800_000_000)),
        ..PlanRequest::default()
    };
    let known: PlanResponse = call(&server, "Plan", plan.encode_to_vec()).await;
    assert_eq!(known.problems, []);
    assert_eq!((known.verdicts.len(), known.actions.len()), (2, 1));
    let newer_request = encode_as_newer_peer("everynode.planner.v1.PlanRequest", &plan);
    assert!(
        newer_request.len() > plan.encoded_len() * 2,
        "every value has more fields"
    );
    assert_eq!(call::<PlanResponse>(&server, "Plan", newer_request).await, known);

    let explain = ExplainRequest {
        daemon_sets: vec![raw_struct(&daemon_set("agent"))],
        nodes: vec![raw_struct(&nodes)],
        ..ExplainRequest::default()
    };
    let known: ExplainResponse = call(&server, "Explain", explain.encode_to_vec()).await;
    assert_eq!((known.verdicts.len(), known.problems.len()), (2, 0));
    let newer_request = encode_as_newer_peer("everynode.planner.v1.ExplainRequest", &explain);
    assert_eq!(
        call::<ExplainResponse>(&server, "Explain", newer_request).await,
        known
    );
}

#[test]
fn unknown_fields_and_values_of_a_newer_planner_are_tolerated() {
    let mut answer = ExplainResponse::default();
    answer.verdicts.resize_with(1, Default::default);
    answer.verdicts[0].node = "a".to_owned();
    answer.verdicts[0].verdict = UNKNOWN_VALUE;
    answer.verdicts[0].reasons.resize_with(1, Default::default);
    answer.verdicts[0].reasons[0].code = UNKNOWN_VALUE;
    let read = receive_from_newer_peer("everynode.planner.v1.ExplainResponse", &answer);
    assert_eq!(read, answer);
    assert_eq!(read.verdicts[0].verdict(), Verdict::Unspecified);
}
