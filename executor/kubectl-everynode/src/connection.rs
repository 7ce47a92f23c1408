//! Connects to an executor, by its address or through a port-forward to its pod.

use std::time::Duration;

use everynode_proto::executor::v1::{
    GetInfoRequest, GetInfoResponse, executor_service_client::ExecutorServiceClient,
};
use everynode_render::ErrorChain;
use tonic::{
    Request, Status,
    service::interceptor::InterceptedService,
    transport::{self, Channel, Endpoint},
};

use super::{
    args::Cluster,
    error::Error,
    forward::Forward,
    kubectl::{ExecutorPod, Kubectl, LABEL},
    secure::{Bearer, Security},
};

/// Default gRPC port of the executor.
const USUAL_PORT: &str = "50052";
/// Timeout for connecting.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Timeout for an answer.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);
/// A watch may be silent for hours, so pings detect a lost executor.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_DEADLINE: Duration = Duration::from_secs(10);
/// Maximum size of an answer: every DaemonSet on every node of a large cluster.
const MAX_MESSAGE_BYTES: usize = 256 * 1024 * 1024;

/// Client for calls to an executor.
pub type Client = ExecutorServiceClient<InterceptedService<Channel, Bearer>>;

/// A connection to an executor that has answered.
#[derive(Debug)]
pub struct Connection {
    /// Client for calls to this executor.
    pub client: Client,
    /// The executor's answer to `GetInfo`.
    pub info: GetInfoResponse,
    /// The port-forward under this connection, if there is one. Dropping it closes the connection.
    _forward: Option<Forward>,
}

impl Connection {
    /// Returns the leader's name if the leader is known and is another executor.
    pub fn other_leader(&self) -> Option<&str> {
        let leader = self.info.leader.as_str();
        (!leader.is_empty() && leader != self.info.identity).then_some(leader)
    }
}

/// Connects to the executors of a cluster.
#[derive(Debug)]
pub struct Connector {
    cluster: Cluster,
    kubectl: Kubectl,
}

impl Connector {
    /// Creates a connector for the cluster that the flags select.
    pub fn new(cluster: Cluster) -> Self {
        Self {
            kubectl: Kubectl::new(&cluster),
            cluster,
        }
    }

    /// The flags that select the cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// kubectl for the same cluster.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Connects to any executor.
    ///
    /// # Errors
    /// No executor runs, or none can be reached.
    pub async fn any(&self) -> Result<Connection, Error> {
        if let Some(server) = &self.cluster.server {
            return self.server(server).await;
        }
        let namespace = &self.cluster.everynode_namespace;
        let pods = self.pods().await?;
        let mut tried = Vec::new();
        for pod in &pods {
            match self.pod(pod).await {
                Ok(connection) => return Ok(connection),
                Err(error) => tried.push(format!("pod {namespace}/{}: {error}", pod.name)),
            }
        }
        Err(if tried.is_empty() {
            Error::NoExecutor {
                namespace: namespace.clone(),
                label: LABEL,
            }
        } else {
            Error::Unreachable(tried)
        })
    }

    /// Connects to the leader. Connects to any executor when no leader is known, or when `--server` gives an address.
    ///
    /// # Errors
    /// No executor runs, or the executor can't be reached.
    pub async fn leader(&self) -> Result<Connection, Error> {
        let any = self.any().await?;
        match any.other_leader() {
            Some(leader) if self.cluster.server.is_none() => self.named(leader).await,
            _ => Ok(any),
        }
    }

    /// Connects to the executor with this name. An executor has its pod's name unless it was given another one.
    ///
    /// # Errors
    /// The executor doesn't run, or can't be reached.
    pub async fn named(&self, name: &str) -> Result<Connection, Error> {
        let mut pods = self.pods().await?;
        if pods.iter().any(|pod| pod.name == name) {
            pods.retain(|pod| pod.name == name);
        }
        let mut tried = Vec::new();
        for pod in &pods {
            match self.pod(pod).await {
                Ok(connection) if connection.info.identity == name => return Ok(connection),
                Ok(connection) => tried.push(format!("pod {} is {}", pod.name, connection.info.identity)),
                Err(error) => tried.push(error.to_string()),
            }
        }
        Err(Error::NoLeader {
            name: name.to_owned(),
            tried,
        })
    }

    async fn pods(&self) -> Result<Vec<ExecutorPod>, Error> {
        let namespace = &self.cluster.everynode_namespace;
        let pods = self.kubectl.executors(namespace).await;
        pods.map_err(|error| Error::not_found(namespace, error))
    }

    async fn server(&self, server: &str) -> Result<Connection, Error> {
        let usage = || Error::Usage(format!("--server {server}: expected HOST:PORT"));
        let Security { connector, bearer } = Security::of(&self.cluster)?;
        let scheme = if connector.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{server}")).map_err(|_| usage())?;
        if endpoint.uri().port().is_none() {
            return Err(usage());
        }
        let failed = |words: String| Error::Connect {
            server: server.to_owned(),
            words,
        };
        let channel = match connector {
            Some(connector) => prepared(endpoint).connect_with_connector(connector).await,
            None => prepared(endpoint).connect().await,
        };
        greet(channel, bearer, None).await.map_err(failed)
    }

    async fn pod(&self, pod: &ExecutorPod) -> Result<Connection, Error> {
        let namespace = &self.cluster.everynode_namespace;
        let named = self.cluster.everynode_port.as_deref();
        let port = named.or(pod.local_port).unwrap_or(USUAL_PORT);
        let pod = pod.name.as_str();
        let forward = Forward::begin(&self.kubectl, namespace, pod, port).await?;
        let unreachable =
            |words| Error::Unreachable(vec![format!("port {port} of pod {namespace}/{pod}: {words}")]);
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", forward.port))
            .map_err(|error| unreachable(error.to_string()))?;
        let channel = prepared(endpoint).connect().await;
        greet(channel, Bearer::default(), Some(forward))
            .await
            .map_err(unreachable)
    }
}

fn prepared(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_DEADLINE)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_DEADLINE)
        .keep_alive_while_idle(true)
}

/// Calls `GetInfo` to find out whether an executor listens: a port-forward accepts connections even when nothing
/// listens behind it.
async fn greet(
    channel: Result<Channel, transport::Error>,
    bearer: Bearer,
    forward: Option<Forward>,
) -> Result<Connection, String> {
    let channel = channel.map_err(|error| ErrorChain(&error).to_string())?;
    let mut client =
        ExecutorServiceClient::with_interceptor(channel, bearer).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let info = client.get_info(request(GetInfoRequest {})).await;
    let info = info.map_err(|status| nobody(&status))?.into_inner();
    Ok(Connection {
        client,
        info,
        _forward: forward,
    })
}

fn nobody(status: &Status) -> String {
    match status.code() {
        tonic::Code::Unimplemented => "what answers there is no executor".to_owned(),
        _ => ErrorChain(status).to_string(),
    }
}

/// Wraps a message in a request with the timeout for answers.
pub(super) fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER_DEADLINE);
    request
}
