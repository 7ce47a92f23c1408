//! The command line.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};

/// Watches a cluster, asks the planner what its DaemonSets need, and carries it out.
///
/// It takes the place of the DaemonSet controller in kube-controller-manager, which has to be switched off there with
/// --controllers=*,-daemonset. While no planner can be reached it changes nothing.
#[derive(Debug, Clone, Parser)]
#[command(name = "everynode-executor", version)]
pub struct Args {
    /// Where the planner serves gRPC, such as http://everynode-planner:50051.
    #[arg(long, env = "EVERYNODE_PLANNER", value_name = "URL")]
    pub planner: String,

    /// The kubeconfig file. Without it: what KUBECONFIG names, else ~/.kube/config, else the service account of the pod
    /// that this runs in.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig; its current one when not given.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// Where to serve gRPC: what DaemonSets are up to, for people and programs in the cluster (everynode.executor.v1, with
    /// health and reflection).
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_LISTEN",
        value_name = "ADDR",
        default_value = "0.0.0.0:50052"
    )]
    pub listen: SocketAddr,

    /// Where to serve /livez, /readyz and /metrics over HTTP.
    #[arg(
        long,
        env = "EVERYNODE_ADMIN_LISTEN",
        value_name = "ADDR",
        default_value = "0.0.0.0:9102"
    )]
    pub admin_listen: SocketAddr,

    /// The name by which this executor is known in events and to the planner; the host's name when not given.
    #[arg(long, env = "EVERYNODE_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,

    /// How log lines are written.
    #[arg(long, env = "EVERYNODE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged, such as info, debug or everynode_executor=debug.
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
