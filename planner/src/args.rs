//! The planner's command line.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, Subcommand, value_parser};
use clap_complete::Shell;
use everynode_serving::{
    program::{duration, logs::LogArgs, tls::TlsArgs},
    serve::{self, AllowedClients, AllowedNames, Limits},
};

use crate::{
    limits::MAX_MESSAGE_BYTES,
    offline::args::{ExplainArgs, PlanArgs, SimulateArgs, rollout::RolloutArgs},
};

/// Decides on which nodes the pods of DaemonSets belong. It has no access to any cluster.
///
/// Without a command, it serves gRPC: sessions for executors, and the calls Plan, Explain, SimulateNodes,
/// SimulateRollout and GetInfo for everybody else, with health and reflection. It keeps no state beyond a session, so any
/// number of planners can run side by side. The commands explain, plan, simulate and rollout answer from files, without
/// a server.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "everynode-planner",
    version,
    args_conflicts_with_subcommands = true,
    after_long_help = HELP
)]
pub struct Cli {
    /// The command. Without one, the program serves.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The flags for serving without a command.
    #[command(flatten)]
    pub serve: Args,
}

const HELP: &str = "\
Examples:
  # Serve clients whose certificates come from this authority
  everynode-planner --tls-cert tls.crt --tls-key tls.key --tls-ca ca.crt

  # Call the planner
  grpcurl -cacert ca.crt -cert tls.crt -key tls.key HOST:50051 \\
    everynode.planner.v1.PlannerService/GetInfo

  # Serve everybody who can reach the port, in plain text
  everynode-planner --plaintext

  # On which nodes would this DaemonSet run, and why not on the others?
  kubectl get nodes -o json | everynode-planner explain -f ds.yaml -f -

Exit codes of the server:
  0   success: stopped by SIGTERM or Ctrl-C
  1   the server failed
  64  usage: a flag or a certificate is invalid, or a port is in use

The --help of each command lists its exit codes.";

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve gRPC. This is the default.
    Serve(Args),
    /// Show on which nodes DaemonSets run and why, from files.
    Explain(ExplainArgs),
    /// Show which pods of a DaemonSet would be created and deleted now, from files.
    Plan(PlanArgs),
    /// Calculate what DaemonSets request on nodes that may not exist yet, from files.
    Simulate(SimulateArgs),
    /// Show what a rollout policy would do to nodes, and how long that would take, from files.
    Rollout(RolloutArgs),
    /// Print a completion script for a shell.
    Completions {
        /// Shell that uses the script. `source <(everynode-planner completions bash)` loads it.
        shell: Shell,
    },
}

