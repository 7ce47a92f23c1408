//! Events on `DaemonSet`s (contract C5): what was done and what failed, with the server's message.
//!
//! Events are best effort. They are rate-limited per `DaemonSet`, and dropped when the queue is full.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::ObjectReference;
pub(crate) use kube::runtime::events::EventType;
use kube::{
    Client,
    runtime::events::{Event, Recorder, Reporter},
};
use tokio::sync::mpsc;
use tracing::debug;

use crate::{
    apiserver::{names::is_name, objects::DaemonSet},
    telemetry::metrics::Metrics,
};

/// Maximum number of events that wait to be written.
const QUEUE_CAPACITY: usize = 1_000;
/// Maximum burst of events about one `DaemonSet`, as in client-go's spam filter.
const BURST: f64 = 25.0;
/// Time until a `DaemonSet` may have another event after that burst.
const REFILL: Duration = Duration::from_secs(10);
/// Maximum number of recorders, one for each note. A recorder counts a repeated event instead of creating a new one.
const MAX_RECORDERS: usize = 512;
/// The longest note that the API accepts, in bytes.
const MAX_NOTE_BYTES: usize = 1_024;

/// Writes events in the background.
#[derive(Debug)]
pub(crate) struct Events {
    queue: mpsc::Sender<(Event, ObjectReference)>,
    buckets: HashMap<String, Bucket>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// Recorders, one for each note. A recorder merges events with the same reason and keeps only the first note. Here the
/// notes differ (by pod and by the server's message), so each note needs its own recorder.
struct Recorders {
    client: Client,
    reporter: Reporter,
    by_note: IndexMap<String, Recorder>,
}

impl Recorders {
    fn of(&mut self, note: &str) -> &Recorder {
        if self.by_note.len() >= MAX_RECORDERS && !self.by_note.contains_key(note) {
            self.by_note.shift_remove_index(0);
        }
        let new = || Recorder::new(self.client.clone(), self.reporter.clone());
        self.by_note.entry(note.to_owned()).or_insert_with(new)
    }
}

impl Events {
    /// Starts to write events in the background. Dropping the `Events` ends that.
    pub(crate) fn new(client: Client, instance: String, metrics: Arc<Metrics>) -> Self {
        let (queue, mut events) = mpsc::channel::<(Event, ObjectReference)>(QUEUE_CAPACITY);
        let reporter = Reporter {
            controller: "everynode-executor".to_owned(),
            instance: Some(instance),
        };
        let mut recorders = Recorders {
            client,
            reporter,
            by_note: IndexMap::new(),
        };
        tokio::spawn(async move {
            while let Some((event, about)) = events.recv().await {
                let recorder = recorders.of(event.note.as_deref().unwrap_or_default());
                if let Err(error) = recorder.publish(&event, &about).await {
                    debug!(%error, reason = event.reason, "writing an event failed");
                }
            }
        });
        Self {
            queue,
            buckets: HashMap::new(),
            metrics,
        }
    }

    /// Queues an event about a `DaemonSet`. `action` is what the executor was doing, and `reason` is why it records the
    /// event; both are single words.
    pub(crate) fn record(
        &mut self,
        daemon_set: &DaemonSet,
        kind: EventType,
        reason: &str,
        action: &str,
        note: String,
    ) {
        let metadata = &daemon_set.metadata;
        // The namespace goes into the URL that the event is posted to.
        if !is_name(&metadata.namespace) || !self.take_token(&metadata.uid, Instant::now()) {
            self.metrics.event_dropped();
            return;
        }
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(truncate_note(note)),
            action: action.to_owned(),
            secondary: None,
        };
        let about = ObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: Some("DaemonSet".to_owned()),
            name: Some(metadata.name.clone()),
            namespace: Some(metadata.namespace.clone()),
            uid: Some(metadata.uid.clone()),
            resource_version: Some(metadata.resource_version.clone()),
            field_path: None,
        };
        if self.queue.try_send((event, about)).is_err() {
            self.metrics.event_dropped();
        }
    }

    fn take_token(&mut self, uid: &str, now: Instant) -> bool {
        let bucket = self.buckets.entry(uid.to_owned()).or_insert(Bucket {
            tokens: BURST,
            filled: now,
        });
        let refilled = now.duration_since(bucket.filled).as_secs_f64() / REFILL.as_secs_f64();
        bucket.tokens = (bucket.tokens + refilled).min(BURST);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Forgets all `DaemonSet`s, because another executor manages them now.
    pub(crate) fn forget_all(&mut self) {
        self.buckets.clear();
    }

    /// Forgets a `DaemonSet` that is gone.
    pub(crate) fn forget(&mut self, uid: &str) {
        self.buckets.remove(uid);
    }
}

/// Cuts a note to the length that the API accepts.
pub(crate) fn truncate_note(mut note: String) -> String {
    if note.len() > MAX_NOTE_BYTES {
        let end = (0..=MAX_NOTE_BYTES - '…'.len_utf8())
            .rev()
            .find(|end| note.is_char_boundary(*end))
            .unwrap_or(0);
        note.truncate(end);
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests;
