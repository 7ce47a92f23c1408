mod syncs;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use everynode_proto::{
    planner::v1::{
        ExplainRequest, ExplainResponse, GetInfoRequest, GetInfoResponse, PlanRequest, PlanResponse,
        SimulateNodesRequest, SimulateNodesResponse, SimulateRolloutRequest, SimulateRolloutResponse,
        planner_service_server::{PlannerService, PlannerServiceServer},
    },
    testing::receive_from_newer_peer,
};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tonic::{Request, Response, transport::Server};
use tower::service_fn;

use super::*;

type Answer = Result<SessionResponse, Status>;

/// The planner's end of a session.
struct Stream {
    requests: Streaming<SessionRequest>,
    answers: mpsc::Sender<Answer>,
}

/// A fake planner that hands its sessions to the test.
#[derive(Clone)]
struct Planner(mpsc::UnboundedSender<Stream>);

#[tonic::async_trait]
impl PlannerService for Planner {
    type SessionStream = ReceiverStream<Answer>;

    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        Err(Status::unimplemented("only sessions"))
    }

    async fn plan(&self, _: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        Err(Status::unimplemented("only sessions"))
    }

    async fn explain(&self, _: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        Err(Status::unimplemented("only sessions"))
    }

    async fn simulate_rollout(
        &self,
        _: Request<SimulateRolloutRequest>,
    ) -> Result<Response<SimulateRolloutResponse>, Status> {
        Err(Status::unimplemented("only sessions"))
    }

    async fn simulate_nodes(
        &self,
        _: Request<SimulateNodesRequest>,
    ) -> Result<Response<SimulateNodesResponse>, Status> {
        Err(Status::unimplemented("only sessions"))
    }

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (answers, receiver) = mpsc::channel(8);
        let stream = Stream {
            requests: request.into_inner(),
            answers,
        };
        self.0
            .send(stream)
            .map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

async fn connect(planner: Planner) -> Result<Channel, tonic::transport::Error> {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let incoming = tokio_stream::once(Ok::<_, Infallible>(server));
    tokio::spawn(
        Server::builder()
            .add_service(PlannerServiceServer::new(planner))
            .serve_with_incoming(incoming),
    );
    let mut client = Some(TokioIo::new(client));
    let connector = service_fn(move |_| {
        let client = client.take();
        async move { client.ok_or_else(|| std::io::Error::other("there is one connection")) }
    });
    Endpoint::from_static("http://planner")
        .connect_with_connector(connector)
        .await
}

/// A session's task, its events, and the streams that it opens.
struct Rig {
    task: JoinHandle<()>,
    events: mpsc::Receiver<Event>,
    streams: mpsc::UnboundedReceiver<Stream>,
}

fn rig() -> Rig {
    let (sender, streams) = mpsc::unbounded_channel();
    let (events, receiver) = mpsc::channel(8);
    let identity = Identity {
        cluster: "c".to_owned(),
        executor: "me".to_owned(),
        epoch: 4,
        node: Some("worker-1".to_owned()),
    };
    let task = tokio::spawn(run(
        move || connect(Planner(sender.clone())),
        identity,
        Clock::default(),
        events,
    ));
    Rig {
        task,
        events: receiver,
        streams,
    }
}

impl Rig {
    async fn stream(&mut self) -> Stream {
        self.streams.recv().await.expect("the session's task has ended")
    }

    async fn event(&mut self) -> Event {
        self.events.recv().await.expect("the session's task has ended")
    }

    /// Opens a session and returns both ends of it.
    async fn open(&mut self) -> (Stream, mpsc::Sender<SessionRequest>) {
        let mut stream = self.stream().await;
        stream.request().await;
        stream.send(welcome(500)).await;
        let Event::Opened { requests, .. } = self.event().await else {
            panic!("not opened")
        };
        (stream, requests)
    }
}

impl Stream {
    async fn request(&mut self) -> SessionRequest {
        self.requests
            .message()
            .await
            .unwrap()
            .expect("the stream has ended")
    }

    async fn send(&self, message: Message) {
        self.answers
            .send(Ok(SessionResponse {
                message: Some(message),
            }))
            .await
            .unwrap();
    }
}

fn welcome(max_facts_per_request: u32) -> Message {
    Message::Welcome(Welcome {
        max_facts_per_request,
        ..Welcome::default()
    })
}

fn plan(id: u64) -> Message {
    Message::Plan(Plan {
        id,
        ..Plan::default()
    })
}

