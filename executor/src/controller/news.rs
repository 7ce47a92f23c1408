//! What happens, for those who watch it.

use std::{sync::Arc, time::SystemTime};

use everynode_proto::executor::v1::{WatchPlansResponse, watch_plans_response::Event};
use tokio::sync::broadcast;

/// How many events a slow reader may be behind before it loses some. A burst of actions that end is hundreds a second.
const EVENTS_AHEAD: usize = 1_024;

/// Something that has happened, shared by all who watch.
pub type Happened = Arc<WatchPlansResponse>;

/// Where it is told.
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
    /// Whatever is told from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Happened> {
        self.listeners.subscribe()
    }

    /// Tells what has happened, if anybody listens; otherwise nothing is made of it.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.listeners.receiver_count() == 0 {
            return;
        }
        let happened = WatchPlansResponse {
            time: Some(SystemTime::now().into()),
            event: Some(event()),
        };
        // The last listener may just have gone.
        let _ = self.listeners.send(Arc::new(happened));
    }
}
