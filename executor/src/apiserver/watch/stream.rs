//! Watches one kind of object forever: lists it, follows the changes, and lists it again when the resource version is
//! too old for the server.
//!
//! kube's own watcher supports only JSON, which costs the API server and this program several times as much per pod.
//! The rules are those of client-go (mirrors Reflector).

mod absence;
mod frames;

use std::{pin::pin, time::Duration};

use everynode_render::ErrorChain;
use everynode_serving::backoff::Backoff;
use futures::StreamExt;
use http::{Request, header::ACCEPT};
use http_body_util::{BodyExt, Collected};
use kube::{Client, client::Body, core::request};
use prost::bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tracing::{info, warn};

use self::frames::frames;
use super::{Change, Event, Presence, ReceivedChange, WatchState};
use crate::{
    apiserver::{
        failure::ApiError,
        objects::{self, Encoding, ObjectDecodeError, WatchEvent, Watched},
    },
    telemetry::metrics::Metrics,
};

/// The shortest and the longest backoff after failures. The shortest is client-go's. client-go's longest is 30 s,
/// because thousands of kubelets use it. There are few executors, and an executor sees no changes of a kind while that
/// kind's watch backs off.
const MIN_BACKOFF: Duration = Duration::from_millis(800);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// The longest backoff while a caller waits for freshness. An executor that has just won the Lease does
/// nothing until the watches are fresh.
const MAX_URGENT_BACKOFF: Duration = Duration::from_secs(1);
/// A watch that has lived this long counts as a success and resets the backoff.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// The shortest watch timeout to request, in seconds. Each watch picks a value between this and twice this,
/// so that not all watches end together (client-go's values).
const MIN_WATCH_SECONDS: u32 = 300;
/// How long a watch may outlive its requested timeout. A watch that lives longer is dead, even if its connection has
/// reported no error.
const TIMEOUT_GRACE: Duration = Duration::from_secs(30);
/// Deadline for reading a response body other than a watch's.
const BODY_DEADLINE: Duration = Duration::from_mins(1);
/// Deadline for the response that shows that a watch's connection is alive.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);
/// Time allowed for an event to reach a watch after it has happened.
const DELIVERY_DELAY: Duration = Duration::from_millis(50);
/// The number of objects per page of a list.
const PAGE_SIZE: u32 = 500;
/// The longest event that is accepted, in bytes. An object is at most 1.5 MiB in etcd, and longer as text.
const MAX_EVENT_BYTES: usize = 32 << 20;

/// Why a watch has ended.
#[derive(Debug, thiserror::Error)]
enum WatchEnd {
    /// The receiver of the changes was dropped.
    #[error("the receiver is closed")]
    ReceiverClosed,
    /// The normal end of a watch: its timeout has passed, or the server wants a new request.
    #[error("the server ended the watch")]
    Closed,
    /// The server no longer has the changes since the requested resource version.
    #[error("the resource version is too old: {0}")]
    Expired(String),
    /// The server doesn't stream lists.
    #[error("the server doesn't stream lists: {0}")]
    StreamingUnsupported(String),
    /// The server didn't end the watch when its timeout had passed.
    #[error("the server didn't end the watch in time")]
    TimedOut,
    /// The server doesn't serve the kind, which is supplementary.
    #[error("the server doesn't serve this kind")]
    NotServed,
    /// The connection failed or broke, or the server returned an error.
    #[error(transparent)]
    Failed(#[from] ApiError),
}

impl From<ObjectDecodeError> for WatchEnd {
    fn from(error: ObjectDecodeError) -> Self {
        Self::Failed(error.into())
    }
}

/// A watch of one kind of object.
pub(super) struct Watch<'a, T> {
    pub(super) client: &'a Client,
    pub(super) presence: Presence,
    pub(super) streaming: bool,
    pub(super) changes: &'a mpsc::Sender<ReceivedChange>,
    pub(super) metrics: &'a Metrics,
    pub(super) wrap: fn(Event<T>) -> Change,
    /// The number of freshness checks requested so far.
    pub(super) checks_requested: watch::Receiver<u64>,
    /// The number of the latest freshness check that this watch has passed.
    pub(super) checks_passed: watch::Sender<u64>,
}