#[test]
fn negative_duration_converts_to_none() {
    let wanted = |seconds, nanos| to_std_duration(prost_types::Duration { seconds, nanos });
    assert_eq!(wanted(3, 5), Some(Duration::new(3, 5)));
    let longest = Duration::new(i64::MAX.unsigned_abs() + 2, 147_483_647);
    assert_eq!(wanted(i64::MAX, i32::MAX), Some(longest));
    for (seconds, nanos) in [(-1, 0), (0, -1), (i64::MIN, i32::MIN), (i64::MIN, 1)] {
        assert_eq!(wanted(seconds, nanos), None);
    }
}

#[tokio::test(start_paused = true)]
async fn first_request_is_hello_with_the_executors_identity() {
    let mut rig = rig();
    let request = rig.stream().await.request().await;
    assert_eq!(request.sequence, HELLO_SEQUENCE);
    assert!(request.now.is_some() && request.facts.is_empty());
    let hello = Hello {
        cluster: "c".to_owned(),
        identity: "me".to_owned(),
        epoch: 4,
        protocol: PROTOCOL,
        capabilities: [
            "sync_accepted",
            "max_request_bytes",
            "pod_availability",
            "rollout_policies",
        ]
        .map(str::to_owned)
        .to_vec(),
        own_nodes: vec!["worker-1".to_owned()],
    };
    assert_eq!(request.hello, Some(hello));
}

#[tokio::test(start_paused = true)]
async fn session_opens_when_the_planner_sends_welcome() {
    let mut rig = rig();
    let mut stream = rig.stream().await;
    stream.request().await;
    let early = tokio::time::timeout(OPEN_DEADLINE / 2, rig.events.recv()).await;
    assert!(early.is_err(), "{early:?}");
    stream.send(welcome(500)).await;
    let Event::Opened { limits, .. } = rig.event().await else {
        panic!("not opened")
    };
    assert_eq!(limits.facts, 500);
}

#[tokio::test(start_paused = true)]
async fn limit_of_zero_facts_means_one_fact_per_request() {
    let mut rig = rig();
    rig.stream().await.send(welcome(0)).await;
    let Event::Opened { limits, .. } = rig.event().await else {
        panic!("not opened")
    };
    assert_eq!(limits.facts, 1);
}

#[tokio::test(start_paused = true)]
async fn requests_reach_the_planner_in_order() {
    let mut rig = rig();
    let (mut stream, requests) = rig.open().await;
    for sequence in 2..6 {
        requests
            .send(SessionRequest {
                sequence,
                ..SessionRequest::default()
            })
            .await
            .unwrap();
        assert_eq!(stream.request().await.sequence, sequence);
    }
}

#[tokio::test(start_paused = true)]
async fn plans_and_problems_are_forwarded_and_unknown_messages_ignored() {
    let mut rig = rig();
    let (stream, _requests) = rig.open().await;
    stream.send(plan(1)).await;
    stream.send(welcome(1)).await;
    stream
        .answers
        .send(Ok(SessionResponse { message: None }))
        .await
        .unwrap();
    stream
        .send(Message::Problem(Problem {
            field: "x".to_owned(),
            ..Problem::default()
        }))
        .await;
    stream.send(plan(2)).await;
    assert!(matches!(rig.event().await, Event::Plan(plan) if plan.id == 1));
    assert!(matches!(rig.event().await, Event::Problem(problem) if problem.field == "x"));
    assert!(matches!(rig.event().await, Event::Plan(plan) if plan.id == 2));
}

#[tokio::test(start_paused = true)]
async fn unknown_messages_of_a_newer_planner_are_ignored() {
    let newer = |message| {
        Ok(receive_from_newer_peer(
            "everynode.planner.v1.SessionResponse",
            &SessionResponse { message },
        ))
    };
    let mut rig = rig();
    let stream = rig.stream().await;
    // A message of an unknown kind is ignored at any time.
    for message in [None, Some(welcome(500)), None, Some(plan(1)), None] {
        stream.answers.send(newer(message)).await.unwrap();
    }
    let problem = Problem {
        code: 99,
        field: "x".to_owned(),
        ..Problem::default()
    };
    let problem = newer(Some(Message::Problem(problem)));
    stream.answers.send(problem).await.unwrap();
    assert!(matches!(
        rig.event().await,
        Event::Opened {
            limits: RequestLimits { facts: 500, .. },
            ..
        }
    ));
    assert!(matches!(rig.event().await, Event::Plan(plan) if plan.id == 1));
    assert!(matches!(rig.event().await, Event::Problem(problem) if problem.field == "x"));
}

