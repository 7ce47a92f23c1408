//! The command line.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

pub mod access;
pub mod leader_elect;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Parser, value_parser};
use everynode_serving::{
    program::{duration, logs::LogArgs},
    serve::{self, Limits},
};

use self::{access::AccessArgs, leader_elect::LeaderElectArgs};

use crate::live_view::service::server::MAX_REQUEST_BYTES;

/// Runs the DaemonSets of a cluster: creates and deletes pods as a planner decides, and writes statuses.
///
/// It replaces the DaemonSet controller of kube-controller-manager, which must be switched off with
/// --controllers=*,-daemonset. Without a planner, it changes nothing.
#[derive(Debug, Clone, Parser)]
#[command(name = "everynode-executor", version, args_override_self = true, after_long_help = HELP)]
pub struct Args {
    /// URL of the planner's gRPC server, such as https://everynode-planner:50051. With --plaintext, it begins with
    /// http://.
    #[arg(long, env = "EVERYNODE_PLANNER", value_name = "URL")]
    pub planner: String,

    /// Kubeconfig file; by default the file in KUBECONFIG, then ~/.kube/config, then the pod's ServiceAccount.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context in the kubeconfig; by default the current context.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// Address of the gRPC server. It answers questions about DaemonSets (everynode.executor.v1), with health and
    /// reflection.
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_LISTEN",
        value_name = "ADDR",
        default_value = "0.0.0.0:50052"
    )]
    pub listen: SocketAddr,

    /// Address of /livez, /readyz and /metrics over HTTP, and of gRPC health.
    #[arg(
        long,
        env = "EVERYNODE_ADMIN_LISTEN",
        value_name = "ADDR",
        default_value = "0.0.0.0:9102"
    )]
    pub admin_listen: SocketAddr,

    /// Name of this executor in events and for the planner; by default the host name.
    #[arg(long, env = "EVERYNODE_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,

    /// Name of the node on which this executor runs. A stage of a rollout policy that takes a number of nodes picks this
    /// node last. By default there is none.
    #[arg(long, env = "EVERYNODE_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,

    /// Write the conditions Available, Progressing and Degraded into the status of DaemonSets. With false, the executor
    /// removes conditions of these types. RolloutHeld doesn't depend on this.
    #[arg(
        long,
        env = "EVERYNODE_STATUS_CONDITIONS",
        value_name = "BOOL",
        default_value_t = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    pub status_conditions: bool,

    /// Export eight gauges for each DaemonSet, with its counters and whether its rollout is in progress.
    #[arg(
        long,
        env = "EVERYNODE_PER_DAEMON_SET_METRICS",
        value_name = "BOOL",
        default_value_t = false,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    pub per_daemon_set_metrics: bool,

    /// Maximum number of calls in progress, without watches. A call beyond it waits for up to a second, then fails with
    /// RESOURCE_EXHAUSTED and the delay before a retry.
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_MAX_CONCURRENT_CALLS",
        value_name = "COUNT",
        default_value_t = serve::DEFAULT_MAX_CONCURRENT_CALLS,
        value_parser = value_parser!(u32).range(1..=MAX_COUNT),
        allow_negative_numbers = true
    )]
    pub max_concurrent_calls: u32,

    /// Maximum number of open watches (WatchPlans). A watch beyond it waits for up to a second, then fails with
    /// RESOURCE_EXHAUSTED and the delay before a retry.
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_MAX_WATCHES",
        value_name = "COUNT",
        default_value_t = serve::DEFAULT_MAX_STREAMS,
        value_parser = value_parser!(u32).range(1..=MAX_COUNT),
        allow_negative_numbers = true
    )]
    pub max_watches: u32,

    /// Maximum duration of a watch, in seconds or with units, such as 1h 30m; at most 24h. It varies by up to 10%, so
    /// that watches don't all end together. The watch ends with UNAVAILABLE, and its caller opens another one.
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_MAX_WATCH_DURATION",
        value_name = "TIME",
        default_value = "30m",
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub max_watch_duration: Duration,

    /// Maximum duration of a call, in seconds or with units, such as 1m 30s; at most 24h. The call then fails with
    /// DEADLINE_EXCEEDED. A caller can set a shorter deadline. A watch must begin within it.
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_CALL_DEADLINE",
        value_name = "TIME",
        default_value = serve::DEFAULT_CALL_DEADLINE,
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub call_deadline: Duration,

    // A help heading applies to all flags after it, so the groups with a heading come last.
    /// The flags for TLS and for callers.
    #[command(flatten)]
    pub access: AccessArgs,

    /// The flags for leader election.
    #[command(flatten)]
    pub leader_elect: LeaderElectArgs,

    /// The log flags.
    #[command(flatten)]
    pub logs: LogArgs,
}

const HELP: &str = "\
Examples:
  # With TLS; renewed certificate files are reloaded
  everynode-executor --planner https://everynode-planner:50051 \\
    --tls-cert tls.crt --tls-key tls.key --tls-ca ca.crt

  # Call the executor with a client certificate
  grpcurl -cacert ca.crt -cert tls.crt -key tls.key HOST:50052 \\
    everynode.executor.v1.ExecutorService/GetInfo

  # Call an executor that runs with --callers=tokens
  grpcurl -cacert ca.crt -H \"authorization: Bearer $(kubectl create token NAME)\" HOST:50052 \\
    everynode.executor.v1.ExecutorService/GetInfo

  # In plain text, if everybody who can reach the ports is trusted
  everynode-executor --planner http://127.0.0.1:50051 --plaintext

Exit codes:
  0   success: stopped by SIGTERM or Ctrl-C
  1   the executor failed
  64  usage: a flag, a certificate or the kubeconfig is invalid, or a port is in use";

/// The highest count that a flag accepts. A higher one must be a mistake.
const MAX_COUNT: i64 = 10_000;

impl Args {
    /// The limits on concurrent calls and watches, and the call deadline.
    pub fn limits(&self) -> Limits {
        Limits {
            max_concurrent_calls: self.max_concurrent_calls,
            max_streams: self.max_watches,
            streams: "watches",
            call_deadline: self.call_deadline,
            max_message_bytes: MAX_REQUEST_BYTES,
        }
    }
}
