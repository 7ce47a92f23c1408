//! Watches one kind of object for ever: lists it, follows the changes, and lists it again when the server has
//! forgotten the resource version.
//!
//! kube has such a watcher too, but it speaks JSON only, which costs the API server and this program several
//! times as much per pod. The rules are client-go's (mirrors Reflector).

mod absence;

use std::{pin::pin, time::Duration};

use everynode_render::ErrorChain;
use everynode_serving::backoff::Backoff;
use futures::{Stream, StreamExt, TryStreamExt};
use http::{Request, header::ACCEPT};
use http_body_util::{BodyExt, Collected};
use kube::{Client, client::Body, core::request};
use prost::bytes::{Bytes, BytesMut};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{
    codec::{AnyDelimiterCodec, FramedRead, LengthDelimitedCodec},
    io::StreamReader,
};
use tracing::{info, warn};

use super::{Change, Event, Presence, Read};
use crate::{
    apiserver::{
        failure::ApiError,
        objects::{self, Encoding, Heard, Unreadable, Watched},
    },
    telemetry::metrics::Metrics,
};

/// The shortest and the longest backoff after failures. The shortest is client-go's. The longest is not:
/// client-go's is 30 s, because thousands of kubelets use it. While a watch backs off, the executor learns
/// nothing of what happens in the cluster, and there are few executors.
const FIRST_WAIT: Duration = Duration::from_millis(800);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The longest backoff while a caller waits for freshness. An executor that has just won the Lease does
/// nothing until the watches are fresh.
const LONGEST_URGENT_WAIT: Duration = Duration::from_secs(1);
/// A watch that has lived this long counts as a success and resets the backoff.
const A_WHILE: Duration = Duration::from_secs(10);
/// The shortest watch timeout to request, in seconds. Each watch picks a value between this and twice this,
/// so that not all watches end together (client-go's values).
const SHORTEST_WATCH_SECONDS: u32 = 300;
/// How long a watch may outlive its requested timeout. A watch that lives longer is dead, although nothing
/// has reported it.
const OVERTIME: Duration = Duration::from_secs(30);
/// Deadline for reading the rest of a response body other than a watch's.
const BODY_DEADLINE: Duration = Duration::from_mins(1);
/// Deadline for the server's answer that shows that a watch's connection is alive.
const PROOF_DEADLINE: Duration = Duration::from_secs(5);
/// How long an event that the server already knows may still be on its way to a watch.
const MOMENT: Duration = Duration::from_millis(50);
/// The number of objects per page of a list.
const PAGE: u32 = 500;
/// The longest event that is accepted, in bytes. An object is at most 1.5 MiB in etcd, and longer as text.
const LONGEST_EVENT_BYTES: usize = 32 << 20;

/// Why a watch has ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// The receiver of the changes was dropped.
    #[error("nobody listens")]
    Unwanted,
    /// The normal end of a watch: its timeout has passed, or the server wants a new request.
    #[error("the server has ended it")]
    Closed,
    /// The server has forgotten what happened since the requested resource version.
    #[error("the server has forgotten: {0}")]
    Expired(String),
    /// The server doesn't stream lists.
    #[error("lists aren't streamed: {0}")]
    NotStreamed(String),
    /// The server didn't end the watch when its timeout had passed.
    #[error("the server has not ended it in time")]
    Overdue,
    /// The server doesn't serve the kind, which is optional.
    #[error("the server doesn't serve this kind")]
    NotServed,
    /// The connection failed or broke, or the server returned an error.
    #[error(transparent)]
    Failed(#[from] ApiError),
}

impl From<Unreadable> for Ended {
    fn from(error: Unreadable) -> Self {
        Self::Failed(error.into())
    }
}

/// A watch of one kind of object.
pub(super) struct Watch<'a, T> {
    pub(super) client: &'a Client,
    pub(super) presence: Presence,
    pub(super) streaming: bool,
    pub(super) changes: &'a mpsc::Sender<Read>,
    pub(super) metrics: &'a Metrics,
    pub(super) wrap: fn(Event<T>) -> Change,
    /// The number of freshness checks requested so far.
    pub(super) asked: watch::Receiver<u64>,
    /// The number of the latest freshness check that this watch has passed.
    pub(super) proof: watch::Sender<u64>,
}

