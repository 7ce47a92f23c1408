//! Tests of a server that runs as in a program: what only clients with connections can observe.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

// The integration tests of the programs use the same certificates.
#[expect(
    dead_code,
    unreachable_pub,
    reason = "it is a part of the harness, whose own crate shows it"
)]
#[path = "../../../../tests/src/certificates.rs"]
mod certificates;
mod tls;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use everynode_proto::executor::v1::{
    ExplainRequest, ExplainResponse, GetInfoRequest, GetInfoResponse, GetNodeOverheadRequest,
    GetNodeOverheadResponse, ListDaemonSetsRequest, ListDaemonSetsResponse, Placement, WatchPlansRequest,
    WatchPlansResponse,
    executor_service_client::ExecutorServiceClient,
    executor_service_server::{ExecutorService, ExecutorServiceServer, SERVICE_NAME},
};
use everynode_serving::serve::{CallKind, Health, Limits, Observer, Refusal, Server, run_in_background};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, DuplexStream},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
    time::Instant,
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_client::ServerReflectionClient};
use tower::{Service, ServiceExt};

const LIMITS: Limits = Limits {
    max_concurrent_calls: 1,
    max_streams: 1,
    streams: "watches",
    call_deadline: Duration::from_secs(30),
    max_message_bytes: 4 * 1024 * 1024,
};

/// A service that answers at once: `GetInfo` returns a small answer, `Explain` a large one.
struct Fake;

#[tonic::async_trait]
impl ExecutorService for Fake {
    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        Ok(Response::new(GetInfoResponse::default()))
    }

    async fn list_daemon_sets(
        &self,
        _: Request<ListDaemonSetsRequest>,
    ) -> Result<Response<ListDaemonSetsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        run_in_background(request, |_, _| {
            Ok(ExplainResponse {
                placements: vec![Placement::default(); 1024 * 1024],
                ..ExplainResponse::default()
            })
        })
        .await
    }

    async fn get_node_overhead(
        &self,
        _: Request<GetNodeOverheadRequest>,
    ) -> Result<Response<GetNodeOverheadResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    type WatchPlansStream = tokio_stream::Pending<Result<WatchPlansResponse, Status>>;

    async fn watch_plans(
        &self,
        _: Request<WatchPlansRequest>,
    ) -> Result<Response<Self::WatchPlansStream>, Status> {
        Ok(Response::new(tokio_stream::pending()))
    }
}

/// Records all refusals.
#[derive(Debug, Default)]
struct RecordedRefusals(Mutex<Vec<Refusal>>);

impl Observer for RecordedRefusals {
    fn on_call_started(&self, _: CallKind) {}
    fn on_call_ended(&self, _: CallKind) {}
    fn on_refused(&self, reason: Refusal) {
        self.0.lock().unwrap().push(reason);
    }
}

