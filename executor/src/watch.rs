//! The cluster as slim types: only what a decision or an action needs is ever decoded.

mod stream;

use std::sync::Arc;

use everynode_proto::facts;
use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tracing::{debug, info};

use self::stream::Watch;
use crate::{
    metrics::Metrics,
    objects::{DaemonSet, Revision},
};

/// What a watch says.
#[derive(Debug)]
pub enum Event<T> {
    /// A list begins: what it doesn't hold is gone.
    ListBegins,
    /// The object is as shown.
    Changed(T),
    /// The object is gone.
    Gone(T),
    /// The list is complete.
    ListEnds,
}

/// What one of the watches says.
#[derive(Debug)]
pub enum Change {
    /// Of nodes.
    Node(Event<facts::Node>),
    /// Of pods.
    Pod(Event<facts::Pod>),
    /// Of `DaemonSet`s.
    DaemonSet(Event<DaemonSet>),
    /// Of `ControllerRevision`s.
    Revision(Event<Revision>),
}

/// What one of the watches says, and when it was read.
#[derive(Debug)]
pub struct Read {
    /// What it says.
    pub change: Change,
    /// When it was read.
    pub at: Instant,
}

impl From<Change> for Read {
    /// What is read now.
    fn from(change: Change) -> Self {
        let at = Instant::now();
        Self { change, at }
    }
}

/// Whether all that had happened in the cluster by some moment has been said.
#[derive(Debug)]
pub struct Freshness {
    asked: watch::Sender<u64>,
    proofs: [watch::Receiver<u64>; 4],
}

/// The watches' side of it.
#[derive(Debug)]
pub struct Proofs {
    asked: watch::Receiver<u64>,
    proofs: [watch::Sender<u64>; 4],
}

/// A way to know whether the watches are fresh, and what they say so with.
pub fn freshness() -> (Freshness, Proofs) {
    let (questions, asked) = watch::channel(0);
    let senders: [watch::Sender<u64>; 4] = Default::default();
    let freshness = Freshness {
        asked: questions,
        proofs: senders.each_ref().map(watch::Sender::subscribe),
    };
    let proofs = Proofs {
        asked,
        proofs: senders,
    };
    (freshness, proofs)
}

impl Freshness {
    /// Waits until every watch has said what had happened when this was called: a watch that is interrupted, or whose line is dead,
    /// is behind for as long as that lasts.
    pub async fn reached(&mut self) {
        self.asked.send_modify(|asked| *asked += 1);
        let now = *self.asked.borrow();
        for proof in &mut self.proofs {
            if proof.wait_for(|proved| *proved >= now).await.is_err() {
                // Nobody is left to say so.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Watches nodes, pods, `DaemonSet`s and `ControllerRevision`s until the receiver of the changes is dropped.
pub async fn watch_all(client: Client, changes: mpsc::Sender<Read>, metrics: Arc<Metrics>, proofs: Proofs) {
    let streaming = has_streaming_lists(&client).await;
    info!(streaming, "watches begin");
    let Proofs { asked, proofs } = proofs;
    let [nodes, pods, daemon_sets, revisions] = proofs;
    let all = All {
        client,
        streaming,
        changes,
        metrics,
        asked,
    };
    tokio::join!(
        all.watch(Change::Node, nodes).run(),
        all.watch(Change::Pod, pods).run(),
        all.watch(Change::DaemonSet, daemon_sets).run(),
        all.watch(Change::Revision, revisions).run(),
    );
}

/// What all watches have in common.
struct All {
    client: Client,
    streaming: bool,
    changes: mpsc::Sender<Read>,
    metrics: Arc<Metrics>,
    asked: watch::Receiver<u64>,
}

impl All {
    fn watch<T>(&self, wrap: fn(Event<T>) -> Change, proof: watch::Sender<u64>) -> Watch<'_, T> {
        Watch {
            client: &self.client,
            streaming: self.streaming,
            changes: &self.changes,
            metrics: &self.metrics,
            wrap,
            asked: self.asked.clone(),
            proof,
        }
    }
}

/// Whether lists come as a stream, which spares both sides the whole list in memory. On by default since 1.34.
async fn has_streaming_lists(client: &Client) -> bool {
    const SINCE_MINOR: u32 = 34;
    let minor = |text: &str| {
        text.trim_end_matches(|end: char| !end.is_ascii_digit())
            .parse::<u32>()
            .ok()
    };
    match client.apiserver_version().await {
        Ok(version) => {
            version.major == "1" && minor(&version.minor).is_some_and(|minor| minor >= SINCE_MINOR)
        }
        Err(error) => {
            debug!(%error, "the API server doesn't tell its version; lists are paged");
            false
        }
    }
}

#[cfg(test)]
mod tests;
