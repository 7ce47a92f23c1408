//! The live view over gRPC. It answers requests with the main loop's state and the planner's verdicts. It makes no
//! decisions and is read-only.
//!
//! It runs on its own thread, so that a long answer takes no time from the main loop.
//!
//! - [`callers`]: authenticates and authorizes callers.
//! - `request`: validates requests; `status`: builds the errors.
//! - `planner`: calls the planner's unary methods; `objects`: builds the objects in these calls.
//! - `explain`, `overhead`, `watch`: the longer handlers. `pod_reasons` and `runtime_classes` read what isn't cached.
//! - `server`: serves the service with health and reflection on its ports.

pub mod callers;
mod explain;
mod objects;
mod overhead;
pub(crate) mod planner;
mod pod_reasons;
mod request;
mod runtime_classes;
pub(crate) mod server;
pub(crate) mod status;
mod watch;

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use everynode_proto::executor::v1::{
    ExplainRequest, ExplainResponse, GetInfoRequest, GetInfoResponse, GetNodeOverheadRequest,
    GetNodeOverheadResponse, ListDaemonSetsRequest, ListDaemonSetsResponse, WatchPlansRequest,
    WatchPlansResponse, executor_service_server::ExecutorService,
};
use everynode_serving::serve::{Authenticated, Peer};
use futures::Stream;
use tokio::sync::watch as state;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use self::{
    callers::{Caller, TokenAuthenticator, access::AccessRequest},
    planner::PlannerClient,
    request::Filter,
};
use crate::{
    apiserver::{api::Api, objects::DaemonSet},
    election::leadership::Leadership,
    live_view::{
        queries::{Overview, PodFilter, QueryClient},
        view::{self, Context, Snapshot},
    },
    telemetry::{
        health::Health,
        metrics::{Method, Metrics},
    },
};

/// Implements the executor's service.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) identity: String,
    pub(crate) leadership: state::Receiver<Leadership>,
    pub(crate) query_client: QueryClient,
    pub(crate) planner: PlannerClient,
    /// Reads objects that aren't watched from the API server.
    pub(crate) api: Api,
    /// Authenticates and authorizes callers by their tokens; `None` when callers need no token. `server::server` also
    /// registers it with the gRPC server, which authenticates each call.
    pub(crate) tokens: Option<Arc<TokenAuthenticator>>,
    /// Knows whether the watches have listed the cluster.
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    /// Maximum duration of a watch. The limit of each watch varies randomly by up to a tenth.
    pub(crate) max_watch_duration: Duration,
    /// When it is cancelled, the watches end and the gRPC server shuts down.
    pub(crate) shutdown: CancellationToken,
}

#[tonic::async_trait]
impl ExecutorService for Executor {
    type WatchPlansStream = Pin<Box<dyn Stream<Item = Result<WatchPlansResponse, Status>> + Send>>;

