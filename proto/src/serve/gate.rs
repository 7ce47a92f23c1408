//! The gate in front of all services of a server: a tower layer that goes by a request's path.

use std::{
    convert::Infallible,
    future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::time::Instant;
use tonic::{Status, body::Body};
use tower::{Layer, Service, ServiceExt};

use super::{
    Clients, Kind, Peer, Refusal,
    authenticate::Authentication,
    deadline::{Deadline, Passed},
    incoming::Incoming,
    limits::PATIENCE,
    methods::Methods,
    outgoing::Outgoing,
    refusal::{self, rename_too_large},
    room::Room,
    trace,
};

/// Puts the gate in front of a service.
#[derive(Debug, Clone)]
pub(super) struct GateLayer {
    room: Arc<Room>,
    methods: Arc<Methods>,
    clients: Option<Arc<Clients>>,
    authentication: Option<Arc<Authentication>>,
}

impl GateLayer {
    /// Without `clients` and `authentication` everybody may ask for everything, as far as the gate is concerned.
    pub(super) fn new(
        room: Room,
        methods: Methods,
        clients: Option<Clients>,
        authentication: Option<Authentication>,
    ) -> Self {
        Self {
            room: Arc::new(room),
            methods: Arc::new(methods),
            clients: clients.map(Arc::new),
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
            methods: self.methods.clone(),
            clients: self.clients.clone(),
            authentication: self.authentication.clone(),
        }
    }
}

/// The gate and what is behind it.
#[derive(Debug, Clone)]
pub(super) struct Gate<S> {
    inner: S,
    room: Arc<Room>,
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
        let (room, inner) = (self.room.clone(), self.inner.clone());
        // Time counts from here, not from when somebody gets round to it.
        let deadline = Deadline::of(request.headers(), room.limits.call_deadline);
        let path = request.uri().path();
        let kind = self.methods.kind(path);
        if let (Some(clients), Some(kind)) = (&self.clients, kind)
            && let Err(status) = clients.check(kind, request.extensions().get::<Peer>())
        {
            let refused = room.refuse(Refusal::Forbidden, status).into_http();
            return Box::pin(future::ready(Ok(refused)));
        }
        let authentication = self.authentication.clone();
        let traced = trace::Call::begin(request.headers(), path, kind.is_none());
        let answered: Self::Future = match kind {
            Some(Kind::Call) => Box::pin(call(room, inner, request, deadline, authentication)),
            Some(Kind::Stream) => Box::pin(stream(room, inner, request, deadline, authentication)),
            None => Box::pin(unlimited(room, inner, request)),
        };
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
) -> Answered
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let admitted = async {
        authenticate(&room, authentication.as_deref(), &mut request).await?;
        room.enter(Kind::Call).await
    };
    let leave = match deadline.cut(admitted).await {
        Ok(Ok(leave)) => leave,
        Ok(Err(refused)) => return Ok(refused.into_http()),
        Err(Passed) => return Ok(late(&room, deadline)),
    };
    let (place, memory) = (leave.place(), leave.memory());
    let connection = request.extensions().get::<Peer>().map(|peer| peer.handle.clone());
    request.extensions_mut().insert(leave);
    let request = request.map(|body| Body::new(Incoming::new(body, memory)));
    // The caller's own deadline cuts nobody off: the caller does that itself.
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
) -> Answered
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let shutdown = room.shutdown.clone();
    let begun = async {
        if let Err(refused) = authenticate(&room, authentication.as_deref(), &mut request).await {
            return Ok((refused.into_http(), None));
        }
        let leave = match room.enter(Kind::Stream).await {
            Ok(leave) => leave,
            Err(refused) => return Ok((refused.into_http(), None)),
        };
        let place = leave.place();
        request.extensions_mut().insert(leave);
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

/// Health and reflection, and what nobody serves. Of these too none may outlive the server.
async fn unlimited<S>(room: Arc<Room>, inner: S, request: Request<Body>) -> Answered
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let shutdown = room.shutdown.clone();
    let response = tokio::select! {
        biased;
        response = inner.oneshot(request) => response?,
        () = shutdown.cancelled() => return Ok(refusal::shutting_down().into_http()),
    };
    Ok(response.map(|body| Body::new(Outgoing::of_stream(body, room, None, shutdown))))
}

/// Finds out who sends the request, if anybody has to know. It takes no place meanwhile.
async fn authenticate(
    room: &Room,
    authentication: Option<&Authentication>,
    request: &mut Request<Body>,
) -> Result<(), Status> {
    let Some(authentication) = authentication else {
        return Ok(());
    };
    let headers = request.headers();
    let peer = request.extensions().get::<Peer>();
    let authenticated = authentication.check(room, headers, peer).await?;
    request.extensions_mut().insert(authenticated);
    Ok(())
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
