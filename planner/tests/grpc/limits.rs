//! Tests of the planner's limits, in paused time. The crate that implements the limits tests their details.

use everynode_proto::planner::v1::{
    GetInfoRequest, PlanRequest, PlanResponse, SyncComplete, fact::Fact,
    planner_service_client::PlannerServiceClient,
};
use everynode_serving::serve::Limits;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status, client::Grpc, transport::Channel};

use super::{
    Duration, Server, StatusExt,
    stream::{Executor, daemon_set, first, node},
};

const LIMITS: Limits = Limits {
    max_concurrent_calls: 1,
    max_streams: 1,
    streams: "sessions",
    call_deadline: Duration::from_secs(10),
    max_message_bytes: 1024 * 1024,
};

/// Begins a call to Plan whose request never arrives.
fn unfinished(channel: Channel) -> JoinHandle<Result<PlanResponse, Status>> {
    tokio::spawn(async move {
        let mut client = Grpc::new(channel);
        client.ready().await.unwrap();
        let requests = Request::new(tokio_stream::pending::<PlanRequest>());
        let path = http::uri::PathAndQuery::from_static("/everynode.planner.v1.PlannerService/Plan");
        let codec = tonic_prost::ProstCodec::default();
        let response = client.client_streaming(requests, path, codec).await?;
        Ok(response.into_inner())
    })
}

fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

#[tokio::test(start_paused = true)]
async fn get_info_reports_the_limits_in_force() {
    let server = Server::with(LIMITS).await;
    let info = server.client().await.get_info(GetInfoRequest {}).await.unwrap();
    let limits = info.into_inner().limits.unwrap();
    assert_eq!((limits.max_concurrent_calls, limits.max_sessions), (1, 1));
    assert_eq!(limits.call_deadline.unwrap().seconds, 10);
    assert_eq!(
        (limits.max_message_bytes, limits.max_request_bytes),
        (1024 * 1024, 4 * 1024 * 1024)
    );
}

#[tokio::test(start_paused = true)]
async fn calls_have_a_limit_and_a_deadline_and_metrics_count_refusals() {
    let server = Server::with(LIMITS).await;
    let metric = |name: &str| {
        let page = server.metrics.encode();
        let line = page.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit_once(' '))
            .unwrap_or_else(|| panic!("no {name} in {page}"))
            .1
            .to_owned()
    };
    let stuck = unfinished(server.connect().await);
    let mut client = server.client().await;
    // The limit is one call. Calls succeed until the stuck call takes the only slot.
    let refused = loop {
        if let Err(refused) = client.get_info(GetInfoRequest {}).await {
            break refused;
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("--max-concurrent-calls"), "{refused}");
    assert_eq!(retry_delay(&refused), Some(Duration::from_secs(1)));
    assert_eq!(metric("everynode_planner_calls_in_progress"), "1");
    assert_eq!(
        metric("everynode_planner_refused_calls_total{reason=\"calls\"}"),
        "1"
    );
    let late = stuck.await.unwrap().unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    assert!(late.message().contains("longer than 10 s"), "{late}");
    client.get_info(GetInfoRequest {}).await.unwrap();
    assert_eq!(
        metric("everynode_planner_refused_calls_total{reason=\"deadline\"}"),
        "1"
    );
}

#[tokio::test(start_paused = true)]
async fn session_beyond_the_limit_is_refused_until_another_ends() {
    let server = Server::with(LIMITS).await;
    let open = async |mut client: PlannerServiceClient<Channel>| {
        Executor::open(&mut client, first("c", 1)).await.map(drop)
    };
    let executor = Executor::begin(&mut server.client().await, "c", 1).await;
    let refused = open(server.client().await).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(
        refused.message().contains("the limit of 1 open sessions")
            && refused.message().contains("--max-sessions"),
        "{refused}"
    );
    assert_eq!(retry_delay(&refused), Some(Duration::from_secs(1)));
    drop(executor);
    open(server.client().await).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn too_many_facts_end_the_session_and_name_the_field() {
    let server = Server::with(LIMITS).await;
    let mut executor = Executor::begin(&mut server.client().await, "c", 1).await;
    executor.send(vec![Fact::SyncComplete(SyncComplete {}); 1_001]);
    let refused = executor.responses.message().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(
        refused
            .message()
            .starts_with("facts: has 1001 items, but at most 1000"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn idle_session_stays_open_for_hours() {
    let server = Server::with(LIMITS).await;
    let mut executor = Executor::begin(&mut server.client().await, "c", 1).await;
    let idle = tokio::time::timeout(Duration::from_hours(3), executor.responses.message()).await;
    assert!(idle.is_err(), "the session has ended: {idle:?}");
    executor.send([node("a"), daemon_set(), Fact::SyncComplete(SyncComplete {})]);
    assert_eq!(executor.plan().await.actions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn session_must_begin_before_the_deadline() {
    let server = Server::with(LIMITS).await;
    let mut client = server.client().await;
    let late = client.session(tokio_stream::pending()).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    Executor::begin(&mut client, "c", 1).await;
}