/// A server on in-memory connections.
struct RunningServer {
    health: Health,
    shutdown: CancellationToken,
    connections: mpsc::UnboundedSender<io::Result<DuplexStream>>,
    end: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl RunningServer {
    async fn start() -> Self {
        Self::start_with(|server| server).await
    }

    async fn start_with(configure: impl FnOnce(Server) -> Server) -> Self {
        let shutdown = CancellationToken::new();
        let service = ExecutorServiceServer::new(Fake)
            .max_decoding_message_size(LIMITS.max_message_bytes)
            .max_encoding_message_size(LIMITS.max_message_bytes);
        let server = configure(Server::new(service, LIMITS, shutdown.clone()).await.unwrap());
        let health = server.health();
        let (connections, incoming) = mpsc::unbounded_channel();
        let end = tokio::spawn(server.serve(UnboundedReceiverStream::new(incoming)));
        Self {
            health,
            shutdown,
            connections,
            end,
        }
    }

    async fn connect(&self) -> Channel {
        let connections = self.connections.clone();
        let connect = move |_| {
            let (client, server) = tokio::io::duplex(64 * 1024);
            connections.send(Ok(server)).unwrap();
            async { Ok::<_, io::Error>(TokioIo::new(client)) }
        };
        Endpoint::from_static("http://executor")
            .initial_stream_window_size(65_535)
            .connect_with_connector(tower::service_fn(connect))
            .await
            .unwrap()
    }

    async fn client(&self) -> ExecutorServiceClient<Channel> {
        ExecutorServiceClient::new(self.connect().await)
    }
}

#[tokio::test]
async fn server_serves_health_and_calls_and_ends_all_streams_on_shutdown() {
    let server = RunningServer::start().await;
    let mut health = HealthClient::new(server.connect().await);
    let request = HealthCheckRequest {
        service: SERVICE_NAME.to_owned(),
    };
    let before = health.check(request.clone()).await.unwrap().into_inner();
    assert_eq!(before.status(), ServingStatus::NotServing);
    server.health.set_serving(true).await;
    let after = health.check(request.clone()).await.unwrap().into_inner();
    assert_eq!(after.status(), ServingStatus::Serving);

    let mut client = server.client().await;
    client.get_info(GetInfoRequest {}).await.unwrap();
    let plans = client.watch_plans(WatchPlansRequest::default()).await;
    let mut plans = plans.unwrap().into_inner();
    let mut healths = health.watch(request).await.unwrap().into_inner();
    assert!(healths.message().await.unwrap().is_some());
    server.shutdown.cancel();
    assert_eq!(plans.message().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(healths.message().await.unwrap_err().code(), Code::Unavailable);
    server.end.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn unread_answer_closes_the_connection_at_the_deadline() {
    let server = RunningServer::start().await;
    assert_unread_answer_closes_connection(server.connect().await, server.connect().await).await;
}

/// Requests a large answer on one channel and doesn't read it. Asserts that the server closes the connection at the
/// deadline, and that a call on the other channel can then have the permit.
async fn assert_unread_answer_closes_connection(mut channel: Channel, other: Channel) {
    let empty_message = Body::new(Full::new(Bytes::from_static(&[0; 5])));
    let request = http::Request::post("http://executor/everynode.executor.v1.ExecutorService/Explain")
        .header("content-type", "application/grpc")
        .body(empty_message)
        .unwrap();
    let began = Instant::now();
    let answer = channel.ready().await.unwrap().call(request).await.unwrap();
    // Only the beginning of the answer has been sent, so its call still holds the only permit.
    let mut other = ExecutorServiceClient::new(other);
    while let Err(refused) = other.get_info(GetInfoRequest {}).await {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    }
    let took = began.elapsed().as_secs();
    assert!((30..35).contains(&took), "after {took} s");
    assert!(answer.into_body().collect().await.is_err());
}

#[tokio::test]
async fn connection_over_the_limit_evicts_the_one_that_has_been_idle_for_longest() {
    let refusals = Arc::new(RecordedRefusals::default());
    let observer = refusals.clone();
    let server = RunningServer::start_with(|server| server.with_observer(observer)).await;
    let mut watching = server.client().await;
    let watch = watching.watch_plans(WatchPlansRequest::default()).await.unwrap();
    let mut open = Vec::new();
    for _ in 1..LIMITS.max_connections() {
        let channel = server.connect().await;
        ExecutorServiceClient::new(channel.clone())
            .get_info(GetInfoRequest {})
            .await
            .unwrap();
        open.push(channel);
    }
    let mut new_client = server.client().await;
    new_client.get_info(GetInfoRequest {}).await.unwrap();
    assert_eq!(*refusals.0.lock().unwrap(), [Refusal::Connections]);
    // The first channel has lost its connection. Its next call opens another one, which takes the second
    // channel's slot. The second channel's next call evicts the third.
    for channel in open.into_iter().take(2) {
        let mut client = ExecutorServiceClient::new(channel);
        while client.get_info(GetInfoRequest {}).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(*refusals.0.lock().unwrap(), [Refusal::Connections; 3]);
    // The watch's connection is the oldest, but it isn't idle and stays open.
    let mut watch = watch.into_inner();
    let more = tokio::time::timeout(Duration::from_millis(10), watch.message()).await;
    assert!(more.is_err(), "the watch has ended: {more:?}");
}

#[tokio::test(start_paused = true)]
async fn connection_without_a_request_closes_after_half_a_minute() {
    let server = RunningServer::start().await;
    let (mut idle, io) = tokio::io::duplex(64 * 1024);
    server.connections.send(Ok(io)).unwrap();
    let began = Instant::now();
    let mut greeting = Vec::new();
    idle.read_to_end(&mut greeting).await.unwrap();
    let took = began.elapsed().as_secs();
    assert!((30..35).contains(&took), "after {took} s");
}

#[tokio::test]
async fn local_port_has_permits_of_its_own() {
    let (shutdown, bind) = (CancellationToken::new(), || TcpListener::bind("127.0.0.1:0"));
    let (main, local) = (bind().await.unwrap(), bind().await.unwrap());
    let [main_url, own_url] = [&main, &local].map(|port| format!("http://{}", port.local_addr().unwrap()));
    let server = Server::new(ExecutorServiceServer::new(Fake), LIMITS, shutdown.clone());
    let server = server.await.unwrap().with_local_port(local);
    let end = tokio::spawn(server.serve_tcp(main));
    let client = async |url: String| ExecutorServiceClient::connect(url).await.unwrap();
    let mut first = client(main_url.clone()).await;
    let watch = first.watch_plans(WatchPlansRequest::default()).await.unwrap();
    let mut second = client(main_url).await;
    let refused = second
        .watch_plans(WatchPlansRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let mut beside = client(own_url).await;
    beside.watch_plans(WatchPlansRequest::default()).await.unwrap();
    drop(watch);
    shutdown.cancel();
    end.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn health_and_reflection_share_few_permits_and_health_messages_are_small() {
    let server = RunningServer::start().await;
    let mut watches = Vec::new();
    let (refused, channel) = loop {
        let channel = server.connect().await;
        let mut health = HealthClient::new(channel.clone());
        match health.watch(HealthCheckRequest::default()).await {
            Ok(watch) => watches.push((watch, health)),
            Err(refused) => break (refused, channel),
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(watches.len(), 64);
    let requests = tokio_stream::pending::<ServerReflectionRequest>();
    let mut reflection = ServerReflectionClient::new(channel);
    let refused = reflection.server_reflection_info(requests).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    watches.clear();
    let mut health = HealthClient::new(server.connect().await);
    let large = HealthCheckRequest {
        service: "x".repeat(20 * 1024),
    };
    let refused = loop {
        let refused = health.check(large.clone()).await.unwrap_err();
        if refused.message().contains("split the request") {
            break refused;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let request = HealthCheckRequest {
        service: SERVICE_NAME.to_owned(),
    };
    health.check(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn reflection_ends_after_a_minute() {
    let server = RunningServer::start().await;
    let mut client = ServerReflectionClient::new(server.connect().await);
    let began = Instant::now();
    let requests = tokio_stream::pending::<ServerReflectionRequest>();
    let mut answers = client
        .server_reflection_info(requests)
        .await
        .unwrap()
        .into_inner();
    let end = answers.message().await.unwrap_err();
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end}");
    assert!((60..65).contains(&began.elapsed().as_secs()));
}

#[tokio::test]
async fn too_large_headers_are_refused() {
    let server = RunningServer::start().await;
    let mut client = server.client().await;
    let request = |header_bytes: usize| {
        let mut request = Request::new(GetInfoRequest {});
        let header = "x".repeat(header_bytes).parse().unwrap();
        request.metadata_mut().insert("header", header);
        request
    };
    client.get_info(request(12 * 1024)).await.unwrap();
    client.get_info(request(20 * 1024)).await.unwrap_err();
    client.get_info(request(12 * 1024)).await.unwrap();
}
