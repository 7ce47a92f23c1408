//! Tests with a collector and two programs in one process. Each program has its own thread and its own exporter.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use everynode_proto::planner::v1::{
    ExplainRequest, GetInfoRequest, planner_service_client::PlannerServiceClient,
};
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::{ResourceSpans, Span, span::SpanKind, status::StatusCode},
};
use tokio::{runtime, sync::mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Status,
    body::Body,
    server::NamedService,
    transport::{Channel, Endpoint, server::TcpIncoming},
};
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::serve::{Limits, Server, trace::inject};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const LIMITS: Limits = Limits {
    max_concurrent_calls: 4,
    max_streams: 4,
    streams: "sessions",
    call_deadline: Duration::from_secs(30),
    max_message_bytes: 64 * 1024,
};
/// Upper limit of every wait in these tests.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// A collector that forwards the spans it receives to a channel.
struct Collector(mpsc::UnboundedSender<Vec<ResourceSpans>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let _ = self.0.send(request.into_inner().resource_spans);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Answers `Explain` with an empty message, after calling the next program if there is one. Fails every other call.
#[derive(Clone)]
struct Program(Option<Channel>);

impl NamedService for Program {
    const NAME: &'static str = "everynode.planner.v1.PlannerService";
}

impl tower::Service<Request<Body>> for Program {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let next = self.0.clone();
        Box::pin(async move {
            if !request.uri().path().ends_with("/Explain") {
                return Ok(Status::internal("a bug").into_http());
            }
            if let Some(next) = next {
                let mut request = tonic::Request::new(ExplainRequest::default());
                inject(&mut request);
                PlannerServiceClient::new(next).explain(request).await.unwrap();
            }
            let empty = Full::new(bytes());
            let response = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "0");
            Ok(response.body(Body::new(empty)).unwrap())
        })
    }
}

/// An empty gRPC message.
fn bytes() -> prost::bytes::Bytes {
    prost::bytes::Bytes::from_static(&[0; 5])
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// Starts a program that serves until it is stopped. When its thread has ended, its spans have been exported.
fn program(
    name: &'static str,
    endpoint: &str,
    next: Option<SocketAddr>,
    stop: &CancellationToken,
) -> (SocketAddr, thread::JoinHandle<()>) {
    let (listener, address) = listen();
    let exporter = Exporter::new(endpoint, name).unwrap();
    let stop = stop.clone();
    let run = move || {
        let subscriber = tracing_subscriber::registry().with(exporter.layer());
        let serve = async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let server = Server::new(Program(next.map(channel)), LIMITS, stop)
                .await
                .unwrap();
            server.serve_tcp(listener).await.unwrap();
        };
        tracing::subscriber::with_default(subscriber, || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(serve);
        });
        drop(exporter);
    };
    (address, thread::spawn(run))
}

/// A span and the program that exported it.
#[derive(Debug)]
struct ExportedSpan {
    program: String,
    span: Span,
}

fn exported_spans(resources: Vec<ResourceSpans>) -> impl Iterator<Item = ExportedSpan> {
    resources.into_iter().flat_map(|resource| {
        let attributes = resource.resource.unwrap().attributes;
        let name = attributes.into_iter().find(|named| named.key == "service.name");
        let Some(Value::StringValue(program)) = name.unwrap().value.unwrap().value else {
            panic!("the program's name is a string");
        };
        let scopes = resource.scope_spans.into_iter();
        scopes
            .flat_map(|scope| scope.spans)
            .map(move |span| ExportedSpan {
                program: program.clone(),
                span,
            })
    })
}

fn traced<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request
        .metadata_mut()
        .insert("traceparent", PARENT.parse().unwrap());
    request
}

#[test]
fn otlp_call_with_a_traceparent_is_one_trace_through_both_programs() {
    let (listener, collector) = listen();
    let (sender, mut spans) = mpsc::unbounded_channel();
    let runtime = runtime::Runtime::new().unwrap();
    let collect = async {
        let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
        let service = TraceServiceServer::new(Collector(sender));
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming)
            .await
    };
    let collecting = runtime.spawn(collect);
    let endpoint = format!("http://{collector}");
    let stop = CancellationToken::new();
    let (planner, planning) = program("planner", &endpoint, None, &stop);
    let (executor, executing) = program("executor", &endpoint, Some(planner), &stop);

    runtime.block_on(async {
        let mut client = PlannerServiceClient::new(channel(executor));
        client.explain(traced(ExplainRequest::default())).await.unwrap();
        // This call carries no trace, and fails.
        let error = client.get_info(GetInfoRequest::default()).await.unwrap_err();
        assert_eq!(error.code(), Code::Internal);
    });
    // The queued spans are exported on exit.
    stop.cancel();
    planning.join().unwrap();
    executing.join().unwrap();
    collecting.abort();
    runtime.shutdown_timeout(MAX_WAIT);

    let spans: Vec<_> = std::iter::from_fn(|| spans.try_recv().ok())
        .flat_map(exported_spans)
        .collect();
    let of = |program: &str, method: &str| {
        let name = format!("everynode.planner.v1.PlannerService/{method}");
        let found = spans
            .iter()
            .find(|exported| exported.program == program && exported.span.name == name);
        &found
            .unwrap_or_else(|| panic!("{program} has exported {method}: {spans:?}"))
            .span
    };
    let (executors, planners) = (of("executor", "Explain"), of("planner", "Explain"));
    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    assert_eq!(executors.trace_id, trace);
    assert_eq!(planners.trace_id, trace);
    assert_eq!(executors.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(planners.parent_span_id, executors.span_id);
    assert_eq!(executors.kind(), SpanKind::Server);
    let failed = of("executor", "GetInfo");
    assert_ne!(failed.trace_id, trace);
    assert!(failed.parent_span_id.is_empty(), "the span has no parent");
    assert_eq!(failed.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(spans.len(), 3, "{spans:?}");
}

#[test]
fn otlp_missing_or_silent_collector_fails_no_call_and_the_program_ends_in_time() {
    let (gone, address) = listen();
    drop(gone);
    // The kernel accepts connections to this address, but nothing ever answers.
    let (_silent, silent) = listen();
    for collector in [address, silent] {
        let stop = CancellationToken::new();
        let (planner, planning) = program("planner", &format!("http://{collector}"), None, &stop);
        let runtime = runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut client = PlannerServiceClient::new(channel(planner));
            for _ in 0..3_000 {
                client.explain(traced(ExplainRequest::default())).await.unwrap();
            }
        });
        drop(runtime);
        let began = Instant::now();
        stop.cancel();
        planning.join().unwrap();
        let took = began.elapsed();
        assert!(took < EXPORT_DEADLINE, "the program ended after {took:?}");
    }
}

#[test]
fn otlp_error_names_the_invalid_url_and_its_flag() {
    for url in [
        "",
        "collector",
        "collector:4317",
        "ftp://collector",
        "http://",
        "http://a b",
    ] {
        let error = Exporter::new(url, "program").unwrap_err().to_string();
        assert!(error.contains(&format!("--otlp-endpoint {url:?}")), "{error}");
    }
    for url in ["http://collector:4317", "https://collector", "http://[::1]:4317/"] {
        assert!(Exporter::new(url, "program").is_ok(), "{url}");
    }
}

#[test]
fn otlp_warnings_about_failed_exports_are_rate_limited() {
    let exporter = WarningExporter::new((), "http://collector");
    assert!(exporter.should_warn());
    assert!((0..1_000).all(|_| !exporter.should_warn()));
    *exporter.last_warning.lock() = Instant::now().checked_sub(WARN_INTERVAL);
    assert!(exporter.should_warn());
}
