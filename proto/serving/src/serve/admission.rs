//! Admission of requests: a tower layer in front of all services of a server. A request's path decides which limits
//! apply.

use std::{
    convert::Infallible,
    future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use prost::bytes::Bytes;
use tokio::time::Instant;
use tonic::{Status, body::Body};
use tower::{Layer, Service, ServiceExt};

use super::{
    AllowedClients, CallKind, Peer, Permit, Refusal,
    authenticate::LimitedAuthenticator,
    connections,
    deadline::{Deadline, DeadlineExceeded},
    fair_semaphore::Caller,
    limiter::Limiter,
    limits::REFLECTION_TIMEOUT,
    methods::{Method, Methods},
    refusal::{self, correct_too_large},
    request_body::{MessageCount, RequestBody},
    response_body::ResponseBody,
    trace,
};

/// Prefix of the paths of reflection, in both of its versions.
const REFLECTION_PREFIX: &str = "/grpc.reflection.";
/// If the answer to a unary call hasn't been sent this long after the server's deadline, the connection closes.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Puts admission in front of a service.
#[derive(Debug, Clone)]
pub(super) struct AdmissionLayer {
    limiter: Arc<Limiter>,
    /// The limiter of the local port, which only this machine can reach.
    local_limiter: Arc<Limiter>,
    methods: Arc<Methods>,
    clients: Option<Arc<AllowedClients>>,
    authenticator: Option<Arc<LimitedAuthenticator>>,
}

impl AdmissionLayer {
    /// Without `clients` and `authenticator`, every caller may use every method.
    pub(super) fn new(
        limiter: Limiter,
        methods: Methods,
        clients: Option<Arc<AllowedClients>>,
        authenticator: Option<LimitedAuthenticator>,
    ) -> Self {
        Self {
            local_limiter: Arc::new(limiter.with_shared_memory(limiter.limits.for_local_port())),
            limiter: Arc::new(limiter),
            methods: Arc::new(methods),
            clients,
            authenticator: authenticator.map(Arc::new),
        }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission {
            inner,
            limiter: self.limiter.clone(),
            local_limiter: self.local_limiter.clone(),
            methods: self.methods.clone(),
            clients: self.clients.clone(),
            authenticator: self.authenticator.clone(),
        }
    }
}

/// The services, with admission in front of them.
#[derive(Debug, Clone)]
pub(super) struct Admission<S> {
    inner: S,
    limiter: Arc<Limiter>,
    local_limiter: Arc<Limiter>,
    methods: Arc<Methods>,
    clients: Option<Arc<AllowedClients>>,
    authenticator: Option<Arc<LimitedAuthenticator>>,
}

type CallResult = Result<Response<Body>, Infallible>;

impl<S> Service<Request<Body>> for Admission<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = CallResult> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        let limiter = if peer.is_some_and(|peer| peer.is_local) {
            self.local_limiter.clone()
        } else {
            self.limiter.clone()
        };
        let inner = self.inner.clone();
        // The deadline runs from here, so time spent waiting for a permit counts too.
        let deadline = Deadline::from_headers(request.headers(), limiter.limits.call_deadline);
        let path = request.uri().path();
        let method = self.methods.get(path);
        if let (Some(clients), Some(method)) = (&self.clients, method)
            && let Err(status) = clients.check(method.kind, peer)
        {
            let response = limiter.refuse(Refusal::Forbidden, status).into_http();
            return Box::pin(future::ready(Ok(response)));
        }
        let authenticator = self.authenticator.clone();
        let open = peer.map(|peer| peer.handle.begin_call());
        let traced = trace::TracedCall::start(request.headers(), path, method.is_none());
        let result: Self::Future = match method {
            Some(method) if method.kind == CallKind::Unary => {
                Box::pin(unary(limiter, inner, request, deadline, authenticator, method))
            }
            Some(method) => Box::pin(stream(limiter, inner, request, deadline, authenticator, method)),
            None => Box::pin(auxiliary(limiter, inner, request)),
        };
        // The connection stays open until the answer has been sent, however small the answer is.
        let result: Self::Future = Box::pin(async move {
            let response = result.await?;
            Ok(response.map(|body| Body::new(GuardedBody { body, _open: open })))
        });
        match traced {
            Some(call) => Box::pin(call.run(result)),
            None => result,
        }
    }
}

