//! Reads the configuration, makes the clients, and runs the tasks. The program ends when one of them does.

mod view;

use std::{
    convert::Infallible,
    fs, future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use backon::Retryable;
use everynode_proto::executor::v1::executor_service_server::SERVICE_NAME;
use everynode_render::ErrorChain;
use everynode_serving::backoff;
use everynode_serving::{
    program::{self, exit::Exit},
    serve,
    tls::Credentials,
};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::view::View;
use crate::{
    apiserver::{
        api::Api,
        client,
        events::Events,
        watch::{KINDS, freshness, watch_all},
    },
    controller::{Controller, ControllerConfig},
    election::{
        leadership::{self, Leadership},
        lease::{self, Claim, Election},
    },
    live_view::{
        questions::{Asker, Question},
        service::{callers::Callers, server::Door},
    },
    planner::{
        link::Link,
        session::{self, Identity, Opener},
    },
    program::{admin, args::Args},
    telemetry::{health::Health, metrics::Metrics},
};

/// Maximum number of changes queued for the main loop. A full queue makes the watches wait.
const CHANGES_AHEAD: usize = 4_096;
/// Maximum number of planner messages queued for the main loop.
const SESSION_EVENTS_AHEAD: usize = 64;
/// How long calls in progress may take to finish on shutdown.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Flags and configuration after validation.
struct Resolved {
    planner: Link,
    credentials: Option<Credentials>,
    callers: Callers,
    config: Config,
    identity: String,
    election: Option<lease::Settings>,
    ports: Ports,
    args: Args,
}

/// The listeners for the ports given by the flags.
struct Ports {
    grpc: TcpListener,
    local: Option<TcpListener>,
    admin: TcpListener,
}

impl Ports {
    fn bind(args: &Args) -> anyhow::Result<Self> {
        let bind = |flag: &str, address: SocketAddr| {
            let listener =
                TcpListener::bind(address).with_context(|| format!("can't listen on {flag} {address}"))?;
            listener.set_nonblocking(true)?;
            anyhow::Ok(listener)
        };
        Ok(Self {
            grpc: bind("--listen", args.listen)?,
            local: args
                .access
                .local_listen
                .map(|address| bind("--local-listen", address))
                .transpose()?,
            admin: bind("--admin-listen", args.admin_listen)?,
        })
    }
}

/// Clients of the same cluster, each with its own connection.
struct Clients {
    watches: Client,
    calls: Client,
    /// Has its own connection because a Lease renewal must not wait for anything.
    lease: Client,
}

/// This executor's part in leader election.
struct Candidate {
    /// The name that people see.
    executor: String,
    /// Settings of the leader election. Without them, this executor is the only one.
    election: Option<lease::Settings>,
    claim: Claim,
    leads: watch::Sender<Leadership>,
}

/// The program's telemetry: metrics, health and status conditions.
#[derive(Clone)]
struct Signs {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// Whether `DaemonSet` statuses get conditions too.
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
        Err(error) => return fail(Exit::Usage, &error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::Failure, &format!("can't start: {error}")),
    };
    let resolved = match runtime.block_on(resolve(args)) {
        Ok(resolved) => resolved,
        Err(error) => return fail(Exit::Usage, &format!("{error:#}")),
    };
    match runtime.block_on(execute(resolved)) {
        Ok(()) => Exit::Success,
        Err(error) => fail(Exit::Failure, &format!("{error:#}")),
    }
}

fn fail(exit: Exit, message: &str) -> Exit {
    program::fail(env!("CARGO_PKG_NAME"), exit, message)
}

async fn resolve(args: Args) -> anyhow::Result<Resolved> {
    let access = &args.access;
    let credentials = access.tls.credentials()?;
    let callers = access.callers(credentials.clone()).map_err(anyhow::Error::msg)?;
    let server_name = access.planner_server_name.as_deref();
    let planner = Link::new(&args.planner, credentials.clone(), server_name)?;
    let config = cluster_config(&args).await?;
    let host = || std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let identity = args
        .identity
        .clone()
        .or_else(host)
        .unwrap_or_else(|| "everynode-executor".to_owned());
    let election = args.leader_elect.settings(own_namespace())?;
    let ports = Ports::bind(&args)?;
    Ok(Resolved {
        planner,
        credentials,
        callers,
        config,
        identity,
        election,
        ports,
        args,
    })
}