#[tokio::test(start_paused = true)]
async fn ended_session_is_reported_and_another_is_opened() {
    let mut rig = rig();
    for end in [None, Some(Status::unavailable("the planner drains"))] {
        let (stream, _requests) = rig.open().await;
        stream.send(plan(1)).await;
        if let Some(status) = end {
            stream.answers.send(Err(status)).await.unwrap();
        }
        drop(stream);
        assert!(
            matches!(rig.event().await, Event::Plan(_)),
            "earlier messages are delivered"
        );
        assert!(matches!(rig.event().await, Event::Lost));
    }
    rig.open().await;
}

#[tokio::test(start_paused = true)]
async fn session_is_abandoned_when_hello_is_not_answered_in_time() {
    let mut rig = rig();
    let begun = Instant::now();
    let silent = rig.stream().await;
    rig.open().await;
    assert!(
        begun.elapsed() >= OPEN_DEADLINE && begun.elapsed() < OPEN_DEADLINE * 2,
        "{:?}",
        begun.elapsed()
    );
    assert!(silent.answers.is_closed());
}

#[tokio::test(start_paused = true)]
async fn session_is_abandoned_when_the_first_message_is_not_welcome() {
    let mut rig = rig();
    rig.stream().await.send(plan(1)).await;
    rig.stream()
        .await
        .answers
        .send(Err(Status::failed_precondition("older epoch")))
        .await
        .unwrap();
    rig.open().await;
    assert!(rig.events.is_empty());
}

#[tokio::test(start_paused = true)]
async fn unreachable_planner_is_retried() {
    let (sender, mut streams) = mpsc::unbounded_channel();
    let (events, _receiver) = mpsc::channel(8);
    let identity = Identity {
        cluster: String::new(),
        executor: String::new(),
        epoch: 0,
        node: None,
    };
    let tries = Arc::new(AtomicUsize::new(0));
    let count = tries.clone();
    let connect = move || {
        let (planner, attempt) = (Planner(sender.clone()), count.fetch_add(1, Ordering::Relaxed));
        async move {
            if attempt < 3 {
                return Err(std::io::Error::other("connection refused"));
            }
            connect(planner).await.map_err(std::io::Error::other)
        }
    };
    let begun = Instant::now();
    tokio::spawn(run(connect, identity, Clock::default(), events));
    streams.recv().await.unwrap();
    assert_eq!(tries.load(Ordering::Relaxed), 4);
    assert!(begun.elapsed() >= FIRST_WAIT * 7, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn sessions_that_end_at_once_are_reopened_with_backoff() {
    let mut rig = rig();
    let mut gaps = Vec::new();
    for _ in 0..12 {
        drop(rig.open().await);
        assert!(matches!(rig.event().await, Event::Lost));
        let lost = Instant::now();
        let stream = rig.stream().await;
        gaps.push(lost.elapsed());
        drop(stream);
    }
    assert!(
        gaps[0] < Duration::from_secs(1) && gaps[11] >= LONGEST_WAIT / 2,
        "{gaps:?}"
    );
    let (stream, _requests) = rig.open().await;
    tokio::time::advance(LONGEST_WAIT).await;
    drop(stream);
    assert!(matches!(rig.event().await, Event::Lost));
    let lost = Instant::now();
    rig.stream().await;
    assert!(lost.elapsed() < Duration::from_secs(1), "{:?}", lost.elapsed());
}

#[tokio::test(start_paused = true)]
async fn session_cancelled_by_the_executor_ends_and_another_is_opened() {
    let mut rig = rig();
    let mut stream = rig.stream().await;
    stream.request().await;
    stream.send(welcome(500)).await;
    let Event::Opened { end, requests, .. } = rig.event().await else {
        panic!("not opened")
    };
    end.cancel();
    assert!(matches!(rig.event().await, Event::Lost));
    drop((stream, requests));
    rig.open().await;
}

#[tokio::test(start_paused = true)]
async fn task_ends_when_the_receiver_is_dropped() {
    let mut rig = rig();
    let (stream, _requests) = rig.open().await;
    drop(rig.events);
    stream.send(plan(1)).await;
    tokio::time::timeout(LONGEST_WAIT * 3, rig.task)
        .await
        .expect("the task doesn't end")
        .unwrap();
}
