//! Flags for who may ask the executor, and for how the executor identifies itself to planners.

use std::net::SocketAddr;

use clap::ValueEnum;
use everynode_serving::{program::tls::TlsArgs, tls::Credentials};

use crate::live_view::service::callers::Callers;

/// The flags of TLS, and of those who ask.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "TLS")]
pub struct AccessArgs {
    /// How connections are secured.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// The name that the planners' certificates have to bear, if it isn't the host of --planner.
    #[arg(
        long,
        env = "EVERYNODE_PLANNER_SERVER_NAME",
        value_name = "NAME",
        requires = "tls_cert"
    )]
    pub planner_server_name: Option<String>,

    /// How those who ask show who they are.
    #[arg(
        long,
        env = "EVERYNODE_CALLERS",
        value_enum,
        default_value_t = CallersArg::Certificates,
        requires = "tls_cert"
    )]
    pub callers: CallersArg,

    /// The names of which a caller's certificate has to bear one. DNS names and URIs count; the common name counts only in a
    /// certificate without subject alternative names. * stands for every certificate of the authorities, and is meant when
    /// this isn't given.
    #[arg(
        long,
        env = "EVERYNODE_CALLER_NAMES",
        value_name = "NAME,…",
        value_delimiter = ',',
        requires = "tls_cert"
    )]
    pub caller_names: Vec<String>,

    /// Where to serve gRPC to whoever is on this machine or in this pod, in plain text besides TLS: by kubectl port-forward, which
    /// kubectl-everynode uses. It has to be an address of loopback, such as 127.0.0.1:50053.
    #[arg(
        long,
        env = "EVERYNODE_LOCAL_LISTEN",
        value_name = "ADDR",
        value_parser = loopback
    )]
    pub local_listen: Option<SocketAddr>,
}

/// How callers show who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CallersArg {
    /// By certificates of the authorities.
    Certificates,
    /// By tokens that the cluster's API server knows. Callers see the DaemonSets and nodes that they may list, get and watch
    /// there.
    Tokens,
}

impl AccessArgs {
    /// Who may ask, according to the flags. Without `credentials`, which means plain text, anybody may.
    ///
    /// # Errors
    /// The flags contradict each other. The error is a sentence for users.
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
                "--caller-names can't be used with --callers=tokens: those are names in certificates"
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
        Err("must be an address of loopback, such as 127.0.0.1:50053: it is served in plain text".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_beside_tls_is_for_loopback_only() {
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
