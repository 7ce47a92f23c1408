//! A proxy of a planner's sessions that changes the time in them. The planner has no clock of its own and uses the time
//! that the executor sends. So to the planner, this looks as if somebody had set the executor's clock.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context as _, Result};
use everynode_proto::planner::v1::planner_service_client::PlannerServiceClient;
use everynode_proto::planner::v1::planner_service_server::{PlannerService, PlannerServiceServer};
use everynode_proto::planner::v1::{
    ExplainRequest, ExplainResponse, GetInfoRequest, GetInfoResponse, PlanRequest, PlanResponse,
    SessionRequest, SessionResponse, SimulateNodesRequest, SimulateNodesResponse, SimulateRolloutRequest,
    SimulateRolloutResponse,
};
use futures::{Stream, StreamExt as _};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

/// A running proxy of a planner. At first, it doesn't change the time. Dropping it stops the proxy.
#[derive(Debug)]
pub struct ClockProxy {
    address: SocketAddr,
    offset_seconds: Arc<AtomicI64>,
    task: AbortHandle,
}

impl ClockProxy {
    /// Serves sessions on a free loopback port and relays them to the planner at this URL.
    ///
    /// # Errors
    /// When the planner can't be reached, or there is no free port.
    pub async fn start(planner: String) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listening for sessions")?;
        let address = listener.local_addr().context("a listener has an address")?;
        let offset_seconds = Arc::new(AtomicI64::new(0));
        let sessions = Sessions {
            planner: PlannerServiceClient::connect(planner)
                .await
                .context("connecting to the planner")?,
            offset_seconds: offset_seconds.clone(),
        };
        let server = Server::builder().add_service(PlannerServiceServer::new(sessions));
        let task = tokio::spawn(async move {
            // If the server fails, the executor finds no planner and reports that.
            let _ = server.serve_with_incoming(TcpIncoming::from(listener)).await;
        });
        Ok(Self {
            address,
            offset_seconds,
            task: task.abort_handle(),
        })
    }

    /// The address on which it serves sessions.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the clock `seconds` ahead of the true time, or behind it if negative.
    pub fn set_offset(&self, seconds: i64) {
        self.offset_seconds.store(seconds, Ordering::Relaxed);
    }
}

impl Drop for ClockProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Sessions {
    planner: PlannerServiceClient<Channel>,
    offset_seconds: Arc<AtomicI64>,
}

fn not_relayed<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("only sessions are relayed"))
}

#[tonic::async_trait]
impl PlannerService for Sessions {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let offset_seconds = self.offset_seconds.clone();
        let requests = request.into_inner();
        let requests = requests
            .filter_map(|request| std::future::ready(request.ok()))
            .map(move |mut request| {
                if let Some(now) = &mut request.now {
                    now.seconds += offset_seconds.load(Ordering::Relaxed);
                }
                request
            });
        let responses = self.planner.clone().session(requests).await?;
        Ok(responses.map(|responses| responses.boxed() as Self::SessionStream))
    }

    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        not_relayed()
    }

    async fn plan(&self, _: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        not_relayed()
    }

    async fn explain(&self, _: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        not_relayed()
    }

    async fn simulate_rollout(
        &self,
        _: Request<SimulateRolloutRequest>,
    ) -> Result<Response<SimulateRolloutResponse>, Status> {
        not_relayed()
    }

    async fn simulate_nodes(
        &self,
        _: Request<SimulateNodesRequest>,
    ) -> Result<Response<SimulateNodesResponse>, Status> {
        not_relayed()
    }
}
