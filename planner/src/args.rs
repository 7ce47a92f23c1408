//! The command line.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

/// Decides which nodes get a DaemonSet's pods, over gRPC and without access to any cluster.
///
/// Executors connect to it; autoscalers, drain controllers and people ask it (Plan, Explain, GetInfo; health and
/// reflection are on the same port). It keeps no state beyond a session, so any number of planners can run side by side.
#[derive(Debug, Clone, Parser)]
#[command(name = "everynode-planner", version)]
pub struct Args {
    /// Where to serve gRPC.
    #[arg(
        long,
        env = "EVERYNODE_LISTEN",
        value_name = "ADDR",
        default_value = "0.0.0.0:50051"
    )]
    pub listen: SocketAddr,

    /// Where to serve /livez, /readyz and /metrics over HTTP.
    #[arg(
        long,
        env = "EVERYNODE_ADMIN_LISTEN",
        value_name = "ADDR",
        default_value = "0.0.0.0:9101"
    )]
    pub admin_listen: SocketAddr,

    /// How log lines are written.
    #[arg(long, env = "EVERYNODE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged, such as info, debug or everynode_planner=debug.
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
