//! A faulty proxy of the API server. It parses each call, so it can refuse some calls, lose the responses to others,
//! and change how watches deliver their events. It serves TLS and HTTP/2 with the API server's own certificate.

mod delivery;
mod events;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use futures::stream;
use http::{Method, Request, Response, StatusCode, Uri, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use kube::Client;
use kube::config::AuthInfo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use self::delivery::{Interruption, WatchDelivery};
use crate::control_plane::ControlPlane;

/// The size limit of a call's body in bytes. It doesn't apply to watches.
const MAX_BODY_BYTES: usize = 64 << 20;

/// A call to the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The HTTP method: `POST` creates, `PATCH` changes, and so on.
    pub method: Method,
    /// The resource: `pods`, `daemonsets`, …; empty when the path names no resource.
    pub resource: String,
    /// Whether it is a watch.
    pub is_watch: bool,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    /// The call isn't forwarded. The response has this status.
    Refused {
        /// The status.
        code: u16,
        /// Seconds in the response's `Retry-After` header; `None` for no header.
        retry_after: Option<u32>,
    },
    /// The call isn't forwarded, and no response is sent.
    Dropped,
    /// The call is forwarded, but no response is sent.
    ResponseLost,
    /// The call is forwarded, but the response ends in the middle.
    Truncated,
}

/// A fault, the calls that it applies to, and how many more of them will fail.
#[derive(Debug, Clone, Copy)]
struct Rule {
    selector: fn(&Call) -> bool,
    fault: CallFault,
    remaining: usize,
}

/// A running proxy. Dropping it stops it and closes its connections.
#[derive(Debug)]
pub struct ApiServerProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    delivery: watch::Sender<WatchDelivery>,
    interruptions: watch::Sender<(u64, Interruption)>,
    /// How many watches the interruptions have ended.
    watches_ended: AtomicUsize,
}

#[derive(Clone)]
struct ProxyState {
    server: Client,
    shared: Arc<Shared>,
}

impl ApiServerProxy {
    /// Listens on a free loopback port and forwards every call unchanged, with the caller's own credentials.
    ///
    /// # Errors
    /// When there is no free port, or the control plane's certificates can't be read.
    pub async fn start(control_plane: &ControlPlane) -> Result<Self> {
        let mut config = control_plane.config().await?;
        // Each caller authenticates itself, so the proxy adds no credentials.
        config.auth_info = AuthInfo::default();
        let shared = Arc::new(Shared::new());
        let proxy = ProxyState {
            server: everynode_executor::apiserver::client::connect(&config)?,
            shared: shared.clone(),
        };
        let tls = acceptor(control_plane.work_dir())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listening for calls")?;
        let address = listener.local_addr().context("a listener has an address")?;
        let router = Router::new().fallback(handle).with_state(proxy);
        Ok(Self {
            address,
            shared,
            task: tokio::spawn(accept(listener, tls, router)).abort_handle(),
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the next `times` calls that `selector` selects fail. If several faults apply, the first one added is used.
    pub fn inject(&self, selector: fn(&Call) -> bool, fault: CallFault, times: usize) {
        self.shared.rules().push(Rule {
            selector,
            fault,
            remaining: times,
        });
    }

    /// Ends all faults of calls: from now on, calls are forwarded.
    pub fn end_faults(&self) {
        self.shared.rules().clear();
    }

    /// How many calls are still to fail.
    pub fn faults_left(&self) -> usize {
        self.shared.rules().iter().map(|rule| rule.remaining).sum()
    }

    /// Changes how watches deliver their events, for current and future watches.
    pub fn set_watch_delivery(&self, delivery: WatchDelivery) {
        self.shared.delivery.send_replace(delivery);
    }

    /// Ends all current watches.
    pub fn end_watches(&self, how: Interruption) {
        self.shared
            .interruptions
            .send_modify(|(count, last)| (*count, *last) = (*count + 1, how));
    }

    /// How many watches [`ApiServerProxy::end_watches`] has ended so far, over all calls.
    pub fn watches_ended(&self) -> usize {
        self.shared.watches_ended.load(Ordering::Relaxed)
    }
}

impl Drop for ApiServerProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            rules: Mutex::default(),
            delivery: watch::Sender::default(),
            interruptions: watch::Sender::new((0, Interruption::Closed)),
            watches_ended: AtomicUsize::new(0),
        }
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, call: &Call) -> Option<CallFault> {
        let mut rules = self.rules();
        let rule = rules
            .iter_mut()
            .find(|rule| rule.remaining > 0 && (rule.selector)(call))?;
        rule.remaining -= 1;
        Some(rule.fault)
    }
}

