//! A faulty proxy of the API server. It understands each call: it refuses some calls, loses the answers to others, and
//! tampers with watches in ways that no API server should. It speaks TLS and HTTP/2, as the API server does, and uses
//! the same certificate.

mod events;
mod speech;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
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

pub use self::speech::{Interruption, Speech};
use crate::control_plane::ControlPlane;

/// The size limit of a call's body in bytes. It doesn't apply to watches.
const LONGEST_BODY: usize = 64 << 20;

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

/// The way in which a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call isn't carried out; the answer has this status.
    Refused {
        /// The status.
        code: u16,
        /// Seconds after which the caller should retry, if the answer carries a `Retry-After`.
        retry_after: Option<u32>,
    },
    /// The call isn't carried out, and no answer comes.
    Ignored,
    /// The call is carried out, but no answer comes.
    Unanswered,
    /// The call is carried out, but the answer breaks off in the middle.
    Torn,
}

/// A fault, the calls that it applies to, and how many more of them it hits.
#[derive(Debug, Clone, Copy)]
struct Rule {
    chosen: fn(&Call) -> bool,
    fault: Fault,
    left: usize,
}

/// A running proxy. Dropping it stops it and closes its connections.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    speech: watch::Sender<Speech>,
    interruptions: watch::Sender<(u64, Interruption)>,
}

#[derive(Clone)]
struct Relayed {
    server: Client,
    shared: Arc<Shared>,
}

impl Gateway {
    /// Listens on a free loopback port and forwards every call unchanged, with the caller's own credentials.
    ///
    /// # Errors
    /// When there is no free port, or the control plane's certificates can't be read.
    pub async fn start(control_plane: &ControlPlane) -> Result<Self> {
        let mut config = control_plane.config().await?;
        // Each caller authenticates itself, so the proxy adds no credentials.
        config.auth_info = AuthInfo::default();
        let shared = Arc::new(Shared {
            rules: Mutex::default(),
            speech: watch::Sender::default(),
            interruptions: watch::Sender::new((0, Interruption::Closed)),
        });
        let relayed = Relayed {
            server: everynode_executor::apiserver::client::connect(&config)?,
            shared: shared.clone(),
        };
        let tls = acceptor(control_plane.home())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listening for calls")?;
        let address = listener.local_addr().context("a listener has an address")?;
        let router = Router::new().fallback(answer).with_state(relayed);
        Ok(Self {
            address,
            shared,
            accepting: tokio::spawn(accept(listener, tls, router)).abort_handle(),
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the next `times` chosen calls fail with a fault. If several faults apply, the one added first counts.
    pub fn fail(&self, chosen: fn(&Call) -> bool, fault: Fault, times: usize) {
        self.shared.rules().push(Rule {
            chosen,
            fault,
            left: times,
        });
    }

    /// How many faults are still due.
    pub fn faults_left(&self) -> usize {
        self.shared.rules().iter().map(|rule| rule.left).sum()
    }

    /// Changes how watches deliver their events, for current and future watches.
    pub fn speak(&self, speech: Speech) {
        self.shared.speech.send_replace(speech);
    }

    /// Ends all current watches.
    pub fn interrupt(&self, how: Interruption) {
        self.shared
            .interruptions
            .send_modify(|(count, last)| (*count, *last) = (*count + 1, how));
    }

    /// Stops all faults and lets watches deliver normally again.
    pub fn heal(&self) {
        self.shared.rules().clear();
        self.speak(Speech::default());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, call: &Call) -> Option<Fault> {
        let mut rules = self.rules();
        let rule = rules
            .iter_mut()
            .find(|rule| rule.left > 0 && (rule.chosen)(call))?;
        rule.left -= 1;
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

fn acceptor(home: &Path) -> Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(home.join("server.crt"))
        .context("reading the API server's certificate")?
        .collect();
    let key =
        PrivateKeyDer::from_pem_file(home.join("server.key")).context("reading the API server's key")?;
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

/// Ignores how a connection ends: whoever opened it has to deal with that.
async fn serve(stream: TcpStream, tls: TlsAcceptor, router: Router) {
    let _ = stream.set_nodelay(true);
    if let Ok(stream) = tls.accept(stream).await {
        let service = TowerToHyperService::new(router);
        let _ = auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

async fn answer(State(relayed): State<Relayed>, request: Request<Body>) -> Response<Body> {
    let call = Call::of(request.method(), request.uri());
    match relayed.shared.fault(&call) {
        Some(Fault::Refused { code, retry_after }) => return refusal(code, retry_after),
        Some(Fault::Ignored) => return std::future::pending().await,
        Some(Fault::Unanswered) => {
            let _ = relayed.hand_on(request).await;
            return std::future::pending().await;
        }
        Some(Fault::Torn) => return torn(relayed.hand_on(request).await).await,
        None => {}
    }
    let answer = relayed.hand_on(request).await;
    if call.is_watch && answer.status().is_success() {
        return speech::spoken(answer, &relayed.shared);
    }
    answer
}

impl Relayed {
    async fn hand_on(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        // Buffering the whole body lets the client send its length.
        let Ok(body) = axum::body::to_bytes(body, LONGEST_BODY).await else {
            return refusal(400, None);
        };
        let answer = self
            .server
            .send(Request::from_parts(head, body.to_vec().into()))
            .await;
        answer.map_or_else(|_| refusal(502, None), |answer| answer.map(Body::new))
    }
}

fn refusal(code: u16, retry_after: Option<u32>) -> Response<Body> {
    let words = format!("injected: {code}");
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": words,
        "reason": if code == 410 { "Expired" } else { "" }, "code": code});
    let mut answer = Response::new(Body::from(status.to_string()));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// Sends the first half of the answer, then breaks off the stream.
async fn torn(answer: Response<Body>) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    let whole = axum::body::to_bytes(body, LONGEST_BODY).await.unwrap_or_default();
    head.headers.remove(header::CONTENT_LENGTH);
    let half = whole.slice(..whole.len() / 2);
    let pieces = [Ok(half), Err(torn_off())];
    Response::from_parts(head, Body::from_stream(stream::iter(pieces)))
}

fn torn_off() -> std::io::Error {
    std::io::Error::other("injected: the answer breaks off")
}

#[cfg(test)]
mod tests;
