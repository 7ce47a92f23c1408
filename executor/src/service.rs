//! The live view over gRPC: takes requests from the wire, asks the loop what is known and the planner for verdicts, and
//! puts both together. No rule lives here, and nothing can be changed from here.
//!
//! It runs on a thread of its own, so that a long answer takes no time from the loop.
//!
//! - [`callers`]: who may ask.
//! - `request`: what requests may hold; `status`: why one is refused.
//! - [`planner`]: the planner's unary calls; `objects`: what they are told.
//! - `explain`, `overhead`, `watch`: the longer answers.
//! - [`server`]: the service with health and reflection on a port.

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
use everynode_proto::serve::{Authenticated, Peer};
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
    api::Api,
    controller::questions::{Asker, Overview, Which},
    health::Health,
    leadership::Leadership,
    metrics::{Method, Metrics},
    objects::DaemonSet,
    view::{self, Circumstances, Sketch},
};

/// The executor's service.
#[derive(Debug)]
pub struct Executor {
    /// This executor's name.
    pub identity: String,
    /// Who leads.
    pub leadership: state::Receiver<Leadership>,
    /// Asks the loop.
    pub asker: Asker,
    /// Asks the planner.
    pub planner: Planner,
    /// Asks the API server for what isn't watched.
    pub api: Api,
    /// Knows callers by their tokens, if they have to have any. The server has to be told that it authenticates them.
    pub tokens: Option<Arc<Tokens>>,
    /// Whether the cluster is listed.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How long a watch may last, give or take a tenth.
    pub max_watch_duration: Duration,
    /// Ends watches.
    pub shutdown: CancellationToken,
}

#[tonic::async_trait]
impl ExecutorService for Executor {
    type WatchPlansStream = Pin<Box<dyn Stream<Item = Result<WatchPlansResponse, Status>> + Send>>;

    async fn get_info(&self, request: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        self.metrics.view_call(Method::GetInfo);
        self.caller(&request)?;
        let cluster_is_listed = self.health.is_listed();
        // Until then the loop may not even run, and a planner could not be told anything.
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
    /// Who sends a request, as the gate has found out.
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

    /// Lets a caller see what they may see. That comes before anything is looked up, so that nobody learns by the kind of
    /// refusal what there is.
    async fn authorize(&self, caller: &Caller, access: &Access) -> Result<(), Status> {
        match &self.tokens {
            Some(tokens) => tokens.authorize(caller, access).await,
            None => Ok(()),
        }
    }

    /// Whether a caller may see something; not while nobody can tell.
    async fn may_see(&self, caller: &Caller, access: &Access) -> bool {
        self.authorize(caller, access).await.is_ok()
    }

    /// What is there, once everything is known.
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

/// The `DaemonSet`s in the order of namespace and name.
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
