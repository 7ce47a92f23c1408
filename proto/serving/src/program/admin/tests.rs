use std::{net::SocketAddr, time::Duration};

use axum::{body::Bytes, http::StatusCode, routing::get};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    net::TcpStream,
    time::{Instant, timeout},
};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::service_fn;

use super::*;
use crate::serve::Health;

const PROBE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
/// A local operation that takes longer than this is stuck.
const HANG_TIMEOUT: Duration = Duration::from_secs(20);

async fn pages() -> Router {
    let health = Health::new("everynode.test").await;
    health.set_serving(true).await;
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/never", get(std::future::pending::<&str>))
        .route("/large", get(|| async { vec![b'x'; 1024 * 1024] }))
        .route("/body", axum::routing::post(|_: Bytes| async { StatusCode::OK }))
        .route("/metrics", get(|| async { vec![b'm'; 1024 * 1024] }))
        .route_service(Health::ROUTE, health.service())
}

/// Opens a connection in memory and returns the caller's end.
fn connect(port: &Port) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    port.accept(theirs);
    ours
}

/// Sends a request and reads the first line of the response.
async fn send_request(io: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> String {
    io.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") {
        answer.push(io.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

/// Sends a probe and reads the whole response, so that the same connection can take the next request.
async fn probe(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    assert_eq!(send_request(io, PROBE).await, "HTTP/1.1 200 OK\r\n");
    let mut rest = Vec::new();
    while !rest.ends_with(b"ok\n") {
        rest.push(io.read_u8().await.unwrap());
    }
}

/// Measures how long the connection stays open while the caller sends nothing.
async fn time_until_closed(mut io: DuplexStream) -> Duration {
    let started = Instant::now();
    // Bytes that the server sends until then don't matter, for example a response that states the reason.
    let _ = io.read_to_end(&mut Vec::new()).await;
    started.elapsed()
}

fn assert_about(took: Duration, deadline: Duration) {
    let slack = CHECK_INTERVAL + CLOSE_TIMEOUT;
    assert!(
        took >= deadline && took <= deadline + slack,
        "{took:?} instead of {deadline:?}"
    );
}

async fn health_client(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> HealthClient<Channel> {
    let mut io = Some(TokioIo::new(io));
    let connector = service_fn(move |_| {
        let io = io.take().ok_or_else(|| io::Error::other("only one connection"));
        async { io }
    });
    let endpoint = Endpoint::from_static("http://admin");
    HealthClient::new(endpoint.connect_with_connector(connector).await.unwrap())
}

fn of_the_server() -> HealthCheckRequest {
    HealthCheckRequest {
        service: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn connection_without_requests_is_closed_at_the_head_timeout() {
    let port = Port::new(pages().await);
    assert_about(time_until_closed(connect(&port)).await, HEAD_TIMEOUT);
    let mut http2 = connect(&port);
    // The preface and empty settings: from here on, the connection could send a request at any time.
    http2
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    assert_about(time_until_closed(http2).await, HEAD_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn slow_request_head_closes_new_and_used_connections() {
    let port = Port::new(pages().await);
    for has_had_request in [false, true] {
        let mut io = connect(&port);
        if has_had_request {
            probe(&mut io).await;
            tokio::time::sleep(IDLE_TIMEOUT / 2).await;
        }
        let started = Instant::now();
        for byte in PROBE {
            if io.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
        let took = started.elapsed();
        assert!(
            took >= HEAD_TIMEOUT && took < HEAD_TIMEOUT + Duration::from_secs(3),
            "{took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn connection_stays_open_between_scrapes_and_closes_at_the_idle_timeout() {
    let port = Port::new(pages().await);
    let mut io = connect(&port);
    for _ in 0..5 {
        probe(&mut io).await;
        tokio::time::sleep(IDLE_TIMEOUT / 2).await;
    }
    probe(&mut io).await;
    assert_about(time_until_closed(io).await, IDLE_TIMEOUT);
    assert!(port.connections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn slow_request_closes_its_connection_whichever_side_is_slow() {
    let port = Port::new(pages().await);
    for request in [
        // The page is never produced.
        &b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        // The body never arrives.
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
    ] {
        let mut io = connect(&port);
        io.write_all(request).await.unwrap();
        assert_about(time_until_closed(io).await, REQUEST_TIMEOUT);
    }
    // The caller doesn't read the response.
    let mut io = connect(&port);
    io.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(REQUEST_TIMEOUT + CHECK_INTERVAL + CLOSE_TIMEOUT * 2).await;
    assert!(port.connections.is_empty());
    let mut answer = Vec::new();
    io.read_to_end(&mut answer).await.unwrap();
    assert!(answer.len() < 512 * 1024, "{}", answer.len());
}

#[tokio::test(start_paused = true)]
async fn too_large_body_is_refused() {
    let port = Port::new(pages().await);
    let mut io = connect(&port);
    let mut request = b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 8192\r\n\r\n".to_vec();
    request.extend([b'x'; 8192]);
    let answer = send_request(&mut io, &request).await;
    assert_eq!(answer, "HTTP/1.1 413 Payload Too Large\r\n");
}

#[tokio::test(start_paused = true)]
async fn too_large_head_is_refused() {
    let port = Port::new(pages().await);
    let mut io = connect(&port);
    let request = format!(
        "GET /livez HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(32 * 1024)
    );
    let answer = send_request(&mut io, request.as_bytes()).await;
    assert_eq!(answer, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
}

#[tokio::test(start_paused = true)]
async fn connection_over_the_limit_evicts_the_one_that_is_idle_for_longest() {
    let port = Port::new(pages().await);
    let mut first = connect(&port);
    let mut second = connect(&port);
    tokio::time::sleep(Duration::from_secs(1)).await;
    // After this request, the second connection has been idle for longer than the first one.
    probe(&mut first).await;
    let _others: Vec<_> = (2..MAX_CONNECTIONS).map(|_| connect(&port)).collect();
    let mut new_connection = connect(&port);
    probe(&mut new_connection).await;
    assert_eq!(
        second.read(&mut [0]).await.unwrap(),
        0,
        "the second one is closed"
    );
    probe(&mut first).await;
}

#[tokio::test(start_paused = true)]
async fn connection_with_a_request_is_never_evicted() {
    let port = Port::new(pages().await);
    let mut busy = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut io = connect(&port);
        io.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        busy.push(io);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut refused = connect(&port);
    assert_eq!(
        refused.read(&mut [0]).await.unwrap(),
        0,
        "the new connection is closed"
    );
    // They hold their slots no longer than a request may take.
    tokio::time::sleep(REQUEST_TIMEOUT + CHECK_INTERVAL + CLOSE_TIMEOUT * 2).await;
    probe(&mut connect(&port)).await;
}

#[tokio::test(start_paused = true)]
async fn health_is_served_over_http2_with_a_limit_of_watches() {
    let port = Port::new(pages().await);
    let mut client = health_client(connect(&port)).await;
    let mut watches = Vec::new();
    for _ in 0..8 {
        let mut watch = client.watch(of_the_server()).await.unwrap().into_inner();
        let response = watch.message().await.unwrap().unwrap();
        assert_eq!(response.status(), ServingStatus::Serving);
        watches.push(watch);
    }
    let refusal = client.watch(of_the_server()).await.unwrap_err();
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal}");
    // A watch outlasts every deadline, and callers that check are not disturbed by callers that watch.
    tokio::time::sleep(IDLE_TIMEOUT * 3).await;
    let checked = client.check(of_the_server()).await.unwrap().into_inner();
    assert_eq!(checked.status(), ServingStatus::Serving);
    drop(watches.pop());
    // The slot is free once the server has noticed that the watch is gone.
    let again = async {
        while client.watch(of_the_server()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG_TIMEOUT, again).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn unread_metrics_pages_delay_others_only_until_the_request_timeout() {
    let port = Port::new(pages().await);
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut io = connect(&port);
        io.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        unread.push(io);
    }
    tokio::time::sleep(REQUEST_TIMEOUT / 2).await;
    let mut scraper = connect(&port);
    let started = Instant::now();
    let answer = send_request(&mut scraper, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\n");
    let took = started.elapsed();
    assert!(took > REQUEST_TIMEOUT / 4 && took < REQUEST_TIMEOUT, "{took:?}");
}

async fn served() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, pages().await));
    address
}

#[tokio::test]
async fn seventy_silent_connections_block_no_probe() {
    let address = served().await;
    let mut silent = Vec::new();
    for _ in 0..70 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut io = TcpStream::connect(address).await.unwrap();
    timeout(HANG_TIMEOUT, probe(&mut io)).await.unwrap();
    let mut client = health_client(TcpStream::connect(address).await.unwrap()).await;
    let checked = timeout(HANG_TIMEOUT, client.check(of_the_server()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(checked.into_inner().status(), ServingStatus::Serving);
}
