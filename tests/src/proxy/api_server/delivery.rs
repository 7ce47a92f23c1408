//! How watches deliver their events, and how they end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use http::Response;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::events::{Events, is_bookmark};
use super::{Shared, truncation_error};

/// How long events are collected before they are delivered in reverse order.
const BUFFER_TIME: Duration = Duration::from_millis(100);

/// How watches deliver their events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WatchDelivery {
    /// As the API server does.
    #[default]
    Normal,
    /// With this delay.
    Delayed(Duration),
    /// Every event twice.
    Duplicated,
    /// Events that happen at about the same time arrive in reverse order. Bookmarks keep their position.
    Reversed,
}

/// How a watch ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// Normally, as after the watch's timeout.
    Closed,
    /// In the middle of an event.
    Truncated,
    /// With an error event: the watch's resource version is too old (410 Gone).
    Expired,
}

/// Returns the response of a watch, with its events delivered as configured.
pub(super) fn relay_watch(response: Response<Body>, shared: &Arc<Shared>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let (sender, pieces) = mpsc::channel(1);
    let relay = WatchRelay {
        events: Events::of(&head.headers),
        delivery: shared.delivery.subscribe(),
        sender,
    };
    tokio::spawn(relay.run(body, shared.clone(), shared.interruptions.subscribe()));
    let pieces = stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
    Response::from_parts(head, Body::from_stream(pieces))
}

type Piece = Result<Bytes, std::io::Error>;

struct WatchRelay {
    events: Events,
    delivery: watch::Receiver<WatchDelivery>,
    sender: mpsc::Sender<Piece>,
}

impl WatchRelay {
    /// Relays the server's events until the watch ends on either side or is interrupted.
    async fn run(
        mut self,
        body: Body,
        shared: Arc<Shared>,
        mut interruptions: watch::Receiver<(u64, Interruption)>,
    ) {
        let sender = self.sender.clone();
        let how = tokio::select! {
            () = self.relay(body) => return,
            Ok(()) = interruptions.changed() => interruptions.borrow_and_update().1,
            () = sender.closed() => return,
        };
        shared.watches_ended.fetch_add(1, Ordering::Relaxed);
        self.interrupt(how).await;
    }

    /// Relays the server's events until the server ends the watch or the client is gone.
    async fn relay(&mut self, body: Body) {
        let mut pieces = body.into_data_stream();
        let mut buffered = Vec::new();
        let mut until = None;
        loop {
            let timer = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let sent = tokio::select! {
                piece = pieces.next() => match piece {
                    Some(Ok(piece)) => self.take(&piece, &mut buffered, &mut until).await,
                    _ => None,
                },
                () = timer => {
                    until = None;
                    self.send_reversed(&mut buffered).await
                }
            };
            if sent.is_none() {
                return;
            }
        }
    }

    async fn take(
        &mut self,
        piece: &[u8],
        buffered: &mut Vec<Bytes>,
        until: &mut Option<Instant>,
    ) -> Option<()> {
        let now = Instant::now();
        for event in self.events.take(piece) {
            let delivery = *self.delivery.borrow();
            match delivery {
                WatchDelivery::Reversed if !is_bookmark(&event) => {
                    buffered.push(event);
                    until.get_or_insert(now + BUFFER_TIME);
                    continue;
                }
                WatchDelivery::Delayed(lag) => sleep_until(now + lag).await,
                _ => {}
            }
            self.send_reversed(buffered).await?;
            if delivery == WatchDelivery::Duplicated {
                self.send(event.clone()).await?;
            }
            self.send(event).await?;
        }
        Some(())
    }

    async fn send_reversed(&self, buffered: &mut Vec<Bytes>) -> Option<()> {
        while let Some(event) = buffered.pop() {
            self.send(event).await?;
        }
        Some(())
    }

    async fn send(&self, event: Bytes) -> Option<()> {
        self.sender.send(Ok(event)).await.ok()
    }

    async fn interrupt(&self, how: Interruption) {
        let expired = self.events.expired();
        let pieces: Vec<Piece> = match how {
            Interruption::Closed => Vec::new(),
            Interruption::Truncated => vec![Ok(expired.slice(..expired.len() / 2)), Err(truncation_error())],
            Interruption::Expired => vec![Ok(expired)],
        };
        for piece in pieces {
            // The receiver may be gone already.
            let _ = self.sender.send(piece).await;
        }
    }
}
