//! Slow clients hold connections, requests and messages open. They must neither block other clients nor exhaust
//! memory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use everynode_proto::planner::v1::planner_service_client::PlannerServiceClient;
use everynode_proto::planner::v1::{GetInfoRequest, Hello, SessionRequest};
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::{Planner, ServiceOptions};
use everynode_tests::wait::eventually;
use futures::StreamExt as _;
use http_body_util::StreamBody;
use hyper_util::rt::TokioIo;
use procfs::process::Process;
use prost::bytes::Bytes;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Service as _, ServiceExt as _};

use crate::tls::{self, Certificates};
use crate::world::DEADLINE;

/// Memory in MiB that slow clients may make a planner hold beyond the memory budget for their messages.
const MAX_EXTRA_MIB: u64 = 64;
/// The planner's memory budget in MiB for messages of streams: four messages of the largest size, 16 MiB.
const STREAM_BUDGET_MIB: u64 = 4 * 16;
/// The source address of the slow clients. `OTHER_CLIENT` is that of all other clients.
const SLOW_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);
const OTHER_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// One of eight addresses, so that the test can't pass because of a limit on a single address.
fn one_of_eight(network: u8, index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, network, 1 + u8::try_from(index % 8).unwrap())
}

/// A planner and its memory use.
struct Scene {
    planner: Planner,
    process: Process,
    before_mib: u64,
}

impl Scene {
    async fn start() -> Self {
        let programs = Programs::built(Profile::Dev).await.unwrap();
        let planner = Planner::start(&programs, ServiceOptions::default())
            .await
            .unwrap();
        let process = Process::new(planner.pid().unwrap()).unwrap();
        let mut this = Self {
            planner,
            process,
            before_mib: 0,
        };
        this.before_mib = this.peak_mib();
        this
    }

    fn peak_mib(&self) -> u64 {
        self.process.status().unwrap().vmhwm.unwrap() / 1024
    }

    fn address(&self) -> SocketAddr {
        self.planner.address().parse().unwrap()
    }

    async fn connect(&self, from: Ipv4Addr) -> Channel {
        let address = self.address();
        let connect = move |_| async move { tcp(from, address).await.map(TokioIo::new) };
        let endpoint = Endpoint::from_shared(self.planner.url()).unwrap();
        endpoint
            .connect_with_connector(tower::service_fn(connect))
            .await
            .unwrap()
    }

    /// Checks that another caller is served before the deadline.
    async fn check_others_served(&self) {
        let mut client = PlannerServiceClient::new(self.connect(OTHER_CLIENT).await);
        let answer = tokio::time::timeout(DEADLINE, client.get_info(GetInfoRequest {})).await;
        answer
            .expect("other callers are answered before the deadline")
            .unwrap();
        let mut health = HealthClient::new(self.connect(OTHER_CLIENT).await);
        health.check(HealthCheckRequest::default()).await.unwrap();
        let request = SessionRequest {
            sequence: 1,
            now: Some(prost_types::Timestamp::default()),
            hello: Some(Hello {
                cluster: "other".to_owned(),
                identity: "executor".to_owned(),
                epoch: 1,
                protocol: 1,
                ..Hello::default()
            }),
            facts: Vec::new(),
        };
        let requests = futures::stream::iter([request]).chain(futures::stream::pending());
        let session = tokio::time::timeout(DEADLINE, client.session(requests)).await;
        let mut answers = session
            .expect("other callers get a session before the deadline")
            .unwrap()
            .into_inner();
        assert!(answers.message().await.unwrap().is_some());
    }
}

/// Connects from an address of this machine.
async fn tcp(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    socket.connect(to).await
}

