//! The live view over gRPC. It answers requests from the main loop's state and the planner's verdicts. It decides
//! nothing itself, and nothing can be changed through it.
//!
//! It runs on its own thread, so that a long answer takes no time from the main loop.
//!
//! - [`callers`]: authenticates and authorizes callers.
//! - `request`: validates requests; `status`: builds the errors.
//! - [`planner`]: calls the planner's unary methods; `objects`: builds the objects in these calls.
//! - `explain`, `overhead`, `watch`: the longer handlers.
//! - [`server`]: serves the service with health and reflection on a port.

pub mod callers;
mod explain;
mod objects;
mod overhead;
pub mod planner;
mod request;
pub mod server;
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
    callers::{Caller, Tokens, access::Access},
    planner::Planner,
    request::Filter,
};
use crate::{
    apiserver::{api::Api, objects::DaemonSet},
    election::leadership::Leadership,
    live_view::questions::{Asker, Overview, Which},
    live_view::view::{self, Circumstances, Sketch},
    telemetry::{
        health::Health,
        metrics::{Method, Metrics},
    },
};

/// Implements the executor's service.
#[derive(Debug)]
pub struct Executor {
    /// This executor's name.
    pub identity: String,
    /// The current leader.
    pub leadership: state::Receiver<Leadership>,
    /// Asks the main loop.
    pub asker: Asker,
    /// Calls the planner's unary methods.
    pub planner: Planner,
    /// Reads objects that aren't watched from the API server.
    pub api: Api,
    /// Authenticates and authorizes callers by their tokens; `None` when callers need no token. `server::server` also
    /// registers it with the gate, which authenticates each call.
    pub tokens: Option<Arc<Tokens>>,
    /// Tells whether the watches have listed the cluster.
    pub health: Arc<Health>,
    /// Counts calls.
    pub metrics: Arc<Metrics>,
    /// Maximum duration of a watch. The limit of each watch varies randomly by up to a tenth.
    pub max_watch_duration: Duration,
    /// Cancelling it ends the watches.
    pub shutdown: CancellationToken,
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
        let access = Access::daemon_sets(&namespace, &name);
        let filter = Filter::new(namespace, name)?;
        self.authorize(&caller, &access).await?;
        let overview = self.overview().await?;
        let circumstances = self.circumstances(&overview);
        let is_wanted = |object: &DaemonSet| filter.fits(&object.metadata.namespace, &object.metadata.name);
        let mut daemon_sets = Vec::new();
        for object in sorted(&overview).into_iter().filter(|object| is_wanted(object)) {
            if let Some(sketch) = self.sketch(object, Which::Remarkable).await? {
                daemon_sets.push(view::daemon_set(&sketch, &circumstances));
            }
        }
        Ok(Response::new(ListDaemonSetsResponse {
            daemon_sets,
            ask_leader: circumstances.leadership.other().to_owned(),
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
    /// Returns the caller that the gate has authenticated.
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
    async fn authorize(&self, caller: &Caller, access: &Access) -> Result<(), Status> {
        match &self.tokens {
            Some(tokens) => tokens.authorize(caller, access).await,
            None => Ok(()),
        }
    }

    /// Whether a caller may see something. Returns false also when the API server can't tell.
    async fn may_see(&self, caller: &Caller, access: &Access) -> bool {
        self.authorize(caller, access).await.is_ok()
    }

    /// Returns an overview of the cluster, once every watch has listed it.
    async fn overview(&self) -> Result<Overview, Status> {
        if !self.health.is_listed() {
            return Err(Status::unavailable(
                "the cluster has not been listed yet; try again in a moment",
            ));
        }
        self.asker.overview().await.map_err(status::silent)
    }

    async fn sketch(&self, object: &DaemonSet, which: Which) -> Result<Option<Sketch>, Status> {
        let known = self.asker.daemon_set(&object.metadata.uid, which).await;
        known.map_err(status::silent)
    }

    fn circumstances(&self, overview: &Overview) -> Circumstances {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Circumstances {
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
