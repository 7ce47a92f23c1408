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

/// Watches a cluster, asks the planner what its DaemonSets need, and carries it out.
///
/// It takes the place of the DaemonSet controller in kube-controller-manager, which has to be switched off there with
/// --controllers=*,-daemonset. While no planner can be reached it changes nothing.
#[derive(Debug, Clone, Parser)]
#[command(name = "everynode-executor", version, args_override_self = true, after_long_help = HELP)]
pub struct Args {
    /// Where the planner serves gRPC, such as https://everynode-planner:50051; http:// with --plaintext.
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

    /// How connections are secured, and who may ask.
    #[command(flatten)]
    pub access: AccessArgs,

    /// How one of several executors is chosen to lead.
    #[command(flatten)]
    pub leader_elect: LeaderElectArgs,

    /// Whether the status of a DaemonSet gets the conditions Available, Progressing and Degraded, as a Deployment's does.
    /// With false, those that are there are removed.
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

    /// Whether /metrics has gauges of each DaemonSet: nodes that should run it and do, ready, updated and available pods, and
    /// whether a rollout is in progress. That is eight series for each.
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

    /// How many calls, without watches, are worked on at the same time. One more waits for its turn for a second, and is
    /// then refused with RESOURCE_EXHAUSTED and the time after which to try again.
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_MAX_CONCURRENT_CALLS",
        value_name = "COUNT",
        default_value_t = serve::DEFAULT_MAX_CONCURRENT_CALLS,
        value_parser = value_parser!(u32).range(1..=MOST),
        allow_negative_numbers = true
    )]
    pub max_concurrent_calls: u32,

    /// How many watches of plans are open at the same time. One more waits and is refused as a call is.
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_MAX_WATCHES",
        value_name = "COUNT",
        default_value_t = serve::DEFAULT_MAX_STREAMS,
        value_parser = value_parser!(u32).range(1..=MOST),
        allow_negative_numbers = true
    )]
    pub max_watches: u32,

    /// The longest that a watch of plans may last, such as 30m or 1h 30m, or a number of seconds, give or take a tenth, so
    /// that not all end together. It then ends with UNAVAILABLE, and its caller opens another one.
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_MAX_WATCH_DURATION",
        value_name = "TIME",
        default_value = "30m",
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub max_watch_duration: Duration,

    /// The longest that a call may take, such as 30s or 1m 30s, or a number of seconds. It ends with DEADLINE_EXCEEDED
    /// then, or before when its caller sets a shorter deadline. A watch has to begin within it, and may then last.
    #[arg(
        long,
        env = "EVERYNODE_EXECUTOR_CALL_DEADLINE",
        value_name = "TIME",
        default_value = serve::DEFAULT_CALL_DEADLINE,
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub call_deadline: Duration,

    /// What is logged, and how.
    #[command(flatten)]
    pub logs: LogArgs,
}

const HELP: &str = "\
Examples:
  # With certificates, which cert-manager issues and renews
  everynode-executor --planner https://everynode-planner:50051 --tls-cert tls.crt --tls-key tls.key --tls-ca ca.crt

  # Ask it with a certificate, or with --callers=tokens by a token of the cluster
  grpcurl -cacert ca.crt -cert tls.crt -key tls.key HOST:50052 everynode.executor.v1.ExecutorService/GetInfo
  grpcurl -cacert ca.crt -H \"authorization: Bearer $(kubectl create token NAME)\" HOST:50052 \
    everynode.executor.v1.ExecutorService/GetInfo

  # In plain text, where everybody who reaches the ports may be trusted
  everynode-executor --planner http://127.0.0.1:50051 --plaintext";

/// The highest count that a flag accepts. A higher one is a mistake.
const MOST: i64 = 10_000;

impl Args {
    /// The limits on serving: how many calls at the same time, and for how long.
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
