//! Creates the clients, and runs the tasks. The program ends when a task fails or a stop signal arrives.

mod config;
mod live_view_server;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use backon::Retryable;
use everynode_proto::executor::v1::executor_service_server::SERVICE_NAME;
use everynode_render::ErrorChain;
use everynode_serving::{
    backoff,
    program::{self, exit::Exit},
    serve, tls,
};
use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{
    config::{ResolvedConfig, resolve},
    live_view_server::LiveViewServer,
};
use crate::{
    apiserver::{
        api::Api,
        client,
        clock::Clock,
        events::Events,
        watch::{KINDS, freshness_probe, watch_all},
    },
    controller::{Controller, ControllerConfig},
    election::{
        leadership::{self, Leadership},
        lease::{self, Claim, Election, Requirements},
    },
    live_view::{
        queries::{Query, QueryClient},
        service::server::Listeners,
    },
    planner::{
        link::Link,
        session::{self, Identity, Opener},
    },
    program::{admin, args::Args},
    rollouts,
    telemetry::{health::Health, metrics::Metrics},
};

/// Maximum number of changes queued for the main loop. A full queue makes the watches wait.
const CHANGE_QUEUE_CAPACITY: usize = 4_096;
/// Maximum number of planner messages queued for the main loop.
const SESSION_EVENT_QUEUE_CAPACITY: usize = 64;

/// Clients of the same cluster, each with its own connection.
struct Clients {
    watches: Client,
    calls: Client,
    /// Has its own connection because a Lease renewal must not wait for other calls.
    lease: Client,
    /// The API server's time, which the responses to all of them tell.
    clock: Clock,
}

/// What this executor needs to take part in leader election.
struct Candidate {
    /// This executor's name.
    executor: String,
    /// The node on which it runs, if it is known.
    node: Option<String>,
    /// Settings of the leader election. Without them, this executor is the only one.
    election: Option<lease::Settings>,
    claim: Claim,
    leads: watch::Sender<Leadership>,
}

/// What the program reports about itself and about `DaemonSet`s.
#[derive(Clone)]
struct Telemetry {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// Whether the executor writes conditions into `DaemonSet` statuses.
    status_conditions: bool,
}

/// Runs the program, and returns how it ends.
pub fn main() -> Exit {
    let args: Args = match program::parse() {
        Ok(args) => args,
        Err(exit) => return exit,
    };
    let _logging = match args.logs.start(env!("CARGO_PKG_NAME")) {
        Ok(logging) => logging,
        Err(error) => return fail(Exit::Usage, &ErrorChain(&error).to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::Failure, &format!("can't start the async runtime: {error}")),
    };
    let config = match runtime.block_on(resolve(args)) {
        Ok(config) => config,
        Err(error) => return fail(Exit::Usage, &format!("{error:#}")),
    };
    match runtime.block_on(execute(config)) {
        Ok(()) => Exit::Success,
        Err(error) => fail(Exit::Failure, &format!("{error:#}")),
    }
}

fn fail(exit: Exit, message: &str) -> Exit {
    program::fail(env!("CARGO_PKG_NAME"), exit, message)
}

async fn execute(config: ResolvedConfig) -> anyhow::Result<()> {
    let ResolvedConfig {
        planner,
        credentials,
        callers,
        cluster,
        identity,
        election,
        ports,
        args,
    } = config;
    let stop_signal = program::stop_signal().context("can't install signal handlers")?;
    let (listen, admin_listen) = (ports.grpc.local_addr()?, ports.admin.local_addr()?);
    let cluster_url = cluster.cluster_url.to_string();
    let (claim, leadership) = match &election {
        Some(settings) => (Claim::none(settings.margin()), Leadership::default()),
        None => (Claim::forever(), Leadership::ours(&identity)),
    };
    // The watches have a connection of their own, so that reading a long list doesn't delay a call.
    let unusable = "can't create a client for the cluster";
    let clock = Clock::default();
    let connect = |claim: Claim| client::connect_with(&cluster, claim, clock.clone()).context(unusable);
    let clients = Clients {
        watches: connect(Claim::forever())?,
        calls: connect(claim.clone())?,
        lease: connect(Claim::forever())?,
        clock: clock.clone(),
    };
    info!(cluster = cluster_url, planner = args.planner, %listen, %admin_listen, tls = credentials.is_some(),
        version = env!("CARGO_PKG_VERSION"), "executor starting");

    let telemetry = Telemetry {
        metrics: Arc::new(Metrics::new(args.per_daemon_set_metrics)),
        health: Arc::default(),
        status_conditions: args.status_conditions,
    };
    let admin_listener = tokio::net::TcpListener::from_std(ports.admin)?;
    let health = serve::Health::new(SERVICE_NAME).await;
    let admin = admin::router(telemetry.metrics.clone(), telemetry.health.clone(), &health);
    let admin = program::admin::serve(admin_listener, admin);
    let metrics = telemetry.metrics.clone();
    let certificate_reload = tls::reload_certificates(credentials, |status| metrics.certificates(status));
    let shutdown = CancellationToken::new();
    let (query_client, queries) = QueryClient::new();
    let (leads, leadership) = watch::channel(leadership);
    let live_view = LiveViewServer {
        listeners: Listeners {
            listener: ports.grpc,
            local: ports.local,
            callers,
            health,
        },
        limits: args.limits(),
        max_watch_duration: args.max_watch_duration,
        cluster,
        planner: planner.clone(),
        identity: identity.clone(),
        leadership,
        query_client,
        telemetry: telemetry.clone(),
    };
    let live_view = live_view.start(shutdown.clone())?;
    let candidate = Candidate {
        executor: identity,
        node: args.node_name,
        election,
        claim,
        leads,
    };
    let control_loop = run_controller(clients, planner, candidate, queries, telemetry, shutdown.clone());
    let live_view = async { live_view.await.context("the thread of the gRPC server ended")? };
    let work = async { tokio::try_join!(control_loop, live_view) };
    let stopping = async {
        stop_signal.await;
        shutdown.cancel();
        program::drain().await;
        anyhow::Ok(())
    };
    tokio::select! {
        end = work => end.map(|((), ())| ()),
        never = admin => match never {},
        end = stopping => end,
        never = certificate_reload => match never {},
    }
}

