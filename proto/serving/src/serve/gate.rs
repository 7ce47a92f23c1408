//! The gate in front of all services of a server: a tower layer that decides by a request's path.

use std::{
    convert::Infallible,
    future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use prost::bytes::Bytes;
use tokio::time::Instant;
use tonic::{Status, body::Body};
use tower::{Layer, Service, ServiceExt};

use super::{
    Clients, Kind, Leave, Peer, Refusal,
    authenticate::Authentication,
    connections,
    deadline::{Deadline, Passed},
    incoming::{Incoming, Messages},
    limits::{PATIENCE, REFLECTION_DEADLINE},
    methods::{Method, Methods},
    outgoing::Outgoing,
    refusal::{self, rename_too_large},
    room::Room,
    shares::Caller,
    trace,
};

/// Prefix of the paths of reflection, in both of its versions.
const REFLECTION: &str = "/grpc.reflection.";

/// Puts the gate in front of a service.
#[derive(Debug, Clone)]
pub(super) struct GateLayer {
    room: Arc<Room>,
    /// The permits of the local port, which only this machine can reach.
    local: Arc<Room>,
    methods: Arc<Methods>,
    clients: Option<Arc<Clients>>,
    authentication: Option<Arc<Authentication>>,
}

impl GateLayer {
    /// Creates the gate. Without `clients` and `authentication`, it lets every caller use every method.
    pub(super) fn new(
        room: Room,
        methods: Methods,
        clients: Option<Arc<Clients>>,
        authentication: Option<Authentication>,
    ) -> Self {
        Self {
            local: Arc::new(room.beside(room.limits.of_local_port())),
            room: Arc::new(room),
            methods: Arc::new(methods),
            clients,
            authentication: authentication.map(Arc::new),
        }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            room: self.room.clone(),
            local: self.local.clone(),
            methods: self.methods.clone(),
            clients: self.clients.clone(),
            authentication: self.authentication.clone(),
        }
    }
}

/// The gate and the services behind it.
#[derive(Debug, Clone)]
pub(super) struct Gate<S> {
    inner: S,
    room: Arc<Room>,
    local: Arc<Room>,
    methods: Arc<Methods>,
    clients: Option<Arc<Clients>>,
    authentication: Option<Arc<Authentication>>,
}

type Answered = Result<Response<Body>, Infallible>;

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        let room = if peer.is_some_and(|peer| peer.is_local) {
            self.local.clone()
        } else {
            self.room.clone()
        };
        let inner = self.inner.clone();
        // The deadline runs from here, so time spent waiting for a permit counts too.
        let deadline = Deadline::of(request.headers(), room.limits.call_deadline);
        let path = request.uri().path();
        let method = self.methods.get(path);
        if let (Some(clients), Some(method)) = (&self.clients, method)
            && let Err(status) = clients.check(method.kind, peer)
        {
            let refused = room.refuse(Refusal::Forbidden, status).into_http();
            return Box::pin(future::ready(Ok(refused)));
        }
        let authentication = self.authentication.clone();
        let open = peer.map(|peer| peer.handle.open());
        let traced = trace::Call::begin(request.headers(), path, method.is_none());
        let answered: Self::Future = match method {
            Some(method) if method.kind == Kind::Call => {
                Box::pin(call(room, inner, request, deadline, authentication, method))
            }
            Some(method) => Box::pin(stream(room, inner, request, deadline, authentication, method)),
            None => Box::pin(minor(room, inner, request)),
        };
        // The connection stays in use until the answer has been sent, however small it is.
        let answered: Self::Future = Box::pin(async move {
            let answer = answered.await?;
            Ok(answer.map(|body| Body::new(InUse { body, _open: open })))
        });
        match traced {
            Some(call) => Box::pin(call.follow(answered)),
            None => answered,
        }
    }
}

