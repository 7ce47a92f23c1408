//! Turns flags into a validated configuration, before anything starts.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
};

use anyhow::Context;
use everynode_serving::tls::Credentials;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{
    election::lease, live_view::service::callers::Callers, planner::link::Link, program::args::Args,
};

/// Flags and configuration after validation.
pub(super) struct ResolvedConfig {
    pub(super) planner: Link,
    pub(super) credentials: Option<Credentials>,
    pub(super) callers: Callers,
    pub(super) cluster: Config,
    pub(super) identity: String,
    pub(super) election: Option<lease::Settings>,
    pub(super) ports: Ports,
    pub(super) args: Args,
}

/// The listeners for the ports given by the flags.
pub(super) struct Ports {
    pub(super) grpc: TcpListener,
    pub(super) local: Option<TcpListener>,
    pub(super) admin: TcpListener,
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

/// Validates the flags, reads the files that they name, and binds the ports.
///
/// # Errors
/// A flag or a file is invalid, or a port is in use.
pub(super) async fn resolve(args: Args) -> anyhow::Result<ResolvedConfig> {
    let access = &args.access;
    let credentials = access.tls.credentials()?;
    let callers = access.callers(credentials.clone()).map_err(anyhow::Error::msg)?;
    let server_name = access.planner_server_name.as_deref();
    let planner = Link::new(&args.planner, credentials.clone(), server_name)?;
    let cluster = cluster_config(&args).await?;
    let host = || std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let identity = args
        .identity
        .clone()
        .or_else(host)
        .unwrap_or_else(|| "everynode-executor".to_owned());
    let election = args.leader_elect.settings(own_namespace())?;
    let ports = Ports::bind(&args)?;
    Ok(ResolvedConfig {
        planner,
        credentials,
        callers,
        cluster,
        identity,
        election,
        ports,
        args,
    })
}

/// Returns the namespace of the executor's pod, or `None` outside a pod.
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
            let unusable = || format!("can't use --kubeconfig {}", path.display());
            let kubeconfig = Kubeconfig::read_from(path).with_context(unusable)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(unusable)
        }
        None if args.context.is_some() => {
            Config::from_kubeconfig(&options).await.context("can't use --context with the default kubeconfig")
        }
        None => Config::infer().await.context(
            "no cluster: --kubeconfig isn't set, KUBECONFIG and ~/.kube/config are missing or invalid, and the program \
             doesn't run in a pod with a ServiceAccount",
        ),
    }
}
