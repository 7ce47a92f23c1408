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
    offline::args::{ExplainArgs, PlanArgs, SimulateArgs},
};

/// Decides which nodes get a DaemonSet's pods, over gRPC and without access to any cluster.
///
/// Without a command it serves: executors connect to it; autoscalers, drain controllers and people ask it (Plan, Explain,
/// SimulateNodes, GetInfo; health and reflection are on the same port). It keeps no state beyond a session, so any number of
/// planners can run side by side. The commands answer the same questions from files, without a server.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "everynode-planner",
    version,
    args_conflicts_with_subcommands = true,
    after_long_help = HELP
)]
pub struct Cli {
    /// What to do; to serve when not given.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to serve without a command.
    #[command(flatten)]
    pub serve: Args,
}

const HELP: &str = "\
Examples:
  # Serve executors and everybody else who has a certificate of that authority
  everynode-planner --tls-cert tls.crt --tls-key tls.key --tls-ca ca.crt

  # Ask it
  grpcurl -cacert ca.crt -cert tls.crt -key tls.key HOST:50051 everynode.planner.v1.PlannerService/GetInfo

  # Serve everybody who reaches the port, in plain text
  everynode-planner --plaintext

  # On which nodes would this DaemonSet run, and why not on the others?
  kubectl get nodes -o json | everynode-planner explain -f ds.yaml -f -

Exit codes of a server:
  0   it was told to stop, and has stopped
  1   it can't go on
  64  the flags can't be used, or a port is taken

Those of a command are in its own --help.";

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve gRPC, as without a command.
    Serve(Args),
    /// Say which DaemonSets run on which nodes, and why not elsewhere.
    Explain(ExplainArgs),
    /// Say what is to be done for a DaemonSet.
    Plan(PlanArgs),
    /// Say what DaemonSets would take of nodes that needn't exist yet.
    Simulate(SimulateArgs),
    /// Print a script that completes the flags in a shell.
    Completions {
        /// The shell. `source <(everynode-planner completions bash)` uses the script at once.
        shell: Shell,
    },
}

/// How to serve.
#[derive(Debug, Clone, clap::Args)]
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

    /// How many calls, without sessions, are worked on at the same time. One more waits for its turn for a second, and
    /// is then refused with RESOURCE_EXHAUSTED and the time after which to try again.
    #[arg(
        long,
        env = "EVERYNODE_MAX_CONCURRENT_CALLS",
        value_name = "COUNT",
        default_value_t = serve::DEFAULT_MAX_CONCURRENT_CALLS,
        value_parser = value_parser!(u32).range(1..=MOST),
        allow_negative_numbers = true
    )]
    pub max_concurrent_calls: u32,

    /// How many sessions are open at the same time. One more waits and is refused as a call is.
    #[arg(
        long,
        env = "EVERYNODE_MAX_SESSIONS",
        value_name = "COUNT",
        default_value_t = serve::DEFAULT_MAX_STREAMS,
        value_parser = value_parser!(u32).range(1..=MOST),
        allow_negative_numbers = true
    )]
    pub max_sessions: u32,

    /// How much memory the facts of all sessions may take together, as an estimate: in bytes, or with Ki, Mi or Gi, such
    /// as 512Mi. A session that would take more ends with RESOURCE_EXHAUSTED, and its executor connects again.
    #[arg(
        long,
        env = "EVERYNODE_MAX_SESSION_MEMORY",
        value_name = "BYTES",
        default_value = DEFAULT_SESSION_MEMORY,
        value_parser = session_memory,
        allow_hyphen_values = true
    )]
    pub max_session_memory: usize,

    /// The longest that a call may take, such as 30s or 1m 30s, or a number of seconds. It ends with DEADLINE_EXCEEDED
    /// then, or before when its caller sets a shorter deadline. A session has to begin within it, and may then last.
    #[arg(
        long,
        env = "EVERYNODE_CALL_DEADLINE",
        value_name = "TIME",
        default_value = serve::DEFAULT_CALL_DEADLINE,
        value_parser = duration::parse,
        allow_hyphen_values = true
    )]
    pub call_deadline: Duration,

    /// How connections are secured.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// The names of which a client's certificate has to bear one to open sessions, as executors do. DNS names and URIs
    /// count; the common name counts only in a certificate without subject alternative names. * stands for every
    /// certificate of the authorities.
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

    /// The names of which a client's certificate has to bear one for all other calls. They are compared as those of
    /// --session-clients are.
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

    /// What is logged, and how.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// The highest count that a flag accepts. A higher one is a mistake.
const MOST: i64 = 10_000;
/// [`SessionMemory::DEFAULT_LIMIT`] as text.
const DEFAULT_SESSION_MEMORY: &str = "512Mi";
/// The lowest memory limit that is accepted. Less isn't enough for any cluster, so it is a mistake, such as a
/// forgotten unit.
const LEAST_SESSION_MEMORY: usize = 1024 * 1024;

/// Parses `--max-session-memory`.
fn session_memory(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" => 1,
        "Ki" | "KiB" => 1024,
        "Mi" | "MiB" => 1024 * 1024,
        "Gi" | "GiB" => 1024 * 1024 * 1024,
        unit => return Err(format!("{unit} is no unit; use Ki, Mi or Gi, such as 512Mi")),
    };
    let number: Option<usize> = digits.parse().ok();
    match number.and_then(|number| number.checked_mul(unit)) {
        None => Err("must be a number of bytes, such as 536870912 or 512Mi".to_owned()),
        Some(..LEAST_SESSION_MEMORY) => Err("must be at least 1Mi".to_owned()),
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
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_can_be_asked_for_by_name_and_takes_the_same_flags() {
        let cli = Cli::try_parse_from(["planner", "serve", "--listen=127.0.0.1:1"]).unwrap();
        let Some(Command::Serve(args)) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!(args.listen.to_string(), "127.0.0.1:1");
        let cli = Cli::try_parse_from(["planner"]).unwrap();
        assert!(cli.command.is_none());
    }

    #[test]
    fn every_flag_is_read() {
        let flags = [
            "--listen=127.0.0.1:1",
            "--admin-listen=[::1]:2",
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
    fn flags_that_cant_be_used_are_refused_and_named() {
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
