//! Connections to the API server. They use HTTP/2 where the server speaks it, so that hundreds of calls share one
//! connection and a dead connection is noticed.

use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{ClientBuilder, ConfigExt},
};
use tower::{BoxError, ServiceBuilder, timeout::TimeoutLayer};

use super::clock::{Clock, ClockLayer};
use crate::election::lease::{
    Claim,
    connection::Connector,
    gate::{ClaimedBody, GateLayer},
};

/// How long connecting to the API server may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long the server may take to begin a response. This is above the API server's own limit for requests that it
/// can't finish.
const RESPONSE_DEADLINE: Duration = Duration::from_secs(70);
/// The idle time before a ping, and how long the server may take to answer it. Together they are as long as a call may
/// take. Until the client closes a silently dead connection, the executor sees no changes in the cluster.
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_DEADLINE: Duration = Duration::from_secs(10);
/// How much of one response may be in flight. Lists are long, and with the usual 64 KiB the server would wait for every
/// acknowledgement.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// How much of all responses on one connection may be in flight.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// Why a client can't be created from a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The configuration has a proxy.
    #[error("a proxy for the API server (proxy-url in the kubeconfig, or HTTPS_PROXY) isn't supported")]
    Proxy,
    /// `tls-server-name` isn't a host name or an IP address.
    #[error("tls-server-name {name:?} isn't a valid server name")]
    ServerName {
        /// The name in the configuration.
        name: String,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The configuration names certificates or credentials that can't be used.
    #[error(transparent)]
    Config(#[from] kube::Error),
}

/// Creates a client with its own connections.
///
/// # Errors
/// The configuration names certificates, credentials or a proxy that can't be used.
pub fn connect(config: &Config) -> Result<Client, ClientError> {
    connect_with(config, Claim::forever(), Clock::default())
}

/// Like [`connect`], but the client writes only while the claim to lead is current. Writes that it sent earlier don't
/// arrive after the claim has ended. The responses tell `clock` the API server's time.
///
/// # Errors
/// The same as those of [`connect`].
pub fn connect_with(config: &Config, claim: Claim, clock: Clock) -> Result<Client, ClientError> {
    if config.proxy_url.is_some() {
        return Err(ClientError::Proxy);
    }
    let mut connector = HttpConnector::new();
    // Accept https URLs too: the TLS connector, which wraps this one, adds the encryption.
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_DEADLINE));
    // After this time the kernel gives up on data that the server hasn't acknowledged, even if this process is frozen.
    connector.set_tcp_user_timeout(claim.margin());
    let connector = Connector::new(connector, claim.clone());
    let mut https = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name
            .clone()
            .try_into()
            .map_err(|source| ClientError::ServerName {
                name: name.clone(),
                source: BoxError::from(source),
            })?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let client: legacy::Client<_, ClaimedBody> = legacy::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_DEADLINE)
        .http2_keep_alive_while_idle(true)
        .build(https.enable_all_versions().wrap_connector(connector));
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(RESPONSE_DEADLINE))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .layer(ClockLayer::new(clock))
        .layer(GateLayer::new(claim))
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new("https://127.0.0.1:1".parse().unwrap())
    }

    #[tokio::test]
    async fn error_names_the_unusable_setting() {
        assert!(connect(&config()).is_ok());
        let mut config = config();
        config.tls_server_name = Some("not a server name".to_owned());
        let error = connect(&config).err().unwrap();
        assert!(error.to_string().contains("tls-server-name"), "{error:#}");
        config.proxy_url = Some("http://127.0.0.1:2".parse().unwrap());
        let error = connect(&config).err().unwrap();
        assert!(error.to_string().contains("proxy-url"), "{error:#}");
    }
}
