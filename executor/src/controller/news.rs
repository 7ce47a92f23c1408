//! Publishes events to watchers of plans.

use std::{sync::Arc, time::SystemTime};

use everynode_proto::executor::v1::{WatchPlansResponse, watch_plans_response::Event};
use tokio::sync::broadcast;

/// How many events a slow watcher may lag behind before it loses some. A burst of ending actions makes hundreds of
/// events a second.
const EVENTS_AHEAD: usize = 1_024;

/// An event, shared by all watchers.
pub type Happened = Arc<WatchPlansResponse>;

/// The channel on which events are published.
#[derive(Debug)]
pub(super) struct News {
    listeners: broadcast::Sender<Happened>,
}

impl Default for News {
    fn default() -> Self {
        let (listeners, _) = broadcast::channel(EVENTS_AHEAD);
        Self { listeners }
    }
}

impl News {
    /// Subscribes to all events from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Happened> {
        self.listeners.subscribe()
    }

    /// Publishes an event. If nobody listens, the event isn't even built.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.listeners.receiver_count() == 0 {
            return;
        }
        let happened = WatchPlansResponse {
            time: Some(SystemTime::now().into()),
            event: Some(event()),
        };
        // The last listener may just have left.
        let _ = self.listeners.send(Arc::new(happened));
    }
}
