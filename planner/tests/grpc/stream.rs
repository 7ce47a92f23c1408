use everynode_proto::planner::v1::{
    ActionDone, ActionOutcome, DaemonSetFacts, Fact as Facts, Hello, NodeFacts, Plan, PodFacts, PodPhase,
    PodTemplateFacts, ProblemCode, SessionRequest, SessionResponse, SyncComplete, action, fact::Fact,
    planner_service_client::PlannerServiceClient, session_response::Message,
};
use prost_types::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

use super::{Server, soon, violation};

/// An executor's end of a session.
pub(super) struct Executor {
    pub(super) requests: mpsc::UnboundedSender<SessionRequest>,
    pub(super) responses: Streaming<SessionResponse>,
    sequence: u64,
}

pub(super) fn first(cluster: &str, epoch: u64) -> SessionRequest {
    SessionRequest {
        sequence: 1,
        now: Some(Timestamp {
            seconds: 1_000_000,
            nanos: 0,
        }),
        hello: Some(Hello {
            cluster: cluster.into(),
            identity: "executor-0".into(),
            epoch,
            protocol: 1,
            ..Hello::default()
        }),
        facts: Vec::new(),
    }
}

impl Executor {
    /// Opens a session with any first request, and returns it once the planner has admitted it.
    pub(super) async fn open(
        client: &mut PlannerServiceClient<Channel>,
        first: SessionRequest,
    ) -> Result<Self, Status> {
        let (requests, outgoing) = mpsc::unbounded_channel();
        requests.send(first).unwrap();
        let responses = soon(client.session(UnboundedReceiverStream::new(outgoing)))
            .await?
            .into_inner();
        Ok(Self {
            requests,
            responses,
            sequence: 1,
        })
    }

    /// Opens a session and receives its welcome.
    pub(super) async fn begin(client: &mut PlannerServiceClient<Channel>, cluster: &str, epoch: u64) -> Self {
        let mut executor = Self::open(client, first(cluster, epoch)).await.unwrap();
        assert!(matches!(executor.next().await.unwrap(), Message::Welcome(_)));
        executor
    }

    pub(super) fn send(&mut self, facts: impl IntoIterator<Item = Fact>) {
        self.sequence += 1;
        let request = SessionRequest {
            sequence: self.sequence,
            hello: None,
            facts: facts.into_iter().map(|fact| Facts { fact: Some(fact) }).collect(),
            ..first("", 0)
        };
        self.requests.send(request).unwrap();
    }

    /// The next message, skipping the answer to a full sync.
    async fn next(&mut self) -> Result<Message, Status> {
        loop {
            let response = soon(self.responses.message()).await?;
            let message = response.expect("the stream ended").message.expect("a message");
            if !matches!(message, Message::SyncAccepted(_)) {
                return Ok(message);
            }
        }
    }

    pub(super) async fn plan(&mut self) -> Plan {
        match self.next().await.unwrap() {
            Message::Plan(plan) => plan,
            other => panic!("a plan was expected: {other:?}"),
        }
    }

    /// Waits for the end of the session.
    async fn end(&mut self) -> Result<(), Status> {
        soon(async {
            while self.responses.message().await?.is_some() {}
            Ok(())
        })
        .await
    }
}

pub(super) fn node(name: &str) -> Fact {
    Fact::NodeChanged(NodeFacts {
        name: name.into(),
        ..NodeFacts::default()
    })
}

pub(super) fn daemon_set() -> Fact {
    Fact::DaemonSetChanged(DaemonSetFacts {
        namespace: "default".into(),
        name: "agent".into(),
        uid: "agent-uid".into(),
        generation: 1,
        template: Some(PodTemplateFacts::default()),
        update_revision: "new".into(),
        ..DaemonSetFacts::default()
    })
}

fn pod(name: &str, node: &str) -> Fact {
    Fact::PodChanged(PodFacts {
        uid: format!("{name}-uid"),
        name: name.into(),
        daemon_set_uid: "agent-uid".into(),
        node: node.into(),
        bound: true,
        phase: PodPhase::Running.into(),
        ready_since: Some(Timestamp {
            seconds: 999_999,
            nanos: 0,
        }),
        revision: "new".into(),
        ..PodFacts::default()
    })
}

#[tokio::test]
async fn session_syncs_plans_and_processes_outcomes_end_to_end() {
    let server = Server::start().await;
    let mut executor = Executor::begin(&mut server.client().await, "c", 1).await;
    executor.send([node("a"), daemon_set()]);
    executor.send([Fact::SyncComplete(SyncComplete {}), node("")]);
    match executor.next().await.unwrap() {
        Message::Problem(problem) => assert_eq!(problem.code(), ProblemCode::Malformed),
        other => panic!("a problem was expected: {other:?}"),
    }
    let plan = executor.plan().await;
    assert_eq!(
        (plan.id, plan.based_on, plan.daemon_set.as_str()),
        (1, 3, "default/agent")
    );
    let [action] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert!(matches!(&action.action, Some(action::Action::Create(create)) if create.node == "a"));
    let done = ActionDone {
        action_id: action.id,
        outcome: ActionOutcome::Done.into(),
    };
    executor.send([pod("agent-x", "a"), Fact::ActionDone(done)]);
    let plan = executor.plan().await;
    assert_eq!((plan.id, plan.based_on, plan.actions.len()), (2, 4, 0));
    assert_eq!(plan.status.unwrap().number_available, 1);
    drop(executor.requests);
    let end = soon(executor.responses.message()).await.unwrap();
    assert_eq!(end, None, "the session ends when the executor closes its stream");
}

