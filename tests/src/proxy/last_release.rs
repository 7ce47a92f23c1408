//! A proxy that makes a planner behave like the last release on the wire: it rejects newer methods and removes newer
//! fields, in both directions. So the planner and the executor each see a peer of the last release.

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
use crate::raw_codec::RawCodec;

/// The path of the last release's descriptor set, `VERSION.binpb`. It must be the only file in its folder.
///
/// # Errors
/// When the folder holds no file or more than one.
pub fn descriptor_set_path() -> Result<PathBuf> {
    let folder = workspace().join("proto/released");
    let entries: Result<Vec<_>, _> = std::fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .collect();
    let mut paths = entries.context("reading a folder")?.into_iter();
    let path = paths.next().context("no release found")?.path();
    ensure!(
        paths.next().is_none(),
        "{} must contain only one file",
        folder.display()
    );
    Ok(path)
}

/// A running proxy of a planner. Dropping it stops it.
#[derive(Debug)]
pub struct LastReleaseProxy {
    address: SocketAddr,
    task: AbortHandle,
}

impl LastReleaseProxy {
    /// Serves the planner at this URL on a free loopback port. The planner needn't run yet.
    ///
    /// # Errors
    /// When the descriptor set of the last release can't be read, or no port is free.
    pub async fn start(planner: String) -> Result<Self> {
        let path = descriptor_set_path()?;
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let forwarder = Forwarder {
            descriptors: DescriptorPool::decode(bytes.as_slice())
                .context("decoding the descriptor set of the last release")?,
            planner: Endpoint::try_from(planner)
                .context("the planner's URL")?
                .connect_lazy(),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listening for calls")?;
        let address = listener.local_addr().context("a listener has an address")?;
        let router = axum::Router::new()
            .fallback(async move |request: http::Request<Body>| forwarder.forward(request).await);
        let server = Server::builder().add_routes(Routes::from(router));
        let task = tokio::spawn(async move {
            // If the server fails, the executor finds no planner and reports that.
            let _ = server.serve_with_incoming(TcpIncoming::from(listener)).await;
        });
        Ok(Self {
            address,
            task: task.abort_handle(),
        })
    }

    /// The address that it serves on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LastReleaseProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Forwarder {
    descriptors: DescriptorPool,
    planner: Channel,
}

impl Forwarder {
    /// Forwards a call of any kind. Unary calls need no special case: on the wire, one message is a stream of one.
    async fn forward(&self, request: http::Request<Body>) -> http::Response<tonic::body::Body> {
        let Some(method) = self.method(request.uri().path()) else {
            return Status::unimplemented("the last release has no such method").into_http();
        };
        let call = ForwardedCall {
            method,
            planner: self.planner.clone(),
        };
        tonic::server::Grpc::new(RawCodec).streaming(call, request).await
    }

    /// The method that the last release had at this path.
    fn method(&self, path: &str) -> Option<MethodDescriptor> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        let service = self.descriptors.get_service_by_name(service)?;
        service.methods().find(|known| known.name() == method)
    }
}

struct ForwardedCall {
    method: MethodDescriptor,
    planner: Channel,
}

impl StreamingService<Bytes> for ForwardedCall {
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
                    ready(
                        message
                            .and_then(|message| strip_newer_fields(&input, &message))
                            .ok(),
                    )
                })
            });
            let mut planner = tonic::client::Grpc::new(planner);
            planner
                .ready()
                .await
                .map_err(|_| Status::unavailable("the planner can't be reached"))?;
            let responses = planner.streaming(requests, path, RawCodec).await?;
            let output = method.output();
            Ok(responses.map(|responses| {
                responses
                    .map(move |message| strip_newer_fields(&output, &message?))
                    .boxed() as Self::ResponseStream
            }))
        })
    }
}

/// Re-encodes a message without the fields that its descriptor doesn't know.
fn strip_newer_fields(descriptor: &MessageDescriptor, message: &Bytes) -> Result<Bytes, Status> {
    let mut message = DynamicMessage::decode(descriptor.clone(), message.clone())
        .map_err(|error| Status::internal(format!("decoding a message of the last release: {error}")))?;
    remove_unknown_fields(&mut message);
    Ok(message.encode_to_vec().into())
}

fn remove_unknown_fields(message: &mut DynamicMessage) {
    message.take_unknown_fields().for_each(drop);
    for (_, value) in message.fields_mut() {
        match value {
            Value::Message(message) => remove_unknown_fields(message),
            Value::List(values) => values.iter_mut().for_each(remove_from_value),
            Value::Map(values) => values.values_mut().for_each(remove_from_value),
            _ => {}
        }
    }
}

fn remove_from_value(value: &mut Value) {
    if let Value::Message(message) = value {
        remove_unknown_fields(message);
    }
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::session_response::Message;
    use everynode_proto::planner::v1::{DaemonSetStatus, Plan, SessionResponse};

    use super::*;

    /// A message as the next release may send it: with a field that this release doesn't know.
    fn with_newer(message: &impl prost::Message) -> Vec<u8> {
        let mut bytes = message.encode_to_vec();
        prost::encoding::string::encode(1_000, &"newer".to_owned(), &mut bytes);
        bytes
    }

    #[test]
    fn newer_fields_are_removed_at_every_depth_and_nothing_else() {
        let bytes = std::fs::read(descriptor_set_path().unwrap()).unwrap();
        let descriptors = DescriptorPool::decode(bytes.as_slice()).unwrap();
        let descriptor = descriptors
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
        let forgotten = strip_newer_fields(&descriptor, &newer.into()).unwrap();
        assert_eq!(forgotten, expected.encode_to_vec());
    }

    #[test]
    fn undecodable_message_is_an_error() {
        let bytes = std::fs::read(descriptor_set_path().unwrap()).unwrap();
        let descriptors = DescriptorPool::decode(bytes.as_slice()).unwrap();
        let plan = descriptors
            .get_message_by_name("everynode.planner.v1.Plan")
            .unwrap();
        let status = strip_newer_fields(&plan, &Bytes::from_static(&[0x0a, 0xff])).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Internal);
    }
}