    async fn get_info(&self, request: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        self.metrics.view_call(Method::GetInfo);
        self.caller(&request)?;
        let cluster_is_listed = self.health.is_listed();
        // Until the cluster is listed, the main loop may not be running, and no planner can have been synced.
        let planner = if cluster_is_listed {
            self.overview().await?.planner
        } else {
            None
        };
        Ok(Response::new(GetInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            identity: self.identity.clone(),
            leader: self.leadership.borrow().leader.clone(),
            cluster_is_listed,
            planner,
        }))
    }

    async fn list_daemon_sets(
        &self,
        request: Request<ListDaemonSetsRequest>,
    ) -> Result<Response<ListDaemonSetsResponse>, Status> {
        self.metrics.view_call(Method::ListDaemonSets);
        let caller = self.caller(&request)?;
        let ListDaemonSetsRequest { namespace, name } = request.into_inner();
        let access = AccessRequest::daemon_sets(&namespace, &name);
        let filter = Filter::new(namespace, name)?;
        self.authorize(&caller, &access).await?;
        let overview = self.overview().await?;
        let context = self.context(&overview);
        let is_wanted =
            |object: &DaemonSet| filter.matches(&object.metadata.namespace, &object.metadata.name);
        let mut daemon_sets = Vec::new();
        for object in sorted(&overview).into_iter().filter(|object| is_wanted(object)) {
            if let Some(snapshot) = self.snapshot(object, PodFilter::Remarkable).await? {
                daemon_sets.push(view::daemon_set(&snapshot, &context));
            }
        }
        Ok(Response::new(ListDaemonSetsResponse {
            daemon_sets,
            ask_leader: context.leadership.other().to_owned(),
        }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        self.metrics.view_call(Method::Explain);
        let caller = self.caller(&request)?;
        explain::explain(self, &caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_node_overhead(
        &self,
        request: Request<GetNodeOverheadRequest>,
    ) -> Result<Response<GetNodeOverheadResponse>, Status> {
        self.metrics.view_call(Method::GetNodeOverhead);
        let caller = self.caller(&request)?;
        overhead::node_overhead(self, &caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn watch_plans(
        &self,
        request: Request<WatchPlansRequest>,
    ) -> Result<Response<Self::WatchPlansStream>, Status> {
        self.metrics.view_call(Method::WatchPlans);
        let caller = self.caller(&request)?;
        let peer = request.extensions().get::<Peer>().cloned();
        let events = watch::watch(self, caller, peer, request.into_inner()).await?;
        Ok(Response::new(Box::pin(events)))
    }
}

impl Executor {
    /// Returns the caller that the gRPC server has authenticated.
    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        if self.tokens.is_none() {
            return Ok(Caller::Unrestricted);
        }
        let authenticated = request.extensions().get::<Authenticated>();
        let caller = authenticated.and_then(Authenticated::caller::<Caller>);
        caller
            .cloned()
            .ok_or_else(|| Status::unauthenticated("the caller has not been authenticated"))
    }

    /// Checks that a caller may see something. Handlers check this before they look anything up, so that the kind of
    /// refusal doesn't reveal what exists.
    async fn authorize(&self, caller: &Caller, access: &AccessRequest) -> Result<(), Status> {
        match &self.tokens {
            Some(tokens) => tokens.authorize(caller, access).await,
            None => Ok(()),
        }
    }

    /// Whether a caller may see something. If the API server doesn't answer, the result is false.
    async fn may_see(&self, caller: &Caller, access: &AccessRequest) -> bool {
        self.authorize(caller, access).await.is_ok()
    }

    /// Returns an overview of the cluster, once every watch has listed it.
    async fn overview(&self) -> Result<Overview, Status> {
        if !self.health.is_listed() {
            return Err(Status::unavailable(
                "the cluster has not been listed yet; try again in a moment",
            ));
        }
        self.query_client
            .overview()
            .await
            .map_err(status::loop_unavailable)
    }

    async fn snapshot(&self, object: &DaemonSet, filter: PodFilter) -> Result<Option<Snapshot>, Status> {
        let found = self.query_client.daemon_set(&object.metadata.uid, filter).await;
        found.map_err(status::loop_unavailable)
    }

    fn context(&self, overview: &Overview) -> Context {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Context {
            leadership: self.leadership.borrow().clone(),
            planner: overview.planner.clone(),
            now: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        }
    }
}

/// Sorts the `DaemonSet`s by namespace and name.
fn sorted(overview: &Overview) -> Vec<&DaemonSet> {
    let mut daemon_sets: Vec<&DaemonSet> = overview.daemon_sets.iter().map(AsRef::as_ref).collect();
    daemon_sets.sort_by(|a, b| {
        let name = |object: &DaemonSet| (object.metadata.namespace.clone(), object.metadata.name.clone());
        name(a).cmp(&name(b))
    });
    daemon_sets
}

#[cfg(test)]
mod tests;