impl Call {
    fn of(method: &Method, uri: &Uri) -> Self {
        let mut parts = uri.path().trim_start_matches('/').split('/');
        // The resource follows api/v1 or apis/GROUP/VERSION, and namespaces/NAME if the call names a namespace.
        let skipped = match parts.next() {
            Some("api") => 1,
            Some("apis") => 2,
            _ => usize::MAX,
        };
        let mut rest = parts.skip(skipped).peekable();
        let mut resource = rest.next().unwrap_or_default();
        if resource == "namespaces" && rest.next().is_some() && rest.peek().is_some() {
            resource = rest.next().unwrap_or_default();
        }
        let query = uri.query().unwrap_or_default();
        Self {
            method: method.clone(),
            resource: resource.to_owned(),
            is_watch: query
                .split('&')
                .any(|part| part == "watch=true" || part == "watch=1"),
        }
    }
}

fn acceptor(work_dir: &Path) -> Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(work_dir.join("server.crt"))
        .context("reading the API server's certificate")?
        .collect();
    let key =
        PrivateKeyDer::from_pem_file(work_dir.join("server.key")).context("reading the API server's key")?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.context("the API server's certificate")?, key)
        .context("serving under the API server's certificate")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, router: Router) {
    // Connections end with this task, because dropping the set aborts them.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, tls.clone(), router.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection. Ignores how it ends, because that is the client's concern.
async fn serve(stream: TcpStream, tls: TlsAcceptor, router: Router) {
    let _ = stream.set_nodelay(true);
    if let Ok(stream) = tls.accept(stream).await {
        let service = TowerToHyperService::new(router);
        let _ = auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

async fn handle(State(proxy): State<ProxyState>, request: Request<Body>) -> Response<Body> {
    let call = Call::of(request.method(), request.uri());
    match proxy.shared.fault(&call) {
        Some(CallFault::Refused { code, retry_after }) => return refusal(code, retry_after),
        Some(CallFault::Dropped) => return std::future::pending().await,
        Some(CallFault::ResponseLost) => {
            let _ = proxy.forward(request).await;
            return std::future::pending().await;
        }
        Some(CallFault::Truncated) => return truncate(proxy.forward(request).await).await,
        None => {}
    }
    let response = proxy.forward(request).await;
    if call.is_watch && response.status().is_success() {
        return delivery::relay_watch(response, &proxy.shared);
    }
    response
}

impl ProxyState {
    async fn forward(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        // Buffering the whole body lets the client send its length.
        let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
            return refusal(400, None);
        };
        let response = self
            .server
            .send(Request::from_parts(head, body.to_vec().into()))
            .await;
        response.map_or_else(|_| refusal(502, None), |response| response.map(Body::new))
    }
}

fn refusal(code: u16, retry_after: Option<u32>) -> Response<Body> {
    let message = format!("injected: {code}");
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "reason": if code == 410 { "Expired" } else { "" }, "code": code});
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Returns a response that ends with an error after the first half of its body.
async fn truncate(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, MAX_BODY_BYTES)
        .await
        .unwrap_or_default();
    head.headers.remove(header::CONTENT_LENGTH);
    let half = whole.slice(..whole.len() / 2);
    let pieces = [Ok(half), Err(truncation_error())];
    Response::from_parts(head, Body::from_stream(stream::iter(pieces)))
}

fn truncation_error() -> std::io::Error {
    std::io::Error::other("injected: the response is truncated")
}

#[cfg(test)]
mod tests;