impl<T: Watched> Watch<'_, T> {
    /// Watches until the receiver of the changes is dropped.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::between(FIRST_WAIT, LONGEST_WAIT);
        // The resource version up to which everything is known. `None` until a list is complete.
        let mut version = None;
        // The backoff while the server doesn't serve the kind. `None` if it does, or if that isn't known.
        let mut absence = None;
        loop {
            let begun = Instant::now();
            let asked = *self.asked.borrow();
            if absence.is_none() {
                self.metrics.watch_begins(T::KIND);
            }
            let ended = match self.once(&mut version).await {
                Ok(never) => match never {},
                Err(ended) => ended,
            };
            let kind = T::KIND;
            if begun.elapsed() >= A_WHILE {
                backoff.reset();
            }
            if !matches!(ended, Ended::NotServed) {
                absence = None;
            }
            match ended {
                Ended::Unwanted => return,
                Ended::NotServed => {
                    version = None;
                    match self.while_not_served(&mut absence, asked).await {
                        Ok(()) => continue,
                        // Nobody listens any more.
                        Err(_) => return,
                    }
                }
                Ended::Closed if begun.elapsed() >= FIRST_WAIT => continue,
                Ended::Closed => {}
                Ended::Expired(_) => {
                    info!(kind, "the watch is too old to go on and begins anew");
                    // Only the resource version is too old, so list again at once. But a list that expires
                    // before it is complete may expire again, so back off after that.
                    if version.take().is_some() {
                        continue;
                    }
                }
                Ended::NotStreamed(reason) if self.streaming => {
                    info!(
                        kind,
                        reason, "the API server has no streaming lists; lists are paged"
                    );
                    self.streaming = false;
                    continue;
                }
                Ended::NotStreamed(_) | Ended::Overdue | Ended::Failed(_) => {
                    self.metrics.watch_error(T::KIND);
                    warn!(kind, error = %ErrorChain(&ended), "watch failed; retrying");
                    if let Ended::Failed(error) = &ended
                        && let Some(after) = error.retry_after()
                    {
                        tokio::time::sleep(after).await;
                    }
                }
            }
            self.rest(backoff.next_wait()).await;
        }
    }

    /// Backs off. While a freshness check is pending, the wait is at most `LONGEST_URGENT_WAIT`.
    async fn rest(&self, wait: Duration) {
        let urgent = async {
            self.question().await?;
            tokio::time::sleep(LONGEST_URGENT_WAIT).await;
            Ok::<_, Ended>(())
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Ok(()) = urgent => {}
        }
    }

    async fn once(&self, version: &mut Option<String>) -> Result<std::convert::Infallible, Ended> {
        if version.is_none() && !self.streaming {
            self.list_pages(version).await?;
        }
        self.follow(version).await
    }

    /// Lists all objects page by page, at one resource version.
    async fn list_pages(&self, version: &mut Option<String>) -> Result<(), Ended> {
        self.say(Event::ListBegins).await?;
        let mut next = String::new();
        loop {
            let path = format!("{}?limit={PAGE}{next}", T::PATH);
            let (encoding, body) = self.answer(&path).await?;
            let page = objects::page::<T>(&whole(body).await?, encoding)?;
            for object in page.items {
                self.say(Event::Changed(object)).await?;
            }
            if page.metadata.r#continue.is_empty() {
                *version = Some(page.metadata.resource_version);
                return self.list_ends().await;
            }
            next = format!("&continue={}", encoded(&page.metadata.r#continue));
        }
    }

    /// Follows the changes after `version`. Without a version, starts with a streamed list.
    async fn follow(&self, version: &mut Option<String>) -> Result<std::convert::Infallible, Ended> {
        let seconds = fastrand::u32(SHORTEST_WATCH_SECONDS..2 * SHORTEST_WATCH_SECONDS);
        let mut listing = version.is_none();
        let from = match version {
            Some(version) => format!("resourceVersion={}", encoded(version)),
            // Without a version, the list reflects the current state. With `resourceVersion=0`, as some
            // clients request, it may be of any age. An executor that starts from an old list doesn't see
            // what the previous executor has just done, and does it again.
            None => "sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned(),
        };
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&{from}",
            T::PATH
        );
        let (encoding, body) = self.answer(&path).await?;
        if listing {
            self.say(Event::ListBegins).await?;
        }
        let deadline = Instant::now() + Duration::from_secs(seconds.into()) + OVERTIME;
        let mut frames = frames(body, encoding);
        let mut proof = pin!(self.proof());
        loop {
            let next = tokio::select! {
                // Deliver events that have already arrived before passing the freshness check.
                biased;
                next = tokio::time::timeout_at(deadline, frames.next()) => next,
                proved = &mut proof, if !listing => {
                    self.proof.send_replace(proved?);
                    proof.set(self.proof());
                    continue;
                }
            };
            let Some(frame) = next.map_err(|_| Ended::Overdue)? else {
                return Err(Ended::Closed);
            };
            let frame = frame.map_err(|error| ApiError::Transport(error.into()))?;
            let heard = match objects::event::<T>(frame, encoding) {
                Ok(heard) => heard,
                Err(error) => {
                    // One unreadable object must not keep the others from being seen.
                    self.metrics.watch_error(T::KIND);
                    warn!(kind = T::KIND, %error, "an event can't be read and is left out");
                    continue;
                }
            };
            match heard {
                Heard::Changed(object) => {
                    note(version, &object, listing);
                    self.say(Event::Changed(object)).await?;
                }
                Heard::Gone(object) => {
                    note(version, &object, listing);
                    self.say(Event::Gone(object)).await?;
                }
                Heard::Bookmark {
                    version: seen,
                    ends_list,
                } => {
                    if listing && ends_list {
                        listing = false;
                        self.list_ends().await?;
                    }
                    if !listing {
                        *version = Some(seen);
                    }
                }
                Heard::Error(status) if status.code == 410 => return Err(Ended::Expired(status.message)),
                Heard::Error(status) => return Err(ApiError::of(*status, None).into()),
            }
        }
    }

    /// Waits until a freshness check is pending, and returns its number. Returns at once if one already is.
    async fn question(&self) -> Result<u64, Ended> {
        let proved = *self.proof.borrow();
        let mut questions = self.asked.clone();
        let asked = questions.wait_for(|asked| *asked > proved).await;
        asked.map(|asked| *asked).map_err(|_| Ended::Unwanted)
    }

    /// Waits for a freshness check to be requested, then until this watch passes it. It passes when the
    /// server has answered a request on the same connection; before that, the server sends everything that it
    /// knew.
    async fn proof(&self) -> Result<u64, Ended> {
        let asked = self.question().await?;
        let ask = async {
            // Without a version, the answer reflects the current state.
            let (_, body) = self.answer(&format!("{}?limit=1", T::PATH)).await?;
            whole(body).await.map_err(Ended::from)
        };
        let answer = tokio::time::timeout(PROOF_DEADLINE, ask).await;
        answer.map_err(|_| ApiError::Timeout(PROOF_DEADLINE))??;
        tokio::time::sleep(MOMENT).await;
        Ok(asked)
    }

    async fn list_ends(&self) -> Result<(), Ended> {
        self.metrics.list(T::KIND);
        self.say(Event::ListEnds).await
    }

    async fn say(&self, event: Event<T>) -> Result<(), Ended> {
        let sent = self.changes.send((self.wrap)(event).into()).await;
        sent.map_err(|_| Ended::Unwanted)
    }

    /// Sends a GET request, and returns the response body if the status is a success.
    async fn answer(&self, path: &str) -> Result<(Encoding, Body), Ended> {
        let request = Request::get(path)
            .header(ACCEPT, T::ACCEPT)
            .body(Body::empty())
            .map_err(|error| ApiError::Encode(request::Error::BuildRequest(error)))?;
        let answer = self.client.send(request).await;
        let (head, body) = answer.map_err(ApiError::from)?.into_parts();
        let encoding = Encoding::of(&head.headers);
        if head.status.is_success() {
            return Ok((encoding, body));
        }
        let error = ApiError::from_answer(&head, &whole(body).await.unwrap_or_default());
        Err(match (head.status.as_u16(), path.contains("sendInitialEvents")) {
            (404, _) if self.presence == Presence::Optional => Ended::NotServed,
            (410, _) => Ended::Expired(error.to_string()),
            // The response of a server that doesn't know the parameter, or has the feature switched off.
            (400 | 422, true) => Ended::NotStreamed(error.to_string()),
            _ => error.into(),
        })
    }
}

