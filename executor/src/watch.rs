//! The cluster as slim types: only what a decision or an action needs is ever decoded.

mod stream;

use std::sync::Arc;

use everynode_proto::facts;
use kube::Client;
use tokio::{sync::mpsc, time::Instant};
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

/// Watches nodes, pods, `DaemonSet`s and `ControllerRevision`s until the receiver of the changes is dropped.
pub async fn watch_all(client: Client, changes: mpsc::Sender<Read>, metrics: Arc<Metrics>) {
    let streaming = has_streaming_lists(&client).await;
    info!(streaming, "watches begin");
    let (client, changes, metrics) = (&client, &changes, &metrics);
    tokio::join!(
        watch(client, streaming, changes, metrics, Change::Node).run(),
        watch(client, streaming, changes, metrics, Change::Pod).run(),
        watch(client, streaming, changes, metrics, Change::DaemonSet).run(),
        watch(client, streaming, changes, metrics, Change::Revision).run(),
    );
}

fn watch<'a, T>(
    client: &'a Client,
    streaming: bool,
    changes: &'a mpsc::Sender<Read>,
    metrics: &'a Metrics,
    wrap: fn(Event<T>) -> Change,
) -> Watch<'a, T> {
    Watch {
        client,
        streaming,
        changes,
        metrics,
        wrap,
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