async fn unary<S>(
    limiter: Arc<Limiter>,
    inner: S,
    mut request: Request<Body>,
    deadline: Deadline,
    authenticator: Option<Arc<LimitedAuthenticator>>,
    method: Method,
) -> CallResult
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let connection = connection(&request);
    let admitted = admit(&limiter, CallKind::Unary, authenticator.as_deref(), &mut request);
    let permit = match deadline.limit(admitted).await {
        Ok(Ok(permit)) => permit,
        Ok(Err(refused)) => return Ok(refused.into_http()),
        Err(DeadlineExceeded) => return Ok(deadline_exceeded(&limiter, deadline)),
    };
    let (slot, memory) = (permit.slot(), permit.memory());
    request.extensions_mut().insert(permit);
    let request = request.map(|body| {
        Body::new(RequestBody::new(
            body,
            memory,
            MessageCount::One,
            method.request_type,
        ))
    });
    // The server's own deadline applies here even if the caller's is shorter: at the caller's deadline, the
    // caller ends the call itself.
    let close_at = Instant::now() + limiter.limits.call_deadline + CLOSE_GRACE;
    match deadline.limit(inner.oneshot(request)).await {
        Ok(response) => Ok(corrected(&limiter, response?)
            .map(|body| Body::new(ResponseBody::unary(body, limiter, slot, connection, close_at)))),
        Err(DeadlineExceeded) => Ok(deadline_exceeded(&limiter, deadline)),
    }
}

async fn stream<S>(
    limiter: Arc<Limiter>,
    inner: S,
    mut request: Request<Body>,
    deadline: Deadline,
    authenticator: Option<Arc<LimitedAuthenticator>>,
    method: Method,
) -> CallResult
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let shutdown = limiter.shutdown.clone();
    let started = async {
        let admitted = admit(&limiter, CallKind::Stream, authenticator.as_deref(), &mut request);
        let permit = match admitted.await {
            Ok(permit) => permit,
            Err(refused) => return Ok((refused.into_http(), None)),
        };
        let (slot, memory) = (permit.slot(), permit.memory());
        request.extensions_mut().insert(permit);
        let request = request.map(|body| {
            Body::new(RequestBody::new(
                body,
                memory,
                MessageCount::Many,
                method.request_type,
            ))
        });
        Ok::<_, Infallible>((inner.oneshot(request).await?, Some(slot)))
    };
    let (response, slot) = tokio::select! {
        biased;
        started = deadline.limit(started) => match started {
            Ok(started) => started?,
            Err(DeadlineExceeded) => return Ok(deadline_exceeded(&limiter, deadline)),
        },
        () = shutdown.cancelled() => return Ok(refusal::shutting_down().into_http()),
    };
    Ok(corrected(&limiter, response)
        .map(|body| Body::new(ResponseBody::stream(body, limiter, slot, shutdown))))
}

/// Serves health, reflection and unknown methods. Their messages are small and few, and all of these calls end
/// when the server shuts down.
async fn auxiliary<S>(limiter: Arc<Limiter>, inner: S, request: Request<Body>) -> CallResult
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let caller = Caller::from_extensions(request.extensions());
    let (permit, memory) = match limiter.try_acquire_auxiliary(caller) {
        Ok(acquired) => acquired,
        Err(refused) => return Ok(refused.into_http()),
    };
    let shutdown = limiter.shutdown.clone();
    let timeout = request
        .uri()
        .path()
        .starts_with(REFLECTION_PREFIX)
        .then_some(REFLECTION_TIMEOUT);
    let request = request.map(|body| Body::new(RequestBody::new(body, memory, MessageCount::Many, None)));
    let response = tokio::select! {
        biased;
        response = inner.oneshot(request) => response?,
        () = shutdown.cancelled() => return Ok(refusal::shutting_down().into_http()),
    };
    Ok(response.map(|body| Body::new(ResponseBody::auxiliary(body, limiter, permit, shutdown, timeout))))
}

/// Authenticates the caller if the service requires it, then acquires a permit. So a caller who isn't
/// authenticated holds no permit.
async fn admit(
    limiter: &Arc<Limiter>,
    kind: CallKind,
    authenticator: Option<&LimitedAuthenticator>,
    request: &mut Request<Body>,
) -> Result<Permit, Status> {
    if let Some(authenticator) = authenticator {
        let peer = request.extensions().get::<Peer>();
        let authenticated = authenticator
            .authenticate(limiter, request.headers(), peer)
            .await?;
        request.extensions_mut().insert(authenticated);
    }
    let caller = Caller::from_extensions(request.extensions());
    let connection = connection(request);
    limiter.acquire(kind, caller, connection.as_ref()).await
}

fn connection(request: &Request<Body>) -> Option<connections::Handle> {
    request.extensions().get::<Peer>().map(|peer| peer.handle.clone())
}

fn deadline_exceeded(limiter: &Limiter, deadline: Deadline) -> Response<Body> {
    let status = refusal::deadline_exceeded(deadline.timeout, deadline.is_set_by_caller);
    limiter.refuse(Refusal::Deadline, status).into_http()
}

/// Corrects the status of a response, and reports a message that was too large.
fn corrected(limiter: &Limiter, mut response: Response<Body>) -> Response<Body> {
    if correct_too_large(response.headers_mut(), &limiter.limits) {
        limiter.observer.on_refused(Refusal::MessageSize);
    }
    response
}

/// The body of an answer. Its connection stays open until the body is dropped.
struct GuardedBody {
    body: Body,
    _open: Option<connections::OpenGuard>,
}

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
