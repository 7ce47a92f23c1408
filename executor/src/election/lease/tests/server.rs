//! A fake API server that stores one Lease.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::{StreamExt, stream};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use prost::bytes::Bytes;
use serde_json::{Value, json};
use tokio::{sync::broadcast, time::Instant};
use tokio_stream::wrappers::BroadcastStream;
use tower::{BoxError, service_fn};

use crate::testing::refusal;

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

#[derive(Clone)]
pub(super) struct Server(Arc<State>);

struct State {
    stored: Mutex<Stored>,
    events: broadcast::Sender<Value>,
}

struct Stored {
    lease: Option<Lease>,
    version: u64,
    written: Instant,
}

/// A connection that can be cut.
#[derive(Clone, Default)]
pub(super) struct Switch(Arc<AtomicBool>);

impl Switch {
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn mend(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Default for Server {
    fn default() -> Self {
        let stored = Stored {
            lease: None,
            version: 1,
            written: Instant::now(),
        };
        Self(Arc::new(State {
            stored: Mutex::new(stored),
            events: broadcast::Sender::new(1_000),
        }))
    }
}

impl Server {
    pub(super) fn client(&self) -> Client {
        self.client_with_switch().0
    }

    pub(super) fn client_with_switch(&self) -> (Client, Switch) {
        let (server, switch) = (self.clone(), Switch::default());
        let cut = switch.clone();
        let service = service_fn(move |request: Request<Body>| {
            let (server, cut) = (server.clone(), cut.clone());
            async move {
                if cut.0.load(Ordering::Relaxed) {
                    return Err(BoxError::from("the connection is cut"));
                }
                server.answer(request, cut).await
            }
        });
        (Client::new(service, "system"), switch)
    }

    pub(super) fn lease(&self) -> Option<Lease> {
        self.0.stored.lock().lease.clone()
    }

    /// When the Lease was last changed.
    pub(super) fn last_write(&self) -> Instant {
        self.0.stored.lock().written
    }

    /// Changes the Lease, as another client would.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Lease)) {
        let mut lease = self.lease().unwrap();
        change(&mut lease);
        self.store(&mut self.0.stored.lock(), lease, "MODIFIED");
    }

    /// Deletes the Lease, as another client would.
    pub(super) fn delete(&self) {
        let mut stored = self.0.stored.lock();
        stored.version += 1;
        let gone = stored.lease.take().unwrap();
        let _ = self.0.events.send(json!({"type": "DELETED", "object": gone}));
    }

    fn store(&self, stored: &mut Stored, mut lease: Lease, event: &str) -> Value {
        stored.version += 1;
        stored.written = Instant::now();
        lease.metadata.resource_version = Some(stored.version.to_string());
        lease
            .metadata
            .uid
            .get_or_insert_with(|| format!("lease-{}", stored.version));
        let object = serde_json::to_value(&lease).unwrap();
        stored.lease = Some(lease);
        let _ = self.0.events.send(json!({"type": event, "object": object}));
        object
    }

    async fn answer(&self, request: Request<Body>, cut: Switch) -> Result<Answer, BoxError> {
        let (head, body) = request.into_parts();
        let sent = body.collect_bytes().await?;
        let is_one = head.uri.path().ends_with("/leases/executor");
        let query = head.uri.query().unwrap_or_default();
        let mut stored = self.0.stored.lock();
        let (code, object) = match (&head.method, is_one) {
            (&Method::GET, true) => match &stored.lease {
                Some(lease) => (200, serde_json::to_value(lease)?),
                None => (404, refusal(404, "NotFound", "no such lease")),
            },
            (&Method::GET, false) if query.contains("watch=true") => {
                let events = BroadcastStream::new(self.0.events.subscribe());
                let lines = events
                    .take_while(move |_| futures::future::ready(!cut.0.load(Ordering::Relaxed)))
                    .map(|event| {
                        Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(format!("{}\n", event?))))
                    });
                return Ok(Response::new(
                    StreamBody::new(lines.chain(stream::pending())).boxed_unsync(),
                ));
            }
            (&Method::GET, false) => {
                let items: Vec<_> = stored.lease.iter().collect();
                let version = stored.version.to_string();
                let kind = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "LeaseList"});
                (
                    200,
                    crate::testing::with(
                        kind,
                        json!({"metadata": {"resourceVersion": version}, "items": items}),
                    ),
                )
            }
            (&Method::POST, _) if stored.lease.is_some() => {
                (409, refusal(409, "AlreadyExists", "it is there"))
            }
            (&Method::POST, _) => (
                201,
                self.store(&mut stored, serde_json::from_slice(&sent)?, "ADDED"),
            ),
            (&Method::PUT, true) => {
                let lease: Lease = serde_json::from_slice(&sent)?;
                match &stored.lease {
                    None => (404, refusal(404, "NotFound", "no such lease")),
                    Some(there) if there.metadata.resource_version != lease.metadata.resource_version => {
                        (409, refusal(409, "Conflict", "it has changed"))
                    }
                    Some(_) => (200, self.store(&mut stored, lease, "MODIFIED")),
                }
            }
            _ => panic!("{head:?}"),
        };
        let body = Full::new(Bytes::from(object.to_string())).map_err(|never| match never {});
        Ok(Response::builder().status(code).body(body.boxed_unsync())?)
    }
}
