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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_flag_is_read() {
        let flags = [
            "--listen=127.0.0.1:1",
            "--admin-listen=[::1]:2",
            "--log-format=json",
            "--log=debug",
        ];
        let args = Args::try_parse_from(std::iter::once("planner").chain(flags)).unwrap();
        assert_eq!(args.listen.to_string(), "127.0.0.1:1");
        assert_eq!(args.admin_listen.to_string(), "[::1]:2");
        assert_eq!((args.log_format, args.log.as_str()), (LogFormat::Json, "debug"));
    }

    #[test]
    fn flags_that_cant_be_used_are_refused_and_named() {
        for (flag, kind) in [
            ("--unheard", ErrorKind::UnknownArgument),
            ("--listen=localhost", ErrorKind::ValueValidation),
            ("--admin-listen=:9", ErrorKind::ValueValidation),
            ("--log-format=xml", ErrorKind::InvalidValue),
        ] {
            let error = Args::try_parse_from(["planner", flag]).unwrap_err();
            assert_eq!(error.kind(), kind, "{flag}");
            let name = flag.split('=').next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