/// Returns the namespace of the pod that this program runs in. Returns `None` outside a pod.
fn own_namespace() -> Option<String> {
    let namespace = fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace").ok()?;
    Some(namespace.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}

async fn cluster_config(args: &Args) -> anyhow::Result<Config> {
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    match &args.kubeconfig {
        Some(path) => {
            let unusable = || format!("--kubeconfig {} can't be used", path.display());
            let kubeconfig = Kubeconfig::read_from(path).with_context(unusable)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(unusable)
        }
        None if args.context.is_some() => {
            Config::from_kubeconfig(&options).await.context("--context can't be used with the kubeconfig found")
        }
        None => Config::infer().await.context(
            "no cluster: --kubeconfig is not given, KUBECONFIG and ~/.kube/config can't be used, and this is no pod \
             with a service account",
        ),
    }
}

async fn execute(resolved: Resolved) -> anyhow::Result<()> {
    let Resolved {
        planner,
        credentials,
        callers,
        config,
        identity,
        election,
        ports,
        args,
    } = resolved;
    let told_to_stop = program::stop_signal().context("signals can't be listened for")?;
    let (listen, admin_listen) = (ports.grpc.local_addr()?, ports.admin.local_addr()?);
    let cluster_url = config.cluster_url.to_string();
    let (claim, leadership) = match &election {
        Some(settings) => (Claim::none(settings.margin()), Leadership::default()),
        None => (Claim::forever(), Leadership::ours(&identity)),
    };
    // The watches have a connection of their own, so that reading a long list doesn't delay a call.
    let unusable = "can't make a client for the cluster";
    let clients = Clients {
        watches: client::connect(&config).context(unusable)?,
        calls: client::connect_with(&config, claim.clone()).context(unusable)?,
        lease: client::connect(&config).context(unusable)?,
    };
    info!(cluster = cluster_url, planner = args.planner, %listen, %admin_listen, tls = credentials.is_some(),
        version = env!("CARGO_PKG_VERSION"), "executor starts");

    let signs = Signs {
        metrics: Arc::new(Metrics::new(args.per_daemon_set_metrics)),
        health: Arc::default(),
        status_conditions: args.status_conditions,
    };
    let admin_listener = tokio::net::TcpListener::from_std(ports.admin)?;
    let health = serve::Health::new(SERVICE_NAME).await;
    let admin = admin::router(signs.metrics.clone(), signs.health.clone(), &health);
    let admin = program::admin::serve(admin_listener, admin);
    let renewing = reload_certificates(credentials, signs.metrics.clone());
    let shutdown = CancellationToken::new();
    let (asker, questions) = Asker::new();
    let (leads, leadership) = watch::channel(leadership);
    let view = View {
        door: Door {
            listener: ports.grpc,
            local: ports.local,
            callers,
            health,
        },
        limits: args.limits(),
        max_watch_duration: args.max_watch_duration,
        config,
        planner: planner.clone(),
        identity: identity.clone(),
        leadership,
        asker,
        signs: signs.clone(),
    };
    let view = view.start(shutdown.clone())?;
    let candidate = Candidate {
        executor: identity,
        election,
        claim,
        leads,
    };
    let work = work(clients, planner, candidate, questions, signs, shutdown.clone());
    let view = async { view.await.context("the gRPC server's thread has ended")? };
    let work = async { tokio::try_join!(work, view) };
    let stopping = async {
        told_to_stop.await;
        shutdown.cancel();
        tokio::time::sleep(STOP_DEADLINE).await;
        warn!(
            "calls in progress were cut off after {} s",
            STOP_DEADLINE.as_secs()
        );
        anyhow::Ok(())
    };
    tokio::select! {
        end = work => end.map(|((), ())| ()),
        never = admin => match never {},
        end = stopping => end,
        never = renewing => match never {},
    }
}

/// Renews the certificates while the program runs.
async fn reload_certificates(credentials: Option<Credentials>, metrics: Arc<Metrics>) -> Infallible {
    match credentials {
        Some(credentials) => {
            credentials
                .reload_periodically(|status| metrics.certificates(status))
                .await
        }
        None => future::pending().await,
    }
}

async fn work(
    Clients {
        watches,
        calls,
        lease,
    }: Clients,
    planner: Link,
    candidate: Candidate,
    questions: mpsc::Receiver<Question>,
    signs: Signs,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let api = Api::new(calls.clone());
    let cluster = tokio::select! {
        cluster = cluster_uid(&api) => cluster?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let Candidate {
        executor,
        election,
        claim,
        leads,
    } = candidate;
    let Signs {
        metrics,
        health,
        status_conditions,
    } = signs;
    let (changes, seen) = mpsc::channel(CHANGES_AHEAD);
    let events = Events::new(calls, executor.clone(), metrics.clone());
    let identity = executor.clone();
    let opener = Opener::new(SESSION_EVENTS_AHEAD, move |epoch, sessions| {
        let identity = Identity {
            cluster: cluster.clone(),
            executor: identity.clone(),
            epoch,
        };
        let planner = planner.clone();
        let connect = move || {
            let planner = planner.clone();
            async move { planner.connect().await }
        };
        session::run(connect, identity, sessions)
    });
    let config = ControllerConfig {
        api,
        events,
        health,
        metrics: metrics.clone(),
        changes: seen,
        leadership: leads.subscribe(),
        opener,
        status_conditions,
        queries: questions,
    };
    let (mut freshness, proofs) = freshness(KINDS);
    tokio::spawn(watch_all(watches, changes, metrics, proofs));
    let controller = Controller::new(config).run(shutdown);
    let Some(settings) = election else {
        return Ok(controller.await?);
    };
    // The Lease is held until the last call has ended, and then released.
    let stop = CancellationToken::new();
    let (wins, won) = watch::channel(Leadership::default());
    let election = Election::new(lease, settings, executor, claim, wins).run(stop.clone());
    let telling = leadership::once_fresh(won, leads, async || freshness.reached().await);
    let controller = async {
        let ended = controller.await;
        stop.cancel();
        ended
    };
    Ok(tokio::join!(controller, election, telling).0?)
}

/// Returns the cluster's identity: the uid of its kube-system namespace, which lives as long as the cluster.
async fn cluster_uid(api: &Api) -> anyhow::Result<String> {
    let read = async || api.get_namespace("kube-system").await;
    let backoff = backoff::between(Duration::from_secs(1), Duration::from_secs(5));
    let namespace = read
        .retry(backoff)
        .sleep(tokio::time::sleep)
        .notify(|error, _| warn!(error = %ErrorChain(error), "the cluster can't be reached yet"))
        .await?;
    let uid = namespace
        .get("metadata")
        .and_then(|metadata| metadata.get("uid")?.as_str());
    uid.map(str::to_owned)
        .context("the namespace kube-system has no uid")
}
