//! The cluster as slim types: only what a decision or an action needs is ever decoded.

pub mod read;
mod stream;

use std::{fmt, sync::Arc};

use everynode_proto::facts::{self, Meta};
use kube::Client;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tracing::{debug, info};

use self::stream::Watch;
use crate::metrics::Metrics;

/// A `DaemonSet` whose template is kept as the API server gave it.
pub type DaemonSet = facts::DaemonSet<Option<Box<RawValue>>>;

/// A `ControllerRevision`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Revision {
    /// metadata.
    pub metadata: Meta,
    /// Its place in the history: higher is newer.
    pub revision: i64,
    /// The patch that restores the template, as stored.
    pub data: Option<Box<RawValue>>,
}

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

/// Watches nodes, pods, `DaemonSet`s and `ControllerRevision`s until the receiver of the changes is dropped.
pub async fn watch_all(client: Client, changes: mpsc::Sender<Change>, metrics: Arc<Metrics>) {
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
    changes: &'a mpsc::Sender<Change>,
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

/// An error with all its causes on one line.
#[derive(Debug)]
pub struct Cause<'a, E>(pub &'a E);

impl<E: std::error::Error> fmt::Display for Cause<'_, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors repeat their cause in their own text.
            if !shown.contains(&text) {
                shown = format!("{shown}: {text}");
            }
            source = cause.source();
        }
        formatter.write_str(&shown)
    }
}

#[cfg(test)]
mod tests;