/// Reads a whole response body.
async fn whole(body: Body) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_DEADLINE, body.collect()).await {
        Ok(body) => body
            .map(Collected::to_bytes)
            .map_err(|error| ApiError::Transport(error.into())),
        Err(_) => Err(ApiError::Timeout(BODY_DEADLINE)),
    }
}

/// Notes how far a watch has come. The objects of a list come in any order, so no version is complete until
/// the list ends.
fn note<T: Watched>(version: &mut Option<String>, object: &T, listing: bool) {
    if !listing {
        *version = Some(object.version().to_owned());
    }
}

/// Encodes a value for a URL's query.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Splits a watch's body into events.
fn frames(body: Body, encoding: Encoding) -> impl Stream<Item = Result<Bytes, FrameError>> + Unpin {
    let chunks = body.into_data_stream().map_err(std::io::Error::other);
    let reader = StreamReader::new(chunks);
    match encoding {
        Encoding::Json => {
            let lines = AnyDelimiterCodec::new_with_max_length(b"\n".into(), Vec::new(), LONGEST_EVENT_BYTES);
            FramedRead::new(reader, lines).map_err(FrameError::from).boxed()
        }
        Encoding::Protobuf => {
            let messages = LengthDelimitedCodec::builder()
                .max_frame_length(LONGEST_EVENT_BYTES)
                .new_codec();
            FramedRead::new(reader, messages)
                .map_ok(BytesMut::freeze)
                .map_err(FrameError::from)
                .boxed()
        }
    }
}

/// Why the body can't be split into further events.
#[derive(Debug, thiserror::Error)]
enum FrameError {
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("an event is too long: {0}")]
    Line(#[from] tokio_util::codec::AnyDelimiterCodecError),
}

#[cfg(test)]
mod tests;