/// The flags for serving.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address of the gRPC server.
    #[arg(
        long,
        env = "EVERYNODE_LISTEN",
        value_name = "ADDR",
        default_value = "0.0.0.0:50051"
    )]
    pub listen: SocketAddr,

    /// Address of /livez, /readyz and /metrics over HTTP, and of gRPC health.
    #[arg(
        long,
        env = "EVERYNODE_ADMIN_LISTEN",
        value_name = "ADDR",
        default_value = "0.0.0.0:9101"
    )]
    pub admin_listen: SocketAddr,

    /// Name of the node on which this planner runs. A stage of a rollout policy that takes a number of nodes picks this
    /// node last. By default there is none.
    #[arg(long, env = "EVERYNODE_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,

    /// Maximum number of calls in progress, without sessions. A call beyond it waits for up to a second, then fails
    /// with RESOURCE_EXHAUSTED and the delay before a retry.
    #[arg(
        long,
        env = "EVERYNODE_MAX_CONCURRENT_CALLS",
        value_name = "COUNT",
        default_value_t = serve::DEFAULT_MAX_CONCURRENT_CALLS,
        value_parser = value_parser!(u32).range(1..=MAX_COUNT),
        allow_negative_numbers = true
    )]
    pub max_concurrent_calls: u32,

    /// Maximum number of open sessions. A session beyond it waits for up to a second, then fails with
    /// RESOURCE_EXHAUSTED and the delay before a retry.
    #[arg(
        long,
        env = "EVERYNODE_MAX_SESSIONS",
        value_name = "COUNT",
        default_value_t = serve::DEFAULT_MAX_STREAMS,
        value_parser = value_parser!(u32).range(1..=MAX_COUNT),
        allow_negative_numbers = true
    )]
    pub max_sessions: u32,

    /// Maximum memory for the facts of all sessions together, estimated, in bytes or with the unit Ki, Mi or Gi; at
    /// least 1Mi. A session that exceeds it ends with RESOURCE_EXHAUSTED, and its executor reconnects.
    #[arg(
        long,
        env = "EVERYNODE_MAX_SESSION_MEMORY",
        value_name = "BYTES",
        default_value = DEFAULT_SESSION_MEMORY,
        value_parser = session_memory,
        allow_hyphen_values = true
    )]
    pub max_session_memory: usize,

    /// Maximum duration of a call, in seconds or with units, such as 1m 30s; at most 24h. The call then fails with
    /// DEADLINE_EXCEEDED. A caller can set a shorter deadline. A session must begin within it, and has no maximum
    /// duration.
    #[arg(
        long,
        env = "EVERYNODE_CALL_DEADLINE",
        value_name = "TIME",
        default_value = serve::DEFAULT_CALL_DEADLINE,
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub call_deadline: Duration,

    /// The TLS flags.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Certificate names that may open sessions, as executors do; any one must match. DNS names and URIs count. The
    /// common name counts only if the certificate has no subject alternative names. * accepts every certificate from
    /// the authorities.
    #[arg(
        long,
        env = "EVERYNODE_SESSION_CLIENTS",
        value_name = "NAME,…",
        default_value = "everynode-executor",
        value_delimiter = ',',
        requires = "tls_cert",
        help_heading = "TLS"
    )]
    pub session_clients: Vec<String>,

    /// Certificate names that may make all other calls; any one must match. They match in the same way as the names of
    /// --session-clients.
    #[arg(
        long,
        env = "EVERYNODE_CALL_CLIENTS",
        value_name = "NAME,…",
        default_value = "*",
        value_delimiter = ',',
        requires = "tls_cert",
        help_heading = "TLS"
    )]
    pub call_clients: Vec<String>,

    /// The log flags.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// The highest count that a flag accepts. A higher one must be a mistake.
const MAX_COUNT: i64 = 10_000;
/// [`SessionMemory::DEFAULT_LIMIT`](crate::session::SessionMemory::DEFAULT_LIMIT) as text.
const DEFAULT_SESSION_MEMORY: &str = "512Mi";
/// The lowest memory limit that is accepted. Less isn't enough for any cluster, so it must be a mistake, such as a
/// missing unit.
const MIN_SESSION_MEMORY_BYTES: usize = 1024 * 1024;

/// Parses `--max-session-memory`.
fn session_memory(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" => 1,
        "Ki" | "KiB" => 1024,
        "Mi" | "MiB" => 1024 * 1024,
        "Gi" | "GiB" => 1024 * 1024 * 1024,
        unit => return Err(format!("unknown unit {unit}: use Ki, Mi or Gi, such as 512Mi")),
    };
    let number: Option<usize> = digits.parse().ok();
    match number.and_then(|number| number.checked_mul(unit)) {
        None => Err("must be a number of bytes, such as 536870912 or 512Mi".to_owned()),
        Some(..MIN_SESSION_MEMORY_BYTES) => Err("must be at least 1Mi".to_owned()),
        Some(bytes) => Ok(bytes),
    }
}

impl Args {
    /// The limits on concurrent calls and sessions, and the call deadline.
    pub fn limits(&self) -> Limits {
        Limits {
            max_concurrent_calls: self.max_concurrent_calls,
            max_streams: self.max_sessions,
            streams: "sessions",
            call_deadline: self.call_deadline,
            max_message_bytes: MAX_MESSAGE_BYTES,
        }
    }

