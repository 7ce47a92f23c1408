//! How watches say what they say, and how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use http::Response;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::events::{Events, is_bookmark};
use super::{Shared, torn_off};

/// For how long events are gathered that are said in another order.
const GATHERED: Duration = Duration::from_millis(100);

/// How watches say what they say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Speech {
    /// As the API server does.
    #[default]
    Plain,
    /// So much later.
    Late(Duration),
    /// Everything twice.
    Twice,
    /// What happens at about the same time in the opposite order. Bookmarks stay where they are.
    Backwards,
}

/// How watches end before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// As if their time were over.
    Closed,
    /// In the middle of an event.
    Torn,
    /// With an event that says that the server has forgotten what happened since (410 Gone).
    Expired,
}

/// A watch's answer, as it is to be said.
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
    /// Says what the server says, until the watch ends on either side.
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
            // Nobody may be there any more to hear it.
            let _ = self.sender.send(piece).await;
        }
    }
}
