//! Connects to an executor, by its address or through a port-forward to its pod.

use std::time::Duration;

use everynode_proto::executor::v1::{
    GetInfoRequest, GetInfoResponse, executor_service_client::ExecutorServiceClient,
};
use everynode_render::ErrorChain;
use everynode_serving::backoff::Backoff;
use tokio::time::Instant;
use tonic::{
    Code, Request, Response, Status,
    service::interceptor::InterceptedService,
    transport::{self, Channel, Endpoint},
};

use super::{
    args::ClusterArgs,
    error::{ConnectError, Error, PodError},
    forward::PortForward,
    kubectl::{ExecutorPod, Kubectl, LABEL},
    security::{BearerToken, Security},
};

const DEFAULT_PORT: &str = "50052";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a call is repeated while the executor refuses it because of a limit.
const RETRY_PERIOD: Duration = Duration::from_secs(10);
/// Bounds of the wait before a call is repeated.
const MIN_RETRY_WAIT: Duration = Duration::from_millis(100);
const MAX_RETRY_WAIT: Duration = Duration::from_secs(2);
/// Interval of the pings that detect a lost executor: a watch may be silent for hours.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a response. It is enough for every DaemonSet on every node of a large cluster.
const MAX_MESSAGE_BYTES: usize = 256 * 1024 * 1024;

pub(crate) type Client = ExecutorServiceClient<InterceptedService<Channel, BearerToken>>;

/// A connection to an executor that has answered.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// The executor's answer to `GetInfo`.
    pub(crate) info: GetInfoResponse,
    /// The port-forward under this connection, if there is one. Dropping it closes the connection.
    _forward: Option<PortForward>,
}

impl Connection {
    /// Returns the leader's name if the leader is known and is another executor.
    fn other_leader(&self) -> Option<&str> {
        let leader = self.info.leader.as_str();
        (!leader.is_empty() && leader != self.info.identity).then_some(leader)
    }
}

/// Connects to the executors of a cluster.
#[derive(Debug)]
pub(crate) struct Connector {
    cluster: ClusterArgs,
    kubectl: Kubectl,
}

impl Connector {
    pub(crate) fn new(cluster: ClusterArgs) -> Self {
        Self {
            kubectl: Kubectl::new(&cluster),
            cluster,
        }
    }

