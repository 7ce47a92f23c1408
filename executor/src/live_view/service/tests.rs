//! The whole service over in-memory connections. The main loop is real; the planner and the API servers are fakes.

mod daemon_sets;
mod lifetimes;
mod overheads;
mod planner;
mod pod_reasons;
mod rights;
mod serving;
mod watching;

use std::{io, time::Duration};

use clap::Parser;
use everynode_proto::executor::v1::{
    PlannerInfo, WaitCode, executor_service_client::ExecutorServiceClient, watch_plans_response::Event,
};
use futures::Stream;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{io::DuplexStream, task::JoinHandle};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{
    Code,
    transport::{Channel, Endpoint, Server as Serving, server::Router},
};
use tower::service_fn;

use self::planner::FakePlanner;
use super::*;
use crate::{
    controller::tests::{FakePlannerSession, Rig, accept, create, rig},
    program::args::Args,
    testing::{
        PODS, Server, agent, agent_json, agent_with, forbidden, not_found, pod_json, read, refusal,
        revision_json, server, with,
    },
};

/// A call in memory that takes longer than this hangs.
const DEADLINE: Duration = Duration::from_mins(1);

/// The service on top of a rig.
struct LiveViewRig {
    rig: Rig,
    /// The API server for the reads of the service. The rig has its own.
    api: Server,
    planner: FakePlanner,
    leads: state::Sender<Leadership>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    channel: Channel,
    client: ExecutorServiceClient<Channel>,
}

impl LiveViewRig {
    async fn new(rig: Rig) -> Self {
        let (leads, leadership) = state::channel(Leadership::ours("me"));
        let planner = FakePlanner::default();
        let (client, api) = server();
        let (stop, calls_end) = (CancellationToken::new(), CancellationToken::new());
        let executor = Executor {
            shutdown: calls_end.clone(),
            ..executor(&rig, &planner, leadership, Api::new(client))
        };
        let limits = Args::parse_from(["executor", "--planner=http://planner"]).limits();
        let server = server::server(executor, limits).await.unwrap();
        let health = server.health();
        let (channel, incoming) = in_memory();
        tokio::spawn(server.serve(incoming));
        let health_tracker = server::track_health(health, rig.health.clone(), stop.clone());
        let task = tokio::spawn(async move {
            health_tracker.await;
            calls_end.cancel();
            Ok(())
        });
        Self {
            rig,
            api,
            planner,
            leads,
            stop,
            task,
            client: ExecutorServiceClient::new(channel.clone()),
            channel,
        }
    }

    /// Serves the agent with its revision r1 on these nodes, with a synced planner.
    async fn synced(nodes: &[&str], pods: &[Value]) -> (Self, FakePlannerSession) {
        let (rig, planned) = Rig::synced(nodes, pods).await;
        (Self::new(rig).await, planned)
    }

    /// Makes another executor the leader.
    fn set_leader(&self, leader: &str) {
        self.leads.send_replace(Leadership::of(leader));
    }

    async fn list(&mut self, namespace: &str, name: &str) -> Result<ListDaemonSetsResponse, Status> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let request = ListDaemonSetsRequest { namespace, name };
        soon(self.client.list_daemon_sets(request))
            .await
            .map(Response::into_inner)
    }

    async fn explain(&mut self, daemon_set: &str, node: &str) -> Result<ExplainResponse, Status> {
        let (daemon_set, node) = (daemon_set.to_owned(), node.to_owned());
        let request = ExplainRequest { daemon_set, node };
        soon(self.client.explain(request)).await.map(Response::into_inner)
    }

    async fn overhead(&mut self, node: &str) -> Result<GetNodeOverheadResponse, Status> {
        let node = node.to_owned();
        let request = GetNodeOverheadRequest { node };
        soon(self.client.get_node_overhead(request))
            .await
            .map(Response::into_inner)
    }

    async fn info(&mut self) -> GetInfoResponse {
        let answer = soon(self.client.get_info(GetInfoRequest {})).await;
        answer.unwrap().into_inner()
    }
}

/// Creates the service on top of a rig, for callers without tokens.
fn executor(rig: &Rig, planner: &FakePlanner, leadership: state::Receiver<Leadership>, api: Api) -> Executor {
    Executor {
        identity: "me".to_owned(),
        leadership,
        query_client: rig.query_client.clone(),
        planner: PlannerClient::new(served_in_memory(planner.router())),
        api,
        tokens: None,
        health: rig.health.clone(),
        metrics: rig.metrics.clone(),
        max_watch_duration: Duration::from_mins(30),
        shutdown: CancellationToken::new(),
    }
}

/// Creates a channel and the stream of its server-side connections, in memory.
fn in_memory() -> (Channel, impl Stream<Item = io::Result<DuplexStream>>) {
    let (connections, incoming) = tokio::sync::mpsc::unbounded_channel();
    let connect = move |_| {
        let (client, server) = tokio::io::duplex(1024 * 1024);
        let sent = connections.send(Ok(server));
        async move {
            sent.map(|()| TokioIo::new(client))
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
        }
    };
    let channel = Endpoint::from_static("http://memory").connect_with_connector_lazy(service_fn(connect));
    (channel, UnboundedReceiverStream::new(incoming))
}

fn served_in_memory(router: Router) -> Channel {
    let (channel, incoming) = in_memory();
    tokio::spawn(router.serve_with_incoming(incoming));
    channel
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(DEADLINE, future).await;
    waited.expect("it should not take this long")
}