#[tokio::test]
async fn session_that_cannot_begin_is_refused_at_once() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut other_protocol = first("c", 9);
    other_protocol.hello.as_mut().unwrap().protocol = 7;
    let refused = [
        (
            SessionRequest {
                hello: None,
                ..first("c", 9)
            },
            Code::InvalidArgument,
            Some("hello"),
        ),
        (
            SessionRequest {
                now: None,
                ..first("c", 9)
            },
            Code::InvalidArgument,
            Some("now"),
        ),
        (
            SessionRequest {
                sequence: 5,
                ..first("c", 9)
            },
            Code::InvalidArgument,
            Some("sequence"),
        ),
        (
            SessionRequest {
                facts: vec![Facts::default(); 1_001],
                ..first("c", 9)
            },
            Code::ResourceExhausted,
            Some("facts"),
        ),
        (first("", 9), Code::InvalidArgument, Some("hello.cluster")),
        (
            first(&"c".repeat(254), 9),
            Code::InvalidArgument,
            Some("hello.cluster"),
        ),
        (
            first("c\u{1b}[2J", 9),
            Code::InvalidArgument,
            Some("hello.cluster"),
        ),
        (
            first_with_identity(&"e".repeat(3_000_000)),
            Code::InvalidArgument,
            Some("hello.identity"),
        ),
        (
            first_with_identity("a\nb"),
            Code::InvalidArgument,
            Some("hello.identity"),
        ),
        (other_protocol, Code::FailedPrecondition, None),
    ];
    let mut open = Executor::begin(&mut client, "c", 1).await;
    for (request, code, field) in refused {
        let status = Executor::open(&mut client, request)
            .await
            .err()
            .expect("it should be refused");
        assert_eq!(status.code(), code, "{status}");
        if let Some(field) = field {
            assert_eq!(violation(&status), field);
        }
    }
    // None of the refused sessions has superseded the open one.
    open.send([node("a"), daemon_set(), Fact::SyncComplete(SyncComplete {})]);
    assert_eq!(open.plan().await.actions.len(), 1);
}

/// A first request from an executor of this name.
fn first_with_identity(identity: &str) -> SessionRequest {
    let mut request = first("c", 9);
    identity.clone_into(&mut request.hello.as_mut().unwrap().identity);
    request
}

#[tokio::test(start_paused = true)]
async fn maximum_epoch_blocks_other_executors_until_30_seconds_after_its_session() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let latest = Executor::begin(&mut client, "c", u64::MAX).await;
    let refused = Executor::open(&mut client, first("c", 7)).await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    drop(latest);
    let left = tokio::time::Instant::now();
    let mut executor = loop {
        match Executor::open(&mut client, first("c", 7)).await {
            Ok(executor) => break executor,
            Err(refused) => assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}"),
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    };
    let kept_out = left.elapsed().as_secs();
    assert!((29..=32).contains(&kept_out), "{kept_out} s");
    assert!(matches!(executor.next().await.unwrap(), Message::Welcome(_)));
    executor.send([node("a"), daemon_set(), Fact::SyncComplete(SyncComplete {})]);
    assert_eq!(executor.plan().await.actions.len(), 1);
}

#[tokio::test]
async fn unusable_request_ends_the_session() {
    let server = Server::start().await;
    let mut executor = Executor::begin(&mut server.client().await, "c", 1).await;
    executor.sequence += 1;
    executor.send([]);
    let status = executor.end().await.unwrap_err();
    assert_eq!(
        (status.code(), violation(&status).as_str()),
        (Code::InvalidArgument, "sequence")
    );
}

#[tokio::test]
async fn later_epoch_supersedes_and_earlier_epoch_is_refused() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut older = Executor::begin(&mut client, "c", 4).await;
    let mut elsewhere = Executor::begin(&mut client, "d", 1).await;
    let mut newer = Executor::begin(&mut server.client().await, "c", 5).await;
    let status = older.end().await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("epoch 5"), "{status}");
    let status = Executor::open(&mut client, first("c", 4))
        .await
        .err()
        .expect("it should be refused");
    assert_eq!(status.code(), Code::FailedPrecondition);
    let mut again = Executor::begin(&mut client, "c", 5).await;
    for executor in [&mut newer, &mut elsewhere, &mut again] {
        executor.send([node("a"), daemon_set(), Fact::SyncComplete(SyncComplete {})]);
        assert_eq!(executor.plan().await.actions.len(), 1);
    }
}

#[tokio::test]
async fn shutdown_ends_sessions_with_unavailable_and_then_the_server() {
    let server = Server::start().await;
    let mut executor = Executor::begin(&mut server.client().await, "c", 1).await;
    server.shutdown.cancel();
    assert_eq!(executor.end().await.unwrap_err().code(), Code::Unavailable);
    drop(executor);
    soon(server.served).await.unwrap().unwrap();
}