    pub(crate) fn cluster(&self) -> &ClusterArgs {
        &self.cluster
    }

    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Connects to any executor.
    ///
    /// # Errors
    /// No executor runs, or none can be reached.
    pub(crate) async fn connect_any(&self) -> Result<Connection, Error> {
        if let Some(server) = &self.cluster.server {
            return self.connect_to_server(server).await;
        }
        let namespace = &self.cluster.everynode_namespace;
        let pods = self.executor_pods().await?;
        let mut attempts = Vec::new();
        for pod in &pods {
            match self.connect_to_pod(pod).await {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    attempts.push(format!("pod {namespace}/{}: {}", pod.name, ErrorChain(&error)));
                }
            }
        }
        Err(if attempts.is_empty() {
            Error::NoExecutor {
                namespace: namespace.clone(),
                label: LABEL,
            }
        } else {
            Error::Unreachable(attempts)
        })
    }

    /// Connects to the leader. Connects to any executor when no leader is known, or when `--server` sets an address.
    ///
    /// # Errors
    /// No executor runs, or the executor can't be reached.
    pub(crate) async fn connect_leader(&self) -> Result<Connection, Error> {
        let any = self.connect_any().await?;
        match any.other_leader() {
            Some(leader) if self.cluster.server.is_none() => self.connect_named(leader).await,
            _ => Ok(any),
        }
    }

    /// Connects to the executor with this identity. By default, an executor's identity is its pod's name.
    ///
    /// # Errors
    /// The executor doesn't run, or can't be reached.
    pub(crate) async fn connect_named(&self, identity: &str) -> Result<Connection, Error> {
        let mut pods = self.executor_pods().await?;
        if pods.iter().any(|pod| pod.name == identity) {
            pods.retain(|pod| pod.name == identity);
        }
        let mut attempts = Vec::new();
        for pod in &pods {
            match self.connect_to_pod(pod).await {
                Ok(connection) if connection.info.identity == identity => return Ok(connection),
                Ok(connection) => attempts.push(format!(
                    "pod {} is the executor {}",
                    pod.name, connection.info.identity
                )),
                Err(error) => attempts.push(format!("pod {}: {}", pod.name, ErrorChain(&error))),
            }
        }
        Err(Error::LeaderUnreachable {
            name: identity.to_owned(),
            attempts,
        })
    }

    async fn executor_pods(&self) -> Result<Vec<ExecutorPod>, Error> {
        let namespace = &self.cluster.everynode_namespace;
        let pods = self.kubectl.executor_pods(namespace).await;
        pods.map_err(|error| Error::list_pods(namespace, error))
    }

    async fn connect_to_server(&self, server: &str) -> Result<Connection, Error> {
        let usage = || Error::Usage(format!("--server {server}: expected HOST:PORT"));
        let Security { connector, token } = Security::from_flags(&self.cluster)?;
        let scheme = if connector.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{server}")).map_err(|_| usage())?;
        if endpoint.uri().port().is_none() {
            return Err(usage());
        }
        let channel = match connector {
            Some(connector) => configure(endpoint).connect_with_connector(connector).await,
            None => configure(endpoint).connect().await,
        };
        get_info(channel, token, None)
            .await
            .map_err(|error| Error::Connect {
                server: server.to_owned(),
                error,
            })
    }

    async fn connect_to_pod(&self, pod: &ExecutorPod) -> Result<Connection, PodError> {
        let namespace = &self.cluster.everynode_namespace;
        let port_flag = self.cluster.everynode_port.as_deref();
        let port = port_flag.or(pod.local_port).unwrap_or(DEFAULT_PORT);
        let forward = PortForward::start(&self.kubectl, namespace, &pod.name, port).await?;
        let connect_error = |error| PodError::Connect {
            port: port.to_owned(),
            error,
        };
        let channel = match Endpoint::from_shared(format!("http://127.0.0.1:{}", forward.port)) {
            Ok(endpoint) => configure(endpoint).connect().await,
            Err(error) => Err(error),
        };
        get_info(channel, BearerToken::default(), Some(forward))
            .await
            .map_err(connect_error)
    }
}

fn configure(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
}

/// Calls `GetInfo` to find out whether an executor listens: a port-forward accepts connections even when nothing
/// listens behind it.
async fn get_info(
    channel: Result<Channel, transport::Error>,
    token: BearerToken,
    forward: Option<PortForward>,
) -> Result<Connection, ConnectError> {
    let channel = channel.map_err(ConnectError::Transport)?;
    let mut client =
        ExecutorServiceClient::with_interceptor(channel, token).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let info = client
        .get_info(with_timeout(GetInfoRequest {}))
        .await?
        .into_inner();
    Ok(Connection {
        client,
        info,
        _forward: forward,
    })
}

/// Wraps a message in a request with the timeout for responses.
pub(crate) fn with_timeout<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(RESPONSE_TIMEOUT);
    request
}

/// Calls the executor, and repeats the call while a limit refuses it. A command about hundreds of objects makes as many
/// calls, which can exceed the rate at which the executor checks a user's rights.
///
/// # Errors
/// The call fails for another reason, or the limit still refuses it after [`RETRY_PERIOD`].
pub(crate) async fn call<T>(
    mut attempt: impl AsyncFnMut() -> Result<Response<T>, Status>,
) -> Result<T, Status> {
    let started = Instant::now();
    let mut backoff = Backoff::between(MIN_RETRY_WAIT, MAX_RETRY_WAIT);
    loop {
        match attempt().await {
            Err(status) if status.code() == Code::ResourceExhausted && started.elapsed() < RETRY_PERIOD => {
                tokio::time::sleep(backoff.next_wait()).await;
            }
            result => return result.map(Response::into_inner),
        }
    }
}
