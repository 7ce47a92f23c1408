//! Events on `DaemonSet`s (contract C5): what was done and what went wrong, in the server's words.
//!
//! Events are news, not state. They are rate-limited per `DaemonSet`, and dropped rather than waited for.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;
use tracing::debug;

use crate::{
    apiserver::{names::is_name, objects::DaemonSet},
    telemetry::metrics::Metrics,
};

/// Maximum number of events that wait to be written.
const WAITING: usize = 1_000;
/// Maximum burst of events about one `DaemonSet`, as in client-go's spam filter.
const BURST: f64 = 25.0;
/// Time until a `DaemonSet` may have another event after that burst.
const REFILL: Duration = Duration::from_secs(10);
/// Number of notes that are remembered, so that a repetition is counted and not written anew.
const NOTES: usize = 512;
/// The longest note that the API takes, in bytes.
const MAX_NOTE: usize = 1_024;

/// Whether an event is good or bad news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something was done.
    Normal,
    /// Something is wrong.
    Warning,
}

/// Writes events in the background.
#[derive(Debug)]
pub struct Events {
    waiting: mpsc::Sender<(Event, ObjectReference)>,
    buckets: HashMap<String, Bucket>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// Recorders, one for each note. A recorder counts events with the same reason as one and keeps only the first one's
/// note. Here the note is the news (which pod, which of the server's words), so each note needs its own recorder.
struct Recorders {
    client: Client,
    reporter: Reporter,
    by_note: IndexMap<String, Recorder>,
}

impl Recorders {
    fn of(&mut self, note: &str) -> &Recorder {
        if self.by_note.len() >= NOTES && !self.by_note.contains_key(note) {
            self.by_note.shift_remove_index(0);
        }
        let new = || Recorder::new(self.client.clone(), self.reporter.clone());
        self.by_note.entry(note.to_owned()).or_insert_with(new)
    }
}

impl Events {
    /// Starts to write events in the background. Dropping the `Events` ends that.
    pub fn new(client: Client, instance: String, metrics: Arc<Metrics>) -> Self {
        let (waiting, mut events) = mpsc::channel::<(Event, ObjectReference)>(WAITING);
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
                    debug!(%error, reason = event.reason, "an event could not be written");
                }
            }
        });
        Self {
            waiting,
            buckets: HashMap::new(),
            metrics,
        }
    }

    /// Writes an event about a `DaemonSet`. `action` is what was being done, and `reason` is why the event is
    /// written; both are single words.
    pub fn say(&mut self, daemon_set: &DaemonSet, kind: Kind, reason: &str, action: &str, note: String) {
        let metadata = &daemon_set.metadata;
        // The namespace goes into the URL that the event is posted to.
        if !is_name(&metadata.namespace) || !self.may_say(&metadata.uid, Instant::now()) {
            self.metrics.event_dropped();
            return;
        }
        let event = Event {
            type_: match kind {
                Kind::Normal => EventType::Normal,
                Kind::Warning => EventType::Warning,
            },
            reason: reason.to_owned(),
            note: Some(shortened(note)),
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
        if self.waiting.try_send((event, about)).is_err() {
            self.metrics.event_dropped();
        }
    }

    fn may_say(&mut self, uid: &str, now: Instant) -> bool {
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
    pub fn forget_all(&mut self) {
        self.buckets.clear();
    }

    /// Forgets a `DaemonSet` that is gone.
    pub fn forget(&mut self, uid: &str) {
        self.buckets.remove(uid);
    }
}

/// Cuts a note to the length that the API accepts.
pub(crate) fn shortened(mut note: String) -> String {
    if note.len() > MAX_NOTE {
        let end = (0..=MAX_NOTE - '…'.len_utf8())
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
