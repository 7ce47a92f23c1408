//! Publishes events to watchers of plans.

use std::{sync::Arc, time::SystemTime};

use everynode_proto::executor::v1::{WatchPlansResponse, watch_plans_response::Event};
use tokio::sync::broadcast;

/// Maximum number of events that a slow watcher may lag behind before it loses some. A burst of finished actions
/// causes hundreds of events per second.
const EVENT_BUFFER_CAPACITY: usize = 1_024;

/// An event, shared by all subscribers.
pub(crate) type SharedEvent = Arc<WatchPlansResponse>;

/// The channel on which events are published.
#[derive(Debug)]
pub(crate) struct EventBus {
    subscribers: broadcast::Sender<SharedEvent>,
}

impl Default for EventBus {
    fn default() -> Self {
        let (subscribers, _) = broadcast::channel(EVENT_BUFFER_CAPACITY);
        Self { subscribers }
    }
}

impl EventBus {
    /// Subscribes to all events from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<SharedEvent> {
        self.subscribers.subscribe()
    }

    /// Publishes an event. If there are no subscribers, the event isn't even built.
    pub(crate) fn publish(&self, event: impl FnOnce() -> Event) {
        if self.subscribers.receiver_count() == 0 {
            return;
        }
        let event = WatchPlansResponse {
            time: Some(SystemTime::now().into()),
            event: Some(event()),
        };
        // The last subscriber may just have unsubscribed.
        let _ = self.subscribers.send(Arc::new(event));
    }
}
