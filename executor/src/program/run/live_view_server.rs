//! Runs the live view on its own thread, so that building and encoding answers takes no time from the main loop.

use std::{sync::Arc, thread, time::Duration};

use anyhow::Context;
use everynode_serving::serve::Limits;
use kube::Config;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Telemetry;
use crate::{
    apiserver::{api::Api, client},
    election::leadership::Leadership,
    live_view::{
        queries::QueryClient,
        service::{
            Executor,
            callers::{Callers, TokenAuthenticator},
            planner::PlannerClient,
            server::{self, Listeners},
        },
    },
    planner::link::Link,
};

/// The live view's gRPC server, with everything that its thread needs.
pub(super) struct LiveViewServer {
    pub(super) listeners: Listeners,
    pub(super) limits: Limits,
    pub(super) max_watch_duration: Duration,
    pub(super) cluster: Config,
    pub(super) planner: Link,
    pub(super) identity: String,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) query_client: QueryClient,
    pub(super) telemetry: Telemetry,
}

impl LiveViewServer {
    /// Starts the thread. It serves until `shutdown`, then sends its result to the returned channel.
    pub(super) fn start(
        self,
        shutdown: CancellationToken,
    ) -> anyhow::Result<oneshot::Receiver<anyhow::Result<()>>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (ended, end) = oneshot::channel();
        let serve = move || {
            let served = runtime.block_on(self.serve(shutdown));
            // If the receiver is gone, the program has already ended.
            let _ = ended.send(served);
        };
        thread::Builder::new().name("live-view".to_owned()).spawn(serve)?;
        Ok(end)
    }

    async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        // The client must be created on this thread, so that its connection runs on this thread's runtime.
        let client = client::connect(&self.cluster).context("can't create a client for the cluster")?;
        let api = Api::new(client);
        let tokens = matches!(self.listeners.callers, Callers::WithTokens { .. });
        let executor = Executor {
            identity: self.identity,
            leadership: self.leadership,
            query_client: self.query_client,
            planner: PlannerClient::new(self.planner.connect_lazy()),
            tokens: tokens.then(|| {
                Arc::new(TokenAuthenticator::new(
                    api.clone(),
                    self.telemetry.metrics.clone(),
                ))
            }),
            api,
            health: self.telemetry.health,
            metrics: self.telemetry.metrics,
            max_watch_duration: self.max_watch_duration,
            shutdown: CancellationToken::new(),
        };
        Ok(server::serve(self.listeners, executor, self.limits, shutdown).await?)
    }
}
