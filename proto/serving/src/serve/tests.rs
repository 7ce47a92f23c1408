//! Tests of the gate in front of a service that waits for a signal. There is no transport, and time is paused.

mod authentication;
mod bodies;
mod streams;

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use everynode_proto::executor::v1::{
    DaemonSet, ExplainRequest, ExplainResponse, GetInfoRequest, GetInfoResponse, GetNodeOverheadRequest,
    GetNodeOverheadResponse, ListDaemonSetsRequest, ListDaemonSetsResponse, WatchPlansRequest,
    WatchPlansResponse,
    executor_service_client::ExecutorServiceClient,
    executor_service_server::{ExecutorService, ExecutorServiceServer},
};
use futures::{Stream, StreamExt, stream};
use tokio::{sync::Semaphore, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;
use tower::Layer;

use super::{
    gate::{Gate, GateLayer},
    methods::Methods,
    room::Room,
    *,
};

const LIMITS: Limits = Limits {
    max_concurrent_calls: 1,
    max_streams: 1,
    streams: "watches",
    call_deadline: Duration::from_secs(30),
    max_message_bytes: 64 * 1024,
};

/// A service whose calls wait for a signal.
#[derive(Debug, Clone)]
struct Fake {
    /// One permit for each handler that has been entered and each piece of background work that has begun.
    entered: Arc<Semaphore>,
    /// `GetInfo` takes one of these permits before it answers.
    go: Arc<Semaphore>,
    /// The work of `Explain` ends when it receives a message here, or when the sender has been dropped.
    work: Arc<Mutex<mpsc::Receiver<()>>>,
}

fn text(length: &str) -> String {
    "x".repeat(length.parse().unwrap())
}

#[tonic::async_trait]
impl ExecutorService for Fake {
    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        self.entered.add_permits(1);
        self.go.acquire().await.unwrap().forget();
        Ok(Response::new(GetInfoResponse::default()))
    }

    /// Answers with as many bytes as the request's name says.
    async fn list_daemon_sets(
        &self,
        request: Request<ListDaemonSetsRequest>,
    ) -> Result<Response<ListDaemonSetsResponse>, Status> {
        Ok(Response::new(ListDaemonSetsResponse {
            ask_leader: text(&request.get_ref().name),
            daemon_sets: vec![DaemonSet::default()],
        }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let this = self.clone();
        in_background(request, move |_, _| {
            this.entered.add_permits(1);
            let _ = this.work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Ok(ExplainResponse::default())
        })
        .await
    }

    /// Like `ListDaemonSets`, but in the background: answers with as many bytes as the request's node says.
    async fn get_node_overhead(
        &self,
        request: Request<GetNodeOverheadRequest>,
    ) -> Result<Response<GetNodeOverheadResponse>, Status> {
        in_background(request, |request, _| match request.node.as_str() {
            "panic" => panic!("as asked"),
            length => Ok(GetNodeOverheadResponse {
                allocatable: [("cpu".to_owned(), text(length))].into(),
                ..GetNodeOverheadResponse::default()
            }),
        })
        .await
    }

    type WatchPlansStream = Pin<Box<dyn Stream<Item = Result<WatchPlansResponse, Status>> + Send>>;

    /// Sends one message and then nothing more. If the request has a name, the name gives the size of the message.
    async fn watch_plans(
        &self,
        request: Request<WatchPlansRequest>,
    ) -> Result<Response<Self::WatchPlansStream>, Status> {
        let name = &request.get_ref().name;
        let mut first = WatchPlansResponse::default();
        if !name.is_empty() {
            let began = everynode_proto::executor::v1::WatchBegan {
                identity: text(name),
                planner: None,
            };
            first.event = Some(everynode_proto::executor::v1::watch_plans_response::Event::Began(
                began,
            ));
        }
        let answers = stream::once(async { Ok(first) }).chain(stream::pending());
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Records what it observes.
#[derive(Debug, Default)]
struct Tally(Mutex<Vec<String>>);

impl Observer for Tally {
    fn began(&self, kind: Kind) {
        self.0.lock().unwrap().push(format!("{kind:?} began"));
    }

    fn ended(&self, kind: Kind) {
        self.0.lock().unwrap().push(format!("{kind:?} ended"));
    }

    fn refused(&self, why: Refusal) {
        self.0.lock().unwrap().push(why.as_str().to_owned());
    }
}

type Client = ExecutorServiceClient<Gate<ExecutorServiceServer<Fake>>>;

struct Scene {
    fake: Fake,
    finish: mpsc::Sender<()>,
    tally: Arc<Tally>,
    shutdown: CancellationToken,
    gate: Gate<ExecutorServiceServer<Fake>>,
}

impl Scene {
    fn with(limits: Limits) -> Self {
        Self::authenticated_by(limits, None)
    }

    fn authenticated_by(limits: Limits, authenticator: Option<Arc<dyn Authenticator>>) -> Self {
        let (finish, work) = mpsc::channel();
        let fake = Fake {
            entered: Arc::new(Semaphore::new(0)),
            go: Arc::new(Semaphore::new(0)),
            work: Arc::new(Mutex::new(work)),
        };
        let (tally, shutdown) = (Arc::new(Tally::default()), CancellationToken::new());
        let service = ExecutorServiceServer::new(fake.clone())
            .max_decoding_message_size(limits.max_message_bytes)
            .max_encoding_message_size(limits.max_message_bytes);
        let methods = Methods::described_in(everynode_proto::FILE_DESCRIPTOR_SET).unwrap();
        let authentication = authenticator.map(authenticate::Authentication::new);
        let room = Room::new(limits, tally.clone(), shutdown.clone());
        let gate = GateLayer::new(room, methods, None, authentication).layer(service);
        Self {
            fake,
            finish,
            tally,
            shutdown,
            gate,
        }
    }

    fn client(&self) -> Client {
        ExecutorServiceClient::new(self.gate.clone())
    }

    /// Starts a call that waits.
    fn call(&self) -> JoinHandle<Result<Response<GetInfoResponse>, Status>> {
        let mut client = self.client();
        tokio::spawn(async move { client.get_info(GetInfoRequest {}).await })
    }

    /// Starts a call whose background work waits.
    fn work(&self) -> JoinHandle<Result<Response<ExplainResponse>, Status>> {
        let mut client = self.client();
        tokio::spawn(async move { client.explain(ExplainRequest::default()).await })
    }

    /// Waits until a handler has been entered or background work has begun.
    async fn entered(&self) {
        self.fake.entered.acquire().await.unwrap().forget();
    }

    fn told(&self) -> Vec<String> {
        self.tally.0.lock().unwrap().clone()
    }
}

/// Asserts that the call is refused temporarily: the message says why, and the retry info tells clients when to retry.
#[track_caller]
fn assert_try_again(status: &Status, code: Code, words: &str) {
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(words), "{status}");
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(retry, Some(Duration::from_secs(1)), "{status}");
}

#[tokio::test(start_paused = true)]
async fn one_call_more_waits_for_a_second_and_is_then_refused() {
    let scene = Scene::with(LIMITS);
    let first = scene.call();
    scene.entered().await;
    let began = Instant::now();
    let refused = scene.call().await.unwrap().unwrap_err();
    assert_try_again(
        &refused,
        Code::ResourceExhausted,
        "1 calls are being worked on, and no more",
    );
    assert_eq!(began.elapsed().as_millis() / 10, 100);
    scene.fake.go.add_permits(1);
    first.await.unwrap().unwrap();
    assert_eq!(scene.told(), ["Call began", "calls", "Call ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_is_served_when_its_turn_comes() {
    let scene = Scene::with(LIMITS);
    let (first, second) = (scene.call(), scene.call());
    scene.entered().await;
    scene.fake.go.add_permits(1);
    scene.entered().await;
    scene.fake.go.add_permits(1);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(
        scene.told(),
        ["Call began", "Call ended", "Call began", "Call ended"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_the_servers_deadline_or_at_the_callers_if_that_is_shorter() {
    let scene = Scene::with(LIMITS);
    let began = Instant::now();
    let late = scene.call().await.unwrap().unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 30);
    let words = "longer than 30 s, the server's deadline for calls (--call-deadline)";
    assert_try_again(&late, Code::DeadlineExceeded, words);

    let mut request = Request::new(GetInfoRequest {});
    request.set_timeout(Duration::from_millis(1_500));
    let late = scene.client().get_info(request).await.unwrap_err();
    let words = "longer than 1.5 s, the caller's deadline (grpc-timeout)";
    assert_try_again(&late, Code::DeadlineExceeded, words);
    assert_eq!(began.elapsed().as_secs(), 31);

    let mut request = Request::new(GetInfoRequest {});
    request.set_timeout(Duration::from_hours(1));
    let late = scene.client().get_info(request).await.unwrap_err();
    assert_try_again(&late, Code::DeadlineExceeded, "longer than 30 s, the server's");
}

#[tokio::test(start_paused = true)]
async fn a_callers_deadline_holds_while_it_waits_for_its_turn() {
    let scene = Scene::with(LIMITS);
    let first = scene.call();
    scene.entered().await;
    let mut request = Request::new(GetInfoRequest {});
    request.set_timeout(Duration::from_millis(200));
    let late = scene.client().get_info(request).await.unwrap_err();
    assert_try_again(&late, Code::DeadlineExceeded, "longer than 0.2 s, the caller's");
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_gives_its_place_back() {
    let scene = Scene::with(LIMITS);
    let first = scene.call();
    scene.entered().await;
    first.abort();
    scene.fake.go.add_permits(1);
    scene.call().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_in_the_background_keeps_its_place_until_it_ends_though_its_caller_has_gone() {
    let scene = Scene::with(LIMITS);
    let gone = scene.work();
    scene.entered().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let refused = {
        let refused = scene.call();
        // Paused time doesn't advance by itself while background work runs.
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(1)).await;
        refused.await.unwrap().unwrap_err()
    };
    assert_try_again(&refused, Code::ResourceExhausted, "--max-concurrent-calls");
    scene.finish.send(()).unwrap();
    scene.fake.go.add_permits(1);
    scene.call().await.unwrap().unwrap();
}

#[tokio::test]
async fn work_whose_caller_has_gone_before_there_was_a_processor_never_begins() {
    let processors = thread::available_parallelism().unwrap().get();
    let scene = Scene::with(Limits {
        max_concurrent_calls: u32::try_from(processors).unwrap() + 2,
        ..LIMITS
    });
    let mut working = Vec::new();
    for _ in 0..processors {
        working.push(scene.work());
        scene.entered().await;
    }
    let (gone, stays) = (scene.work(), scene.work());
    // Once admitted, both calls wait for a processor.
    while scene.told().len() < processors + 2 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    for _ in 0..=processors {
        scene.finish.send(()).unwrap();
    }
    stays.await.unwrap().unwrap();
    for work in working {
        work.await.unwrap().unwrap();
    }
    scene.entered().await;
    assert_eq!(scene.fake.entered.available_permits(), 0);
}

#[tokio::test]
async fn work_that_panics_is_internal_and_gives_its_place_back() {
    let scene = Scene::with(LIMITS);
    for _ in 0..3 {
        let request = GetNodeOverheadRequest { node: "panic".into() };
        let failed = scene.client().get_node_overhead(request).await.unwrap_err();
        assert_eq!(failed.code(), Code::Internal, "{failed}");
    }
}