/// Runs the controller, the watches and the leader election until `shutdown`.
async fn run_controller(
    Clients {
        watches,
        calls,
        lease,
        clock,
    }: Clients,
    planner: Link,
    candidate: Candidate,
    queries: mpsc::Receiver<Query>,
    telemetry: Telemetry,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let api = Api::new(calls.clone());
    let cluster = tokio::select! {
        cluster = cluster_uid(&api) => cluster?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let Candidate {
        executor,
        node,
        election,
        claim,
        leads,
    } = candidate;
    let Telemetry {
        metrics,
        health,
        status_conditions,
    } = telemetry;
    let (changes, received_changes) = mpsc::channel(CHANGE_QUEUE_CAPACITY);
    let events = Events::new(calls, executor.clone(), metrics.clone());
    let (identity, session_clock) = (executor.clone(), clock.clone());
    let opener = Opener::new(SESSION_EVENT_QUEUE_CAPACITY, move |epoch, sessions| {
        let identity = Identity {
            cluster: cluster.clone(),
            executor: identity.clone(),
            epoch,
            node: node.clone(),
        };
        let (planner, clock) = (planner.clone(), session_clock.clone());
        let connect = move || {
            let planner = planner.clone();
            async move { planner.connect().await }
        };
        session::run(connect, identity, clock, sessions)
    });
    let requirements = Requirements::new(&[rollouts::CAPABILITY]);
    let config = ControllerConfig {
        api,
        events,
        clock,
        health: health.clone(),
        metrics: metrics.clone(),
        changes: received_changes,
        leadership: leads.subscribe(),
        requirements: requirements.clone(),
        opener,
        status_conditions,
        queries,
    };
    let (mut probe, responders) = freshness_probe(KINDS);
    tokio::spawn(watch_all(watches, changes, metrics, responders));
    let controller = Controller::new(config).run(shutdown);
    let Some(settings) = election else {
        return Ok(controller.await?);
    };
    // The Lease is held until the last call has ended, and then released.
    let stop = CancellationToken::new();
    let (wins, won) = watch::channel(Leadership::default());
    let election = Election::new(lease, settings, executor, claim, wins, requirements, health);
    let election = election.run(stop.clone());
    let publishing = leadership::publish_when_fresh(won, leads, async || probe.wait().await);
    let controller = async {
        let ended = controller.await;
        stop.cancel();
        ended
    };
    Ok(tokio::join!(controller, election, publishing).0?)
}

/// Returns the cluster's identity: the uid of its kube-system namespace, which lives as long as the cluster.
async fn cluster_uid(api: &Api) -> anyhow::Result<String> {
    let read = async || api.get_namespace("kube-system").await;
    let backoff = backoff::between(Duration::from_secs(1), Duration::from_secs(5));
    let namespace = read
        .retry(backoff)
        .sleep(tokio::time::sleep)
        .notify(|error, _| warn!(error = %ErrorChain(error), "can't reach the cluster; retrying"))
        .await?;
    let uid = namespace
        .get("metadata")
        .and_then(|metadata| metadata.get("uid")?.as_str());
    uid.map(str::to_owned)
        .context("the namespace kube-system has no uid")
}
