//! The live view, on a thread of its own: what is put together and encoded for those who ask takes no time from the loop.

use std::{net::TcpListener, thread};

use anyhow::Context;
use kube::Config;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use super::Signs;
use crate::{
    api::Api,
    client,
    controller::questions::Asker,
    leadership::Leadership,
    service::{Executor, planner::Planner, server},
};

/// What the live view is served with.
pub(super) struct View {
    pub(super) listener: TcpListener,
    pub(super) config: Config,
    pub(super) planner: Endpoint,
    pub(super) identity: String,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) asker: Asker,
    pub(super) signs: Signs,
}

impl View {
    /// Serves until `shutdown`. Returns what tells of its end.
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
            // If nobody hears it, the program has ended already.
            let _ = ended.send(served);
        };
        thread::Builder::new().name("view".to_owned()).spawn(serve)?;
        Ok(end)
    }

    async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        // A connection belongs to the thread that made it.
        let client = client::connect(&self.config).context("can't make a client for the cluster")?;
        let executor = Executor {
            identity: self.identity,
            leadership: self.leadership,
            asker: self.asker,
            planner: Planner::new(self.planner.connect_lazy()),
            api: Api::new(client),
            health: self.signs.health,
            metrics: self.signs.metrics,
            shutdown: CancellationToken::new(),
        };
        server::serve(self.listener, executor, shutdown).await
    }
}