async fn call<S>(
    room: Arc<Room>,
    inner: S,
    mut request: Request<Body>,
    deadline: Deadline,
    authentication: Option<Arc<Authentication>>,
    method: Method,
) -> Answered
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let connection = connection(&request);
    let admitted = admit(&room, Kind::Call, authentication.as_deref(), &mut request);
    let leave = match deadline.cut(admitted).await {
        Ok(Ok(leave)) => leave,
        Ok(Err(refused)) => return Ok(refused.into_http()),
        Err(Passed) => return Ok(late(&room, deadline)),
    };
    let (place, memory) = (leave.place(), leave.memory());
    request.extensions_mut().insert(leave);
    let request = request.map(|body| Body::new(Incoming::new(body, memory, Messages::One, method.message)));
    // The server doesn't cut the connection at the caller's own deadline: the caller ends the call itself.
    let end = Instant::now() + room.limits.call_deadline + PATIENCE;
    match deadline.cut(inner.oneshot(request)).await {
        Ok(response) => Ok(checked(&room, response?)
            .map(|body| Body::new(Outgoing::of_call(body, room, place, connection, end)))),
        Err(Passed) => Ok(late(&room, deadline)),
    }
}

async fn stream<S>(
    room: Arc<Room>,
    inner: S,
    mut request: Request<Body>,
    deadline: Deadline,
    authentication: Option<Arc<Authentication>>,
    method: Method,
) -> Answered
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let shutdown = room.shutdown.clone();
    let begun = async {
        let admitted = admit(&room, Kind::Stream, authentication.as_deref(), &mut request);
        let leave = match admitted.await {
            Ok(leave) => leave,
            Err(refused) => return Ok((refused.into_http(), None)),
        };
        let (place, memory) = (leave.place(), leave.memory());
        request.extensions_mut().insert(leave);
        let request =
            request.map(|body| Body::new(Incoming::new(body, memory, Messages::Many, method.message)));
        Ok::<_, Infallible>((inner.oneshot(request).await?, Some(place)))
    };
    let (response, place) = tokio::select! {
        biased;
        begun = deadline.cut(begun) => match begun {
            Ok(begun) => begun?,
            Err(Passed) => return Ok(late(&room, deadline)),
        },
        () = shutdown.cancelled() => return Ok(refusal::shutting_down().into_http()),
    };
    Ok(checked(&room, response).map(|body| Body::new(Outgoing::of_stream(body, room, place, shutdown))))
}

/// Serves health, reflection and unknown methods. Their messages are small and few, and none of these calls
/// outlives the server.
async fn minor<S>(room: Arc<Room>, inner: S, request: Request<Body>) -> Answered
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let (share, memory) = match room.enter_minor(Caller::of(request.extensions())) {
        Ok(entered) => entered,
        Err(refused) => return Ok(refused.into_http()),
    };
    let shutdown = room.shutdown.clone();
    let end = request
        .uri()
        .path()
        .starts_with(REFLECTION)
        .then_some(REFLECTION_DEADLINE);
    let request = request.map(|body| Body::new(Incoming::new(body, memory, Messages::Many, None)));
    let response = tokio::select! {
        biased;
        response = inner.oneshot(request) => response?,
        () = shutdown.cancelled() => return Ok(refusal::shutting_down().into_http()),
    };
    Ok(response.map(|body| Body::new(Outgoing::minor(body, room, share, shutdown, end))))
}

/// Authenticates the sender of a request where the service needs that, and takes a permit for the request.
/// The request holds no permit before that.
async fn admit(
    room: &Arc<Room>,
    kind: Kind,
    authentication: Option<&Authentication>,
    request: &mut Request<Body>,
) -> Result<Leave, Status> {
    if let Some(authentication) = authentication {
        let peer = request.extensions().get::<Peer>();
        let authenticated = authentication.check(room, request.headers(), peer).await?;
        request.extensions_mut().insert(authenticated);
    }
    let caller = Caller::of(request.extensions());
    room.enter(kind, caller, connection(request).as_ref()).await
}

fn connection(request: &Request<Body>) -> Option<connections::Handle> {
    request.extensions().get::<Peer>().map(|peer| peer.handle.clone())
}

fn late(room: &Room, deadline: Deadline) -> Response<Body> {
    let status = refusal::deadline_exceeded(deadline.after, deadline.by_caller);
    room.refuse(Refusal::Deadline, status).into_http()
}

fn checked(room: &Room, mut response: Response<Body>) -> Response<Body> {
    if rename_too_large(response.headers_mut(), &room.limits) {
        room.observer.refused(Refusal::MessageSize);
    }
    response
}

/// The body of an answer. Its connection is in use until the body is dropped.
struct InUse {
    body: Body,
    _open: Option<connections::Open>,
}

impl http_body::Body for InUse {
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
