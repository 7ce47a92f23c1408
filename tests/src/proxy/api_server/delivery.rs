//! How watches deliver their events, and how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use http::Response;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::events::{Events, is_bookmark};
use super::{Shared, torn_off};

/// How long events are collected before they are delivered in reverse order.
const GATHERED: Duration = Duration::from_millis(100);

/// How watches deliver their events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Speech {
    /// As the API server does.
    #[default]
    Plain,
    /// Delayed by this time.
    Late(Duration),
    /// Every event twice.
    Twice,
    /// Events that happen at about the same time arrive in reverse order. Bookmarks keep their position.
    Backwards,
}

/// How a watch ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// Like a watch whose timeout has passed.
    Closed,
    /// In the middle of an event.
    Torn,
    /// With an event that says that the server no longer has the history (410 Gone).
    Expired,
}

/// A watch's answer, with its events delivered as configured.
pub(super) fn spoken(answer: Response<Body>, shared: &Arc<Shared>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let (sender, pieces) = mpsc::channel(1);
    let speaker = Speaker {
        events: Events::of(&head.headers),
        speech: shared.speech.subscribe(),
        interruptions: shared.interruptions.subscribe(),
        sender,
    };
    tokio::spawn(speaker.speak(body));
    let pieces = stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
    Response::from_parts(head, Body::from_stream(pieces))
}

type Piece = Result<Bytes, std::io::Error>;

struct Speaker {
    events: Events,
    speech: watch::Receiver<Speech>,
    interruptions: watch::Receiver<(u64, Interruption)>,
    sender: mpsc::Sender<Piece>,
}

impl Speaker {
    /// Relays the server's events until the watch ends on either side.
    async fn speak(mut self, body: Body) {
        let mut pieces = body.into_data_stream();
        let mut gathered = Vec::new();
        let mut until = None;
        loop {
            let hurry = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let said = tokio::select! {
                piece = pieces.next() => match piece {
                    Some(Ok(piece)) => self.take(&piece, &mut gathered, &mut until).await,
                    _ => None,
                },
                () = hurry => {
                    until = None;
                    self.say_backwards(&mut gathered).await
                }
                Ok(()) = self.interruptions.changed() => {
                    let (_, how) = *self.interruptions.borrow_and_update();
                    return self.interrupt(how).await;
                }
                () = self.sender.closed() => None,
            };
            if said.is_none() {
                return;
            }
        }
    }

    async fn take(
        &mut self,
        piece: &[u8],
        gathered: &mut Vec<Bytes>,
        until: &mut Option<Instant>,
    ) -> Option<()> {
        let now = Instant::now();
        for event in self.events.take(piece) {
            let speech = *self.speech.borrow();
            match speech {
                Speech::Backwards if !is_bookmark(&event) => {
                    gathered.push(event);
                    until.get_or_insert(now + GATHERED);
                    continue;
                }
                Speech::Late(lag) => sleep_until(now + lag).await,
                _ => {}
            }
            self.say_backwards(gathered).await?;
            if speech == Speech::Twice {
                self.say(event.clone()).await?;
            }
            self.say(event).await?;
        }
        Some(())
    }

    async fn say_backwards(&self, gathered: &mut Vec<Bytes>) -> Option<()> {
        while let Some(event) = gathered.pop() {
            self.say(event).await?;
        }
        Some(())
    }

    async fn say(&self, event: Bytes) -> Option<()> {
        self.sender.send(Ok(event)).await.ok()
    }

    async fn interrupt(&self, how: Interruption) {
        let expired = self.events.expired();
        let pieces: Vec<Piece> = match how {
            Interruption::Closed => Vec::new(),
            Interruption::Torn => vec![Ok(expired.slice(..expired.len() / 2)), Err(torn_off())],
            Interruption::Expired => vec![Ok(expired)],
        };
        for piece in pieces {
            // The receiver may be gone already.
            let _ = self.sender.send(piece).await;
        }
    }
}