impl<T: Watched> Watch<'_, T> {
    /// Watches until the receiver of the changes is dropped.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::between(MIN_BACKOFF, MAX_BACKOFF);
        // The resource version up to which everything is known. `None` until a list is complete.
        let mut version = None;
        // The backoff while the server doesn't serve the kind. `None` if it does, or if that isn't known.
        let mut absence = None;
        loop {
            let begun = Instant::now();
            let checks_requested = *self.checks_requested.borrow();
            if absence.is_none() {
                self.metrics.watch_begins(T::KIND);
            }
            let ended = match self.list_and_watch(&mut version).await {
                Ok(never) => match never {},
                Err(ended) => self.confirm_absence(ended).await,
            };
            let kind = T::KIND;
            if begun.elapsed() >= HEALTHY_AFTER {
                backoff.reset();
            }
            if !matches!(ended, WatchEnd::NotServed) {
                absence = None;
            }
            match ended {
                WatchEnd::ReceiverClosed => return,
                WatchEnd::NotServed => {
                    version = None;
                    match self.while_not_served(&mut absence, checks_requested).await {
                        Ok(()) => continue,
                        // The receiver of the changes was dropped.
                        Err(_) => return,
                    }
                }
                WatchEnd::Closed if begun.elapsed() >= MIN_BACKOFF => continue,
                WatchEnd::Closed => {}
                WatchEnd::Expired(_) => {
                    info!(kind, "watch expired; listing again");
                    // Only the resource version is too old, so list again at once. But a list that expires
                    // before it is complete may expire again, so back off after that.
                    if version.take().is_some() {
                        continue;
                    }
                }
                WatchEnd::StreamingUnsupported(reason) if self.streaming => {
                    info!(kind, reason, "API server doesn't stream lists; listing in pages");
                    self.streaming = false;
                    continue;
                }
                WatchEnd::StreamingUnsupported(_) | WatchEnd::TimedOut | WatchEnd::Failed(_) => {
                    self.metrics.watch_error(T::KIND);
                    warn!(kind, error = %ErrorChain(&ended), "watch failed; retrying");
                    if self.on_failure(checks_requested).await.is_err() {
                        return;
                    }
                    if let WatchEnd::Failed(error) = &ended
                        && let Some(after) = error.retry_after()
                    {
                        tokio::time::sleep(after).await;
                    }
                }
            }
            self.back_off(backoff.next_wait()).await;
        }
    }

    /// Backs off. While a freshness check is pending, the wait is at most `MAX_URGENT_BACKOFF`.
    async fn back_off(&self, wait: Duration) {
        let urgent = async {
            self.next_check().await?;
            tokio::time::sleep(MAX_URGENT_BACKOFF).await;
            Ok::<_, WatchEnd>(())
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Ok(()) = urgent => {}
        }
    }

    async fn list_and_watch(
        &self,
        version: &mut Option<String>,
    ) -> Result<std::convert::Infallible, WatchEnd> {
        if version.is_none() && !self.streaming {
            self.list_pages(version).await?;
        }
        self.follow(version).await
    }

    /// Lists all objects page by page, at one resource version.
    async fn list_pages(&self, version: &mut Option<String>) -> Result<(), WatchEnd> {
        self.send(Event::ListBegins).await?;
        let mut next = String::new();
        loop {
            let path = format!("{}?limit={PAGE_SIZE}{next}", T::PATH);
            let (encoding, body) = self.get(&path).await?;
            let page = objects::page::<T>(&read_body(body).await?, encoding)?;
            for object in page.items {
                self.send(Event::Changed(object)).await?;
            }
            if page.metadata.r#continue.is_empty() {
                *version = Some(page.metadata.resource_version);
                return self.end_list().await;
            }
            next = format!("&continue={}", encode_query_value(&page.metadata.r#continue));
        }
    }

    /// Follows the changes after `version`. Without a version, starts with a streamed list.
    async fn follow(&self, version: &mut Option<String>) -> Result<std::convert::Infallible, WatchEnd> {
        let seconds = fastrand::u32(MIN_WATCH_SECONDS..2 * MIN_WATCH_SECONDS);
        let mut listing = version.is_none();
        let from = match version {
            Some(version) => format!("resourceVersion={}", encode_query_value(version)),
            // Without a version, the list reflects the current state. With `resourceVersion=0`, which some clients
            // request, it may be arbitrarily old. An executor that starts from an old list doesn't see what the
            // previous executor has just done, and does it again.
            None => "sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned(),
        };
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&{from}",
            T::PATH
        );
        let (encoding, body) = self.get(&path).await?;
        if listing {
            self.send(Event::ListBegins).await?;
        } else {
            self.report_state(WatchState::Following).await?;
        }
        let deadline = Instant::now() + Duration::from_secs(seconds.into()) + TIMEOUT_GRACE;
        let mut frames = frames(body, encoding);
        let mut passed_check = pin!(self.next_passed_check());
        loop {
            let next = tokio::select! {
                // Deliver events that have already arrived before passing the freshness check.
                biased;
                next = tokio::time::timeout_at(deadline, frames.next()) => next,
                passed = &mut passed_check, if !listing => {
                    self.checks_passed.send_replace(passed?);
                    passed_check.set(self.next_passed_check());
                    continue;
                }
            };
            let Some(frame) = next.map_err(|_| WatchEnd::TimedOut)? else {
                return Err(WatchEnd::Closed);
            };
            let frame = frame.map_err(|error| ApiError::Transport(error.into()))?;
            let event = match objects::event::<T>(frame, encoding) {
                Ok(event) => event,
                Err(error) => {
                    // One unreadable object must not block the others.
                    self.metrics.watch_error(T::KIND);
                    warn!(kind = T::KIND, error = %ErrorChain(&error), "unreadable watch event skipped");
                    continue;
                }
            };
            match event {
                WatchEvent::Changed(object) => {
                    record_version(version, &object, listing);
                    self.send(Event::Changed(object)).await?;
                }
                WatchEvent::Gone(object) => {
                    record_version(version, &object, listing);
                    self.send(Event::Gone(object)).await?;
                }
                WatchEvent::Bookmark {
                    version: bookmarked,
                    ends_list,
                } => {
                    if listing && ends_list {
                        listing = false;
                        self.end_list().await?;
                        self.report_state(WatchState::Following).await?;
                    }
                    if !listing {
                        *version = Some(bookmarked);
                    }
                }
                WatchEvent::Error(status) if status.code == 410 => {
                    return Err(WatchEnd::Expired(status.message));
                }
                WatchEvent::Error(status) => return Err(ApiError::of(*status, None).into()),
            }
        }
    }

    /// Waits until a freshness check is pending, and returns its number. Returns at once if one is already pending.
    async fn next_check(&self) -> Result<u64, WatchEnd> {
        let passed = *self.checks_passed.borrow();
        let mut checks_requested = self.checks_requested.clone();
        let check = checks_requested.wait_for(|check| *check > passed).await;
        check.map(|check| *check).map_err(|_| WatchEnd::ReceiverClosed)
    }

    /// Waits until a freshness check is requested and this watch passes it. The watch passes when the server has
    /// answered a request on the same connection: before that response, the server sends all earlier events.
    async fn next_passed_check(&self) -> Result<u64, WatchEnd> {
        let check = self.next_check().await?;
        let request = async {
            // Without a version, the answer reflects the current state.
            let (_, body) = self.get(&format!("{}?limit=1", T::PATH)).await?;
            read_body(body).await.map_err(WatchEnd::from)
        };
        let response = tokio::time::timeout(CHECK_DEADLINE, request).await;
        response.map_err(|_| ApiError::Timeout(CHECK_DEADLINE))??;
        tokio::time::sleep(DELIVERY_DELAY).await;
        Ok(check)
    }

    async fn end_list(&self) -> Result<(), WatchEnd> {
        self.metrics.list(T::KIND);
        self.send(Event::ListEnds).await
    }

    async fn send(&self, event: Event<T>) -> Result<(), WatchEnd> {
        let sent = self.changes.send((self.wrap)(event).into()).await;
        sent.map_err(|_| WatchEnd::ReceiverClosed)
    }

    /// Sends a GET request, and returns the response body if the status is a success.
    async fn get(&self, path: &str) -> Result<(Encoding, Body), WatchEnd> {
        let request = Request::get(path)
            .header(ACCEPT, T::ACCEPT)
            .body(Body::empty())
            .map_err(|error| ApiError::Encode(request::Error::BuildRequest(error)))?;
        let response = self.client.send(request).await;
        let (head, body) = response.map_err(ApiError::from)?.into_parts();
        let encoding = Encoding::of(&head.headers);
        if head.status.is_success() {
            return Ok((encoding, body));
        }
        let error = ApiError::from_response(&head, &read_body(body).await.unwrap_or_default());
        Err(match (head.status.as_u16(), path.contains("sendInitialEvents")) {
            (404, _) if self.presence != Presence::Required => WatchEnd::NotServed,
            (410, _) => WatchEnd::Expired(error.to_string()),
            // A server that doesn't know the parameter, or has the feature disabled, responds like this.
            (400 | 422, true) => WatchEnd::StreamingUnsupported(error.to_string()),
            _ => error.into(),
        })
    }
}

/// Reads a whole response body.
async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_DEADLINE, body.collect()).await {
        Ok(body) => body
            .map(Collected::to_bytes)
            .map_err(|error| ApiError::Transport(error.into())),
        Err(_) => Err(ApiError::Timeout(BODY_DEADLINE)),
    }
}

/// Records the version that the watch has reached. The objects of a list come in any order, so no version is complete
/// until the list ends.
fn record_version<T: Watched>(version: &mut Option<String>, object: &T, listing: bool) {
    if !listing {
        *version = Some(object.version().to_owned());
    }
}

/// Encodes a value for the query of a URL.
fn encode_query_value(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests;
