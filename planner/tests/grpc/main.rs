//! Tests of the whole gRPC server over in-memory connections, without ports or real sleeps.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers may panic"
)]

mod explain;
mod limits;
mod newer;
mod objects;
mod placement;
mod plan;
mod rollout;
mod server;
mod simulate;
mod stream;
mod unary;

use std::{io, sync::Arc, time::Duration};

use clap::Parser;
use everynode_planner::{args::Cli, metrics::Metrics, run};
use everynode_proto::planner::v1::planner_service_client::PlannerServiceClient;
use everynode_serving::serve::{Health, Limits};
use hyper_util::rt::TokioIo;
use tokio::{io::DuplexStream, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

/// In memory, anything that takes longer than this hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// A planner that serves in-memory connections.
struct Server {
    health: Health,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    connections: mpsc::UnboundedSender<io::Result<DuplexStream>>,
    served: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Server {
    async fn start() -> Self {
        Self::with(Cli::parse_from(["planner"]).serve.limits()).await
    }

    async fn with(limits: Limits) -> Self {
        let shutdown = CancellationToken::new();
        let metrics = Arc::new(Metrics::default());
        let server = run::server(metrics.clone(), limits, shutdown.clone())
            .await
            .unwrap();
        let (connections, incoming) = mpsc::unbounded_channel();
        Self {
            health: server.health(),
            metrics,
            shutdown,
            connections,
            served: tokio::spawn(server.serve(UnboundedReceiverStream::new(incoming))),
        }
    }

    async fn connect(&self) -> Channel {
        let connections = self.connections.clone();
        let connect = move |_| {
            let (client, server) = tokio::io::duplex(1024 * 1024);
            let sent = connections.send(Ok(server));
            async move {
                sent.map(|()| TokioIo::new(client))
                    .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
            }
        };
        Endpoint::from_static("http://planner")
            .connect_with_connector(tower::service_fn(connect))
            .await
            .unwrap()
    }

    async fn client(&self) -> PlannerServiceClient<Channel> {
        PlannerServiceClient::new(self.connect().await).max_decoding_message_size(usize::MAX)
    }
}

/// Waits for a result that should arrive soon. Panics after [`DEADLINE`].
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("it should not take this long")
}

/// Returns the field of the status's only violation.
#[track_caller]
fn violation(status: &Status) -> String {
    let details = status.get_error_details();
    let violations = &details
        .bad_request()
        .unwrap_or_else(|| panic!("no field violation: {status}"))
        .field_violations;
    assert_eq!(violations.len(), 1, "{status}");
    violations[0].field.clone()
}
