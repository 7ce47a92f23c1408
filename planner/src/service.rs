//! The gRPC service: receives requests, passes them on, and sends the responses. It holds no rules.

use std::{pin::Pin, sync::Arc, time::Instant};

use everynode_proto::planner::v1::{
    ExplainRequest, ExplainResponse, GetInfoRequest, GetInfoResponse, PlanRequest, PlanResponse,
    SessionRequest, SessionResponse, SimulateNodesRequest, SimulateNodesResponse, SimulateRolloutRequest,
    SimulateRolloutResponse, planner_service_server::PlannerService, session_response::Message,
};
use everynode_serving::serve::{self, Permit, refusal, run_in_background};
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, debug, info, info_span, warn};

use crate::{
    decide::RULES_VERSION,
    limits,
    metrics::{Method, Metrics, OpenSession},
    session::{self, Epochs, LeadershipClaim, Session, SessionMemory},
    unary,
};

/// How many responses may wait for a slow executor before the planner stops reading its requests.
const RESPONSES_AHEAD: usize = 16;

/// The planner's service.
#[derive(Debug, Clone)]
pub struct Planner {
    epochs: Arc<Epochs>,
    metrics: Arc<Metrics>,
    limits: serve::Limits,
    memory: SessionMemory,
    node: Option<String>,
    shutdown: CancellationToken,
}

impl Planner {
    /// A planner with these limits. All its sessions together take no more than this memory, and they end when
    /// `shutdown` is cancelled.
    pub fn new(
        metrics: Arc<Metrics>,
        limits: serve::Limits,
        memory: SessionMemory,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            epochs: Arc::default(),
            metrics,
            limits,
            memory,
            node: None,
            shutdown,
        }
    }

    /// The same planner, which runs on this node.
    #[must_use]
    pub fn on_node(self, node: Option<String>) -> Self {
        Self { node, ..self }
    }
}

#[tonic::async_trait]
impl PlannerService for Planner {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        self.metrics.count_call(Method::GetInfo);
        Ok(Response::new(GetInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rules_version: RULES_VERSION.to_owned(),
            capabilities: ["plan", "explain", "simulate_nodes", "simulate_rollout", "session"]
                .map(str::to_owned)
                .to_vec(),
            limits: Some(limits::limits(&self.limits)),
        }))
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        self.metrics.count_call(Method::Plan);
        run_in_background(request, unary::plan).await
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        self.metrics.count_call(Method::Explain);
        run_in_background(request, unary::explain).await
    }

    async fn simulate_nodes(
        &self,
        request: Request<SimulateNodesRequest>,
    ) -> Result<Response<SimulateNodesResponse>, Status> {
        self.metrics.count_call(Method::SimulateNodes);
        run_in_background(request, unary::simulate_nodes).await
    }

    async fn simulate_rollout(
        &self,
        request: Request<SimulateRolloutRequest>,
    ) -> Result<Response<SimulateRolloutResponse>, Status> {
        self.metrics.count_call(Method::SimulateRollout);
        run_in_background(request, unary::simulate_rollout).await
    }

    async fn session(
        &self,
        mut request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.metrics.count_call(Method::Session);
        let permit = Permit::take_from(&mut request);
        let mut requests = request.into_inner();
        let first = requests.message().await?;
        let first =
            first.ok_or_else(|| Status::invalid_argument("the session ended before its first request"))?;
        let hello = session::read_hello(&first)?;
        // Only a session that can begin may supersede another.
        let session = Session::new(self.memory.reservation()).on_node(self.node.as_deref());
        session.check(&first)?;
        let claim = self
            .epochs
            .enter(&hello.cluster, hello.epoch)
            .map_err(|superseded| Status::failed_precondition(superseded.to_string()))?;
        let span =
            info_span!("session", cluster = %hello.cluster, executor = %hello.identity, epoch = hello.epoch);
        let (responses, receiver) = mpsc::channel(RESPONSES_AHEAD);
        let task = SessionTask {
            requests,
            responses,
            open: self.metrics.open_session(),
            session,
            _permit: permit,
        };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move { task.run(first, claim, shutdown).await }.instrument(span));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// A session with its request and response streams.
struct SessionTask {
    requests: Streaming<SessionRequest>,
    responses: mpsc::Sender<Result<SessionResponse, Status>>,
    open: OpenSession,
    session: Session,
    /// The session's permit. The task holds it until the session has ended here, because the session uses memory until
    /// then, even if the executor has already seen the end.
    _permit: Option<Permit>,
}

impl SessionTask {
    async fn run(mut self, first: SessionRequest, mut claim: LeadershipClaim, shutdown: CancellationToken) {
        info!("session began");
        // The order matters: a superseded session gets no more plans, whatever it still sends.
        let end = tokio::select! {
            biased;
            () = shutdown.cancelled() => Some(refusal::shutting_down()),
            superseded = claim.superseded() => Some(Status::failed_precondition(superseded.to_string())),
            end = self.exchange(first) => end,
        };
        match end {
            None => info!("session ended"),
            Some(status) => {
                warn!(code = ?status.code(), reason = status.message(), "session ended");
                // Sending fails when the executor has gone. Then nobody needs the status.
                let _ = self.responses.send(Err(status)).await;
            }
        }
    }

    /// Serves until the stream ends. Returns `None` when the executor ends it, and a status when anything else does.
    async fn exchange(&mut self, first: SessionRequest) -> Option<Status> {
        let mut next = Some(first);
        while let Some(request) = next {
            if let Err(end) = self.handle(request).await {
                return end;
            }
            next = match self.requests.message().await {
                Ok(request) => request,
                Err(status) => return Some(status),
            };
        }
        None
    }

    async fn handle(&mut self, request: SessionRequest) -> Result<(), Option<Status>> {
        let began = Instant::now();
        let outcome = self.session.take(request)?;
        self.open.observe(&outcome, began.elapsed());
        for response in outcome.responses {
            if let Some(Message::Plan(plan)) = &response.message {
                let (daemon_set, actions) = (&plan.daemon_set, plan.actions.len());
                debug!(daemon_set, plan = plan.id, plan.based_on, actions, "sending plan");
            }
            self.responses.send(Ok(response)).await.map_err(|_| None)?;
        }
        Ok(())
    }
}
