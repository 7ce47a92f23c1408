//! Flags for TLS, and for the callers that the executor accepts.

use std::net::SocketAddr;

use clap::ValueEnum;
use everynode_serving::{program::tls::TlsArgs, tls::Credentials};

use crate::live_view::service::callers::Callers;

/// The flags for TLS and for callers.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "TLS")]
pub struct AccessArgs {
    /// The TLS flags.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Name that the planner's certificate must have; by default the host of --planner.
    #[arg(
        long,
        env = "EVERYNODE_PLANNER_SERVER_NAME",
        value_name = "NAME",
        requires = "tls_cert"
    )]
    pub planner_server_name: Option<String>,

    /// How callers authenticate.
    #[arg(
        long,
        env = "EVERYNODE_CALLERS",
        value_enum,
        default_value_t = CallersArg::Certificates,
        requires = "tls_cert"
    )]
    pub callers: CallersArg,

    /// Accepted certificate names (any one must match); by default *, which accepts every certificate from the
    /// authorities. DNS names and URIs count. The common name counts only if the certificate has no subject
    /// alternative names. Only with --callers=certificates.
    #[arg(
        long,
        env = "EVERYNODE_CALLER_NAMES",
        value_name = "NAME,…",
        value_delimiter = ',',
        requires = "tls_cert"
    )]
    pub caller_names: Vec<String>,

    /// Loopback address of an additional gRPC server in plain text, such as 127.0.0.1:50053, for kubectl
    /// port-forward, which kubectl everynode uses. Everybody on this machine or in this pod can connect to it. By
    /// default there is none.
    #[arg(
        long,
        env = "EVERYNODE_LOCAL_LISTEN",
        value_name = "ADDR",
        value_parser = loopback
    )]
    pub local_listen: Option<SocketAddr>,
}

/// How callers authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CallersArg {
    /// Client certificates from the authorities.
    Certificates,
    /// Tokens of the cluster. Callers see the DaemonSets and nodes that they may get, list and watch in the cluster.
    Tokens,
}

impl AccessArgs {
    /// The accepted callers. Without `credentials`, which means plain text, everybody is accepted.
    ///
    /// # Errors
    /// The flags contradict each other. The error is a message for users.
    pub fn callers(&self, credentials: Option<Credentials>) -> Result<Callers, String> {
        let Some(credentials) = credentials else {
            return Ok(Callers::Anybody);
        };
        match self.callers {
            CallersArg::Certificates => {
                let names = match self.caller_names.as_slice() {
                    [] => vec!["*".to_owned()],
                    names => names.to_vec(),
                };
                Ok(Callers::Certified { credentials, names })
            }
            CallersArg::Tokens if self.caller_names.is_empty() => Ok(Callers::WithTokens { credentials }),
            CallersArg::Tokens => Err(
                "--caller-names can't be used with --callers=tokens, because it sets names of certificates"
                    .to_owned(),
            ),
        }
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "must be an address and a port, such as 127.0.0.1:50053".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(
            "must be a loopback address, such as 127.0.0.1:50053, because it is served in plain text"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_listen_accepts_only_loopback_addresses() {
        for address in ["127.0.0.1:50053", "127.1.2.3:1", "[::1]:50053"] {
            assert!(loopback(address).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:50053", "[::]:50053", "10.0.0.1:50053", "localhost:1"] {
            assert!(
                loopback(address).unwrap_err().contains("127.0.0.1:50053"),
                "{address}"
            );
        }
    }
}
