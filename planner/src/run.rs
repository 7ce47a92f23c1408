//! Starts and stops the program: flags, logs, ports, readiness, drain.

use std::sync::Arc;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use everynode_proto::planner::v1::planner_service_server::PlannerServiceServer;
use everynode_render::ErrorChain;
use everynode_serving::{
    program::{self, exit::Exit},
    serve::{self, Limits, Server},
    tls::{self, Credentials},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    admin,
    args::{Args, Cli, Command},
    metrics::Metrics,
    offline,
    service::Planner,
    session::SessionMemory,
};

/// Runs the program, and returns its exit code.
pub fn main() -> Exit {
    let cli: Cli = match program::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    match cli.command {
        None => start(&cli.serve),
        Some(Command::Serve(args)) => start(&args),
        Some(Command::Explain(args)) => offline::explain(&args),
        Some(Command::Plan(args)) => offline::plan(&args),
        Some(Command::Simulate(args)) => offline::simulate(&args),
        Some(Command::Rollout(args)) => offline::rollout(&args),
        Some(Command::Completions { shell }) => print_completions(shell),
    }
}

/// Serves until a signal stops it.
fn start(args: &Args) -> Exit {
    let _logging = match args.logs.start(env!("CARGO_PKG_NAME")) {
        Ok(logging) => logging,
        Err(error) => return fail(Exit::Usage, &ErrorChain(&error).to_string()),
    };
    let credentials = match args.tls.credentials() {
        Ok(credentials) => credentials,
        Err(error) => return fail(Exit::Usage, &error.to_string()),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::Failure, &format!("can't start the async runtime: {error}")),
    };
    runtime.block_on(async {
        let ports = match Ports::bind(args).await {
            Ok(ports) => ports,
            Err(error) => return fail(Exit::Usage, &format!("{error:#}")),
        };
        match serve(ports, args, credentials).await {
            Ok(()) => Exit::Success,
            Err(error) => fail(Exit::Failure, &format!("{error:#}")),
        }
    })
}

fn fail(exit: Exit, message: &str) -> Exit {
    program::fail(env!("CARGO_PKG_NAME"), exit, message)
}

fn print_completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut script);
    match everynode_render::print(&String::from_utf8_lossy(&script)) {
        Ok(_) => Exit::Success,
        Err(error) => fail(
            Exit::Software,
            &format!("can't print the completion script: {error}"),
        ),
    }
}

/// The listeners on the addresses that the flags set.
struct Ports {
    grpc: TcpListener,
    admin: TcpListener,
}

impl Ports {
    async fn bind(args: &Args) -> anyhow::Result<Self> {
        let bind = async |flag: &str, address| {
            TcpListener::bind(address)
                .await
                .with_context(|| format!("can't listen on {flag} {address}"))
        };
        Ok(Self {
            grpc: bind("--listen", args.listen).await?,
            admin: bind("--admin-listen", args.admin_listen).await?,
        })
    }
}

async fn serve(ports: Ports, args: &Args, credentials: Option<Credentials>) -> anyhow::Result<()> {
    let stop_signal = program::stop_signal().context("can't install signal handlers")?;
    let (listen, admin_listen) = (ports.grpc.local_addr()?, ports.admin.local_addr()?);
    let metrics = Arc::new(Metrics::default());
    let shutdown = CancellationToken::new();
    let (ready, is_ready) = watch::channel(false);
    let memory = SessionMemory::new(args.max_session_memory);
    let planner = Planner::new(metrics.clone(), args.limits(), memory, shutdown.clone());
    let planner = planner.on_node(args.node_name.clone());
    let mut server = server_with(planner, metrics.clone(), args.limits(), shutdown.clone()).await?;
    if let Some(credentials) = &credentials {
        server = server.with_mutual_tls(credentials.clone(), args.clients());
    }
    let health = server.health();
    let admin = admin::router(metrics.clone(), is_ready, &health);
    let admin = program::admin::serve(ports.admin, admin);
    let grpc = server.serve_tcp(ports.grpc);

    health.set_serving(true).await;
    ready.send_replace(true);
    info!(%listen, %admin_listen, tls = credentials.is_some(), version = env!("CARGO_PKG_VERSION"), "planner started");

    let stopping = async {
        stop_signal.await;
        info!("planner stopping");
        ready.send_replace(false);
        health.set_serving(false).await;
        shutdown.cancel();
        program::drain().await;
        anyhow::Ok(())
    };
    let certificate_reload = tls::reload_certificates(credentials, |status| metrics.certificates(status));
    tokio::select! {
        end = grpc => end.context("the gRPC server failed"),
        never = admin => match never {},
        end = stopping => end,
        never = certificate_reload => match never {},
    }
}

/// Creates the gRPC server: the planner, health (not serving yet) and reflection.
///
/// # Errors
/// The descriptors can't be read. This never happens in a correct build.
pub async fn server(
    metrics: Arc<Metrics>,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<Server, serve::Error> {
    let planner = Planner::new(
        metrics.clone(),
        limits,
        SessionMemory::default(),
        shutdown.clone(),
    );
    server_with(planner, metrics, limits, shutdown).await
}

/// Creates the gRPC server like [`server`], for this planner.
///
/// # Errors
/// The same as those of [`server`].
pub async fn server_with(
    planner: Planner,
    metrics: Arc<Metrics>,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<Server, serve::Error> {
    let service = PlannerServiceServer::new(planner)
        .max_decoding_message_size(limits.max_message_bytes)
        .max_encoding_message_size(limits.max_message_bytes);
    let server = Server::new(service, limits, shutdown).await?;
    Ok(server.with_observer(metrics))
}