    /// Which clients may make which calls under TLS.
    pub fn clients(&self) -> AllowedClients {
        let allowed = |flag, names: &[String]| AllowedNames {
            flag,
            names: names.to_vec(),
        };
        AllowedClients {
            calls: allowed("--call-clients", &self.call_clients),
            streams: allowed("--session-clients", &self.session_clients),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};
    use everynode_serving::program::logs::LogFormat;

    use super::*;
    use crate::session::SessionMemory;

    #[test]
    fn flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_command_accepts_the_same_flags_as_no_command() {
        let cli = Cli::try_parse_from(["planner", "serve", "--listen=127.0.0.1:1"]).unwrap();
        let Some(Command::Serve(args)) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!(args.listen.to_string(), "127.0.0.1:1");
        let cli = Cli::try_parse_from(["planner"]).unwrap();
        assert!(cli.command.is_none());
    }

    #[test]
    fn every_flag_is_parsed() {
        let flags = [
            "--listen=127.0.0.1:1",
            "--admin-listen=[::1]:2",
            "--node-name=worker-1",
            "--max-concurrent-calls=3",
            "--max-sessions=4",
            "--max-session-memory=2Gi",
            "--call-deadline=1m 5s",
            "--tls-cert=a",
            "--tls-key=b",
            "--tls-ca=c",
            "--session-clients=d,e",
            "--call-clients=f",
            "--log-format=json",
            "--log=debug",
        ];
        let args = Cli::try_parse_from(std::iter::once("planner").chain(flags))
            .unwrap()
            .serve;
        assert_eq!(args.listen.to_string(), "127.0.0.1:1");
        assert_eq!(args.admin_listen.to_string(), "[::1]:2");
        assert_eq!(args.node_name.as_deref(), Some("worker-1"));
        let limits = args.limits();
        assert_eq!((limits.max_concurrent_calls, limits.max_streams), (3, 4));
        assert_eq!(args.max_session_memory, 2 << 30);
        assert_eq!(limits.call_deadline, Duration::from_secs(65));
        let clients = args.clients();
        assert_eq!(clients.streams.names, ["d", "e"]);
        assert_eq!(clients.calls.names, ["f"]);
        assert_eq!(
            (args.logs.log_format, args.logs.log.as_str()),
            (LogFormat::Json, "debug")
        );
    }

    #[test]
    fn limits_have_defaults() {
        let limits = Cli::parse_from(["planner"]).serve.limits();
        assert_eq!((limits.max_concurrent_calls, limits.max_streams), (16, 64));
        assert_eq!(limits.call_deadline, Duration::from_secs(30));
        assert_eq!(limits.max_request_bytes(), 256 * 1024 * 1024);
        let memory = Cli::parse_from(["planner"]).serve.max_session_memory;
        assert_eq!(memory, SessionMemory::DEFAULT_LIMIT);
    }

    #[test]
    fn invalid_flags_are_refused_and_named() {
        for (flag, kind) in [
            ("--unheard", ErrorKind::UnknownArgument),
            ("--listen=localhost", ErrorKind::ValueValidation),
            ("--admin-listen=:9", ErrorKind::ValueValidation),
            ("--max-concurrent-calls=0", ErrorKind::ValueValidation),
            ("--max-sessions=-1", ErrorKind::ValueValidation),
            ("--max-sessions=many", ErrorKind::ValueValidation),
            ("--max-session-memory=0", ErrorKind::ValueValidation),
            ("--max-session-memory=512", ErrorKind::ValueValidation),
            ("--max-session-memory=-1Gi", ErrorKind::ValueValidation),
            ("--max-session-memory=1Pi", ErrorKind::ValueValidation),
            ("--max-session-memory=99999999999Gi", ErrorKind::ValueValidation),
            ("--call-deadline=0", ErrorKind::ValueValidation),
            ("--call-deadline=soon", ErrorKind::ValueValidation),
            ("--log-format=xml", ErrorKind::InvalidValue),
            ("--tls-cert=a", ErrorKind::MissingRequiredArgument),
        ] {
            let error = Cli::try_parse_from(["planner", flag]).unwrap_err();
            assert_eq!(error.kind(), kind, "{flag}");
            let name = flag.split('=').next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
