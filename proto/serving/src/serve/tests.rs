//! Tests of admission in front of a service that waits for a signal. There is no transport. Tests that depend on time
//! pause it.

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
    admission::{Admission, AdmissionLayer},
    authenticate::LimitedAuthenticator,
    limiter::Limiter,
    methods::Methods,
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
    /// One permit for each handler and each piece of background work that has started.
    started: Arc<Semaphore>,
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
        self.started.add_permits(1);
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
        run_in_background(request, move |_, _| {
            this.started.add_permits(1);
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
        run_in_background(request, |request, _| match request.node.as_str() {
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

/// Records all reports as text.
#[derive(Debug, Default)]
struct RecordingObserver(Mutex<Vec<String>>);

impl Observer for RecordingObserver {
    fn on_call_started(&self, kind: CallKind) {
        self.0.lock().unwrap().push(format!("{kind:?} started"));
    }

    fn on_call_ended(&self, kind: CallKind) {
        self.0.lock().unwrap().push(format!("{kind:?} ended"));
    }

    fn on_refused(&self, reason: Refusal) {
        self.0.lock().unwrap().push(reason.as_str().to_owned());
    }
}

type Client = ExecutorServiceClient<Admission<ExecutorServiceServer<Fake>>>;

struct Scene {
    fake: Fake,
    finish: mpsc::Sender<()>,
    observer: Arc<RecordingObserver>,
    shutdown: CancellationToken,
    admission: Admission<ExecutorServiceServer<Fake>>,
}

impl Scene {
    fn new(limits: Limits) -> Self {
        Self::with_authenticator(limits, None)
    }

    fn with_authenticator(limits: Limits, authenticator: Option<Arc<dyn Authenticator>>) -> Self {
        let (finish, work) = mpsc::channel();
        let fake = Fake {
            started: Arc::new(Semaphore::new(0)),
            go: Arc::new(Semaphore::new(0)),
            work: Arc::new(Mutex::new(work)),
        };
        let (observer, shutdown) = (Arc::new(RecordingObserver::default()), CancellationToken::new());
        let service = ExecutorServiceServer::new(fake.clone())
            .max_decoding_message_size(limits.max_message_bytes)
            .max_encoding_message_size(limits.max_message_bytes);
        let methods = Methods::from_descriptors(everynode_proto::FILE_DESCRIPTOR_SET).unwrap();
        let authenticator = authenticator.map(LimitedAuthenticator::new);
        let limiter = Limiter::new(limits, observer.clone(), shutdown.clone());
        let admission = AdmissionLayer::new(limiter, methods, None, authenticator).layer(service);
        Self {
            fake,
            finish,
            observer,
            shutdown,
            admission,
        }
    }

    fn client(&self) -> Client {
        ExecutorServiceClient::new(self.admission.clone())
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

    /// Waits until a handler or background work has started.
    async fn wait_for_start(&self) {
        self.fake.started.acquire().await.unwrap().forget();
    }

    fn reports(&self) -> Vec<String> {
        self.observer.0.lock().unwrap().clone()
    }
}

/// Asserts that the call is refused temporarily, with this text in the message and with the time to wait before a
/// retry.
#[track_caller]
fn assert_retryable(status: &Status, code: Code, message: &str) {
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(message), "{status}");
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(retry, Some(Duration::from_secs(1)), "{status}");
}

#[tokio::test(start_paused = true)]
async fn call_over_the_limit_is_refused_after_one_second() {
    let scene = Scene::new(LIMITS);
    let first = scene.call();
    scene.wait_for_start().await;
    let began = Instant::now();
    let refused = scene.call().await.unwrap().unwrap_err();
    assert_retryable(
        &refused,
        Code::ResourceExhausted,
        "the limit of 1 concurrent calls",
    );
    assert_eq!(began.elapsed().as_millis() / 10, 100);
    scene.fake.go.add_permits(1);
    first.await.unwrap().unwrap();
    assert_eq!(scene.reports(), ["Unary started", "calls", "Unary ended"]);
}

#[tokio::test(start_paused = true)]
async fn waiting_call_is_served_when_a_permit_becomes_free() {
    let scene = Scene::new(LIMITS);
    let (first, second) = (scene.call(), scene.call());
    scene.wait_for_start().await;
    scene.fake.go.add_permits(1);
    scene.wait_for_start().await;
    scene.fake.go.add_permits(1);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(
        scene.reports(),
        ["Unary started", "Unary ended", "Unary started", "Unary ended"]
    );
}

#[tokio::test(start_paused = true)]
async fn call_ends_at_the_shorter_of_the_deadlines_of_server_and_caller() {
    let scene = Scene::new(LIMITS);
    let began = Instant::now();
    let late = scene.call().await.unwrap().unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 30);
    let message = "longer than 30 s, the server's deadline for calls (--call-deadline)";
    assert_retryable(&late, Code::DeadlineExceeded, message);

    let mut request = Request::new(GetInfoRequest {});
    request.set_timeout(Duration::from_millis(1_500));
    let late = scene.client().get_info(request).await.unwrap_err();
    let message = "longer than 1.5 s, the caller's deadline (grpc-timeout)";
    assert_retryable(&late, Code::DeadlineExceeded, message);
    assert_eq!(began.elapsed().as_secs(), 31);

    let mut request = Request::new(GetInfoRequest {});
    request.set_timeout(Duration::from_hours(1));
    let late = scene.client().get_info(request).await.unwrap_err();
    assert_retryable(&late, Code::DeadlineExceeded, "longer than 30 s, the server's");
}

#[tokio::test(start_paused = true)]
async fn callers_deadline_applies_while_the_call_waits_for_a_permit() {
    let scene = Scene::new(LIMITS);
    let first = scene.call();
    scene.wait_for_start().await;
    let mut request = Request::new(GetInfoRequest {});
    request.set_timeout(Duration::from_millis(200));
    let late = scene.client().get_info(request).await.unwrap_err();
    assert_retryable(&late, Code::DeadlineExceeded, "longer than 0.2 s, the caller's");
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn call_of_a_disconnected_caller_returns_its_permit() {
    let scene = Scene::new(LIMITS);
    let first = scene.call();
    scene.wait_for_start().await;
    first.abort();
    scene.fake.go.add_permits(1);
    scene.call().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn background_work_holds_its_permit_until_it_ends_after_its_caller_disconnected() {
    let scene = Scene::new(LIMITS);
    let abandoned = scene.work();
    scene.wait_for_start().await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    let refused = {
        let refused = scene.call();
        // Paused time doesn't advance by itself while background work runs.
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(1)).await;
        refused.await.unwrap().unwrap_err()
    };
    assert_retryable(&refused, Code::ResourceExhausted, "--max-concurrent-calls");
    scene.finish.send(()).unwrap();
    scene.fake.go.add_permits(1);
    scene.call().await.unwrap().unwrap();
}

#[tokio::test]
async fn work_never_starts_if_its_caller_disconnected_while_it_waited_for_a_processor() {
    let processors = thread::available_parallelism().unwrap().get();
    let scene = Scene::new(Limits {
        max_concurrent_calls: u32::try_from(processors).unwrap() + 2,
        ..LIMITS
    });
    let mut working = Vec::new();
    for _ in 0..processors {
        working.push(scene.work());
        scene.wait_for_start().await;
    }
    let (abandoned, stays) = (scene.work(), scene.work());
    // Once admitted, both calls wait for a processor.
    while scene.reports().len() < processors + 2 {
        tokio::task::yield_now().await;
    }
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    for _ in 0..=processors {
        scene.finish.send(()).unwrap();
    }
    stays.await.unwrap().unwrap();
    for work in working {
        work.await.unwrap().unwrap();
    }
    scene.wait_for_start().await;
    assert_eq!(scene.fake.started.available_permits(), 0);
}

#[tokio::test]
async fn panic_in_background_work_is_internal_and_returns_the_permit() {
    let scene = Scene::new(LIMITS);
    for _ in 0..3 {
        let request = GetNodeOverheadRequest { node: "panic".into() };
        let failed = scene.client().get_node_overhead(request).await.unwrap_err();
        assert_eq!(failed.code(), Code::Internal, "{failed}");
    }
}
