//! A planner that is busy at first, and then relays a real planner's answers with an addition that is newer than its
//! clients.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everynode_proto::planner::v1::planner_service_client::PlannerServiceClient;
use everynode_proto::planner::v1::planner_service_server::{PlannerService, PlannerServiceServer};
use everynode_proto::planner::v1::{
    ExplainRequest, ExplainResponse, GetInfoRequest, GetInfoResponse, PlanRequest, PlanResponse, Problem,
    SessionRequest, SessionResponse, SimulateNodesRequest, SimulateNodesResponse, SimulateRolloutRequest,
    SimulateRolloutResponse,
};
use everynode_tests::service::Planner;
use futures::stream::Empty;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The problem that the relay adds to each answer. Its code doesn't exist yet.
pub(super) const CODE: i32 = 99;
pub(super) const OBJECT: &str = "daemonset kube-system/news";
pub(super) const MESSAGE: &str = "something new is wrong";

/// The status of a busy planner.
pub(super) fn busy(delay: Duration) -> Status {
    let details = ErrorDetails::with_retry_info(Some(delay));
    Status::with_error_details(
        Code::ResourceExhausted,
        "the limit of 16 concurrent calls is reached",
        details,
    )
}

/// The status for a request that is too large.
pub(super) fn too_large() -> Status {
    let words = "has 1001 items, but at most 1000 are allowed; split the request";
    let details = ErrorDetails::with_bad_request_violation("daemon_sets", words);
    Status::with_error_details(Code::ResourceExhausted, format!("daemon_sets: {words}"), details)
}

/// A relaying planner in this process. Dropping it stops the server.
#[derive(Debug)]
pub(super) struct Relay {
    address: String,
    calls: Arc<Mutex<Vec<Instant>>>,
    _server: JoinSet<()>,
}

impl Relay {
    /// Starts a relay that answers the first calls with `refusals` and relays the others.
    pub(super) async fn start(planner: &Planner, refusals: impl IntoIterator<Item = Status>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let calls = Arc::default();
        let relayed = RelayService {
            planner: PlannerServiceClient::connect(planner.url()).await.unwrap(),
            refusals: Mutex::new(refusals.into_iter().collect()),
            calls: Arc::clone(&calls),
        };
        let router = Server::builder().add_service(PlannerServiceServer::new(relayed));
        let mut server = JoinSet::new();
        server.spawn(async move {
            router
                .serve_with_incoming(TcpIncoming::from(listener))
                .await
                .unwrap();
        });
        Self {
            address,
            calls,
            _server: server,
        }
    }

    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    /// The times at which calls arrived.
    pub(super) fn calls(&self) -> Vec<Instant> {
        self.calls.lock().unwrap().clone()
    }
}

struct RelayService {
    planner: PlannerServiceClient<Channel>,
    refusals: Mutex<Vec<Status>>,
    calls: Arc<Mutex<Vec<Instant>>>,
}

fn unimplemented<A>() -> Result<Response<A>, Status> {
    Err(Status::unimplemented("the relay serves only SimulateNodes"))
}

#[tonic::async_trait]
impl PlannerService for RelayService {
    type SessionStream = Empty<Result<SessionResponse, Status>>;

    async fn simulate_rollout(
        &self,
        _: Request<SimulateRolloutRequest>,
    ) -> Result<Response<SimulateRolloutResponse>, Status> {
        unimplemented()
    }

    async fn simulate_nodes(
        &self,
        request: Request<SimulateNodesRequest>,
    ) -> Result<Response<SimulateNodesResponse>, Status> {
        self.calls.lock().unwrap().push(Instant::now());
        if let Some(refusal) = self.refusals.lock().unwrap().pop() {
            return Err(refusal);
        }
        let mut planner = self.planner.clone();
        let mut answer = planner.simulate_nodes(request.into_inner()).await?;
        answer.get_mut().problems.push(Problem {
            code: CODE,
            object: OBJECT.to_owned(),
            message: MESSAGE.to_owned(),
            ..Problem::default()
        });
        Ok(answer)
    }

    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        unimplemented()
    }

    async fn plan(&self, _: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        unimplemented()
    }

    async fn explain(&self, _: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        unimplemented()
    }

    async fn session(
        &self,
        _: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        unimplemented()
    }
}
