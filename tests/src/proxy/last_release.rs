//! A proxy that makes a planner look as it was at the last release, as far as the wire can tell: it drops everything
//! newer than that, in both directions. An executor sees an older planner behind it, and the planner sees an older
//! executor.

use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;

use anyhow::{Context as _, Result, ensure};
use axum::body::Body;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use prost::bytes::Bytes;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tonic::server::StreamingService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

use crate::programs::workspace;
use crate::raw::Raw;

/// The path of the last release's wire: `VERSION.binpb`, a descriptor set, which must be the only file in its folder.
///
/// # Errors
/// When the folder holds no file or more than one.
pub fn wire() -> Result<PathBuf> {
    let folder = workspace().join("proto/released");
    let entries: Result<Vec<_>, _> = std::fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .collect();
    let mut paths = entries.context("reading a folder")?.into_iter();
    let path = paths.next().context("there is no release")?.path();
    ensure!(paths.next().is_none(), "{} holds just one", folder.display());
    Ok(path)
}

/// A running proxy of a planner. Dropping it stops it.
#[derive(Debug)]
pub struct LastRelease {
    address: SocketAddr,
    serving: AbortHandle,
}

impl LastRelease {
    /// Serves the planner at this URL on a free loopback port. The planner needn't run yet.
    ///
    /// # Errors
    /// When the wire of the last release can't be read, or no port is free.
    pub async fn start(planner: String) -> Result<Self> {
        let wire = wire()?;
        let bytes = std::fs::read(&wire).with_context(|| format!("reading {}", wire.display()))?;
        let relay = Relay {
            wire: DescriptorPool::decode(bytes.as_slice()).context("reading the wire of the last release")?,
            planner: Endpoint::try_from(planner)
                .context("the planner's URL")?
                .connect_lazy(),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listening for calls")?;
        let address = listener.local_addr().context("a listener has an address")?;
        let router = axum::Router::new()
            .fallback(async move |request: http::Request<Body>| relay.answer(request).await);
        let server = Server::builder().add_routes(Routes::from(router));
        let serving = tokio::spawn(async move {
            // If serving fails, the executor finds no planner and reports that.
            let _ = server.serve_with_incoming(TcpIncoming::from(listener)).await;
        });
        Ok(Self {
            address,
            serving: serving.abort_handle(),
        })
    }

    /// The address that it serves on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LastRelease {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Relay {
    wire: DescriptorPool,
    planner: Channel,
}

impl Relay {
    /// Forwards a call of any kind. Unary calls need no special case: on the wire, one message is a stream of one.
    async fn answer(&self, request: http::Request<Body>) -> http::Response<tonic::body::Body> {
        let Some(method) = self.method(request.uri().path()) else {
            return Status::unimplemented("there was no such method at the last release").into_http();
        };
        let call = Call {
            method,
            planner: self.planner.clone(),
        };
        tonic::server::Grpc::new(Raw).streaming(call, request).await
    }

    /// The method that the last release had at this path.
    fn method(&self, path: &str) -> Option<MethodDescriptor> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        let service = self.wire.get_service_by_name(service)?;
        service.methods().find(|known| known.name() == method)
    }
}

struct Call {
    method: MethodDescriptor,
    planner: Channel,
}

impl StreamingService<Bytes> for Call {
    type Response = Bytes;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (method, planner) = (self.method.clone(), self.planner.clone());
        Box::pin(async move {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let path = path.try_into().map_err(|_| Status::internal("a method's path"))?;
            let input = method.input();
            let requests = request.map(|requests| {
                // A broken request stream ends the stream to the planner too.
                requests.scan((), move |(), message| {
                    ready(message.and_then(|message| as_of(&input, &message)).ok())
                })
            });
            let mut planner = tonic::client::Grpc::new(planner);
            planner
                .ready()
                .await
                .map_err(|_| Status::unavailable("the planner isn't there"))?;
            let responses = planner.streaming(requests, path, Raw).await?;
            let output = method.output();
            Ok(responses.map(|responses| {
                responses.map(move |message| as_of(&output, &message?)).boxed() as Self::ResponseStream
            }))
        })
    }
}

/// Re-encodes a message without the fields that its descriptor doesn't know.
fn as_of(descriptor: &MessageDescriptor, message: &Bytes) -> Result<Bytes, Status> {
    let mut message = DynamicMessage::decode(descriptor.clone(), message.clone())
        .map_err(|error| Status::internal(format!("not the wire of the last release: {error}")))?;
    forget_unknown(&mut message);
    Ok(message.encode_to_vec().into())
}

fn forget_unknown(message: &mut DynamicMessage) {
    message.take_unknown_fields().for_each(drop);
    for (_, value) in message.fields_mut() {
        match value {
            Value::Message(message) => forget_unknown(message),
            Value::List(values) => values.iter_mut().for_each(forget_within),
            Value::Map(values) => values.values_mut().for_each(forget_within),
            _ => {}
        }
    }
}

fn forget_within(value: &mut Value) {
    if let Value::Message(message) = value {
        forget_unknown(message);
    }
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::session_response::Message;
    use everynode_proto::planner::v1::{DaemonSetCondition, DaemonSetStatus, Plan, SessionResponse};

    use super::*;

    /// A message as the next release may send it: with a field that this release doesn't know.
    fn with_newer(message: &impl prost::Message) -> Vec<u8> {
        let mut bytes = message.encode_to_vec();
        prost::encoding::string::encode(1_000, &"newer".to_owned(), &mut bytes);
        bytes
    }

    #[test]
    fn what_is_newer_is_forgotten_at_every_depth_and_nothing_else() {
        let bytes = std::fs::read(wire().unwrap()).unwrap();
        let wire = DescriptorPool::decode(bytes.as_slice()).unwrap();
        let descriptor = wire
            .get_message_by_name("everynode.planner.v1.SessionResponse")
            .unwrap();
        let plan = Plan {
            id: 3,
            daemon_set: "default/agent".to_owned(),
            status: Some(DaemonSetStatus {
                desired_number_scheduled: 2,
                ..DaemonSetStatus::default()
            }),
            ..Plan::default()
        };
        // The field `plan` of a `SessionResponse`, encoded by hand.
        let mut newer = Vec::new();
        prost::encoding::bytes::encode(2, &with_newer(&plan), &mut newer);
        prost::encoding::uint64::encode(1_000, &7, &mut newer);
        let expected = SessionResponse {
            message: Some(Message::Plan(plan)),
        };
        let forgotten = as_of(&descriptor, &newer.into()).unwrap();
        assert_eq!(forgotten, expected.encode_to_vec());
    }

    #[test]
    fn what_can_not_be_read_is_no_message() {
        let bytes = std::fs::read(wire().unwrap()).unwrap();
        let wire = DescriptorPool::decode(bytes.as_slice()).unwrap();
        let plan = wire.get_message_by_name("everynode.planner.v1.Plan").unwrap();
        let status = as_of(&plan, &Bytes::from_static(&[0x0a, 0xff])).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Internal);
        let conditions = DaemonSetCondition::default().encode_to_vec();
        assert_eq!(as_of(&plan, &conditions.into()).unwrap(), Bytes::new());
    }
}