/// Announces a message of `announced` bytes, sends `sent` bytes of it, and then nothing more.
fn send_unfinished(mut channel: Channel, path: &str, announced: usize, sent: usize) -> JoinHandle<()> {
    let mut begun = vec![0];
    begun.extend(u32::try_from(announced).unwrap().to_be_bytes());
    begun.resize(5 + sent, 0);
    let frames = futures::stream::iter([Ok::<_, Status>(http_body::Frame::data(Bytes::from(begun)))]);
    let body = Body::new(StreamBody::new(frames.chain(futures::stream::pending())));
    let request = http::Request::post(format!("http://planner{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    tokio::spawn(async move {
        // How the request ends doesn't matter to the test.
        if let Ok(ready) = channel.ready().await
            && let Ok(answer) = ready.call(request).await
        {
            let mut body = std::pin::pin!(answer.into_body());
            while std::future::poll_fn(|context| http_body::Body::poll_frame(body.as_mut(), context))
                .await
                .is_some()
            {}
        }
    })
}

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const PLAN: &str = "/everynode.planner.v1.PlannerService/Plan";
const SESSION: &str = "/everynode.planner.v1.PlannerService/Session";
const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_requests_use_little_memory_and_block_no_other_caller() {
    let scene = Scene::start().await;
    let mut held = Vec::new();
    for (path, count, announced, sent) in [
        (REFLECTION, 100, 4 * MIB, 4 * MIB - 1),
        (HEALTH, 100, 4 * MIB, 4 * MIB - 1),
        (PLAN, 32, 64 * MIB, 1),
        (SESSION, 64, 16 * MIB, 1),
    ] {
        for index in 0..count {
            // Eight requests share a connection, as they would in an attack.
            let channel = if index % 8 == 0 {
                None
            } else {
                held.last().map(|(channel, _): &(Channel, _)| channel.clone())
            };
            let channel = match channel {
                Some(channel) => channel,
                None => scene.connect(SLOW_CLIENT).await,
            };
            let unfinished = send_unfinished(channel.clone(), path, announced, sent);
            held.push((channel, unfinished));
        }
        scene.check_others_served().await;
        let grown = scene.peak_mib() - scene.before_mib;
        println!("{count} unfinished requests to {path}: {grown} MiB");
        assert!(grown < MAX_EXTRA_MIB, "{path}: {grown} MiB");
    }
    for (_, unfinished) in held {
        unfinished.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_session_messages_stay_within_their_budget_and_block_no_executor() {
    let scene = Scene::start().await;
    let mut held = Vec::new();
    for _ in 0..24 {
        let channel = scene.connect(SLOW_CLIENT).await;
        held.push(send_unfinished(channel, SESSION, 16 * MIB, 15 * MIB));
    }
    // When the planner's memory stops growing, the planner has read as much as its limit admits.
    let mut before = 0;
    eventually(DEADLINE, "the planner's memory to be stable", async || {
        let now = scene.process.status().unwrap().vmrss.unwrap() / 1024;
        let (grown, last) = (
            now - scene.before_mib.min(now),
            std::mem::replace(&mut before, now),
        );
        anyhow::ensure!(now == last && grown > 32, "{now} MiB after {last} MiB");
        Ok(())
    })
    .await
    .unwrap();
    scene.check_others_served().await;
    let grown = scene.peak_mib() - scene.before_mib;
    println!("24 unfinished session messages: {grown} MiB");
    // The budget counts the bytes of messages. The buffers that hold them may be twice as large.
    assert!(grown < 2 * STREAM_BUDGET_MIB + MAX_EXTRA_MIB, "{grown} MiB");
    held.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_idle_connections_block_no_other_caller() {
    let scene = Scene::start().await;
    let mut silent = Vec::new();
    for index in 0..300 {
        let from = one_of_eight(1, index);
        silent.push(tcp(from, scene.address()).await.unwrap());
    }
    scene.check_others_served().await;
    let mut idle = Vec::new();
    for index in 0..200 {
        let channel = scene.connect(one_of_eight(2, index)).await;
        let mut health = HealthClient::new(channel.clone());
        health.check(HealthCheckRequest::default()).await.unwrap();
        idle.push(channel);
    }
    scene.check_others_served().await;
    let counted = scene
        .planner
        .metric("everynode_planner_refused_calls_total", "reason=\"connections\"")
        .await;
    assert!(counted.unwrap() > 0.0);
    drop((silent, idle));
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_handshakes_block_no_client_with_a_certificate() {
    let certificates = Certificates::new();
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let options = ServiceOptions {
        certificates: Some(certificates.planner.clone()),
        ..ServiceOptions::default()
    };
    let planner = Planner::start(&programs, options).await.unwrap();
    let address = planner.address().parse().unwrap();
    let mut silent = Vec::new();
    for index in 0..300 {
        let from = one_of_eight(1, index);
        silent.push(tcp(from, address).await.unwrap());
    }
    let url = planner.url();
    let connected = tokio::time::timeout(Duration::from_secs(3), tls::connect(&certificates.executor, &url));
    let channel = connected
        .await
        .expect("the client connects without waiting for the others")
        .unwrap();
    PlannerServiceClient::new(channel)
        .get_info(GetInfoRequest {})
        .await
        .unwrap();
    drop(silent);
}
