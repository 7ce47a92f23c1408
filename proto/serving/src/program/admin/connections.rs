//! Tracks the connections of an admin port and their requests. At the connection limit, a new connection evicts an idle
//! one.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{CHECK_INTERVAL, HEAD_TIMEOUT, IDLE_TIMEOUT, MAX_CONNECTIONS, REQUEST_TIMEOUT};

/// All connections of a port.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    next_id: u64,
    by_id: BTreeMap<u64, Arc<Connection>>,
}

impl Connections {
    /// Admits a connection. At the limit, it evicts the connection that has been idle longest. Returns `None` if every
    /// connection has a request in progress.
    pub(super) fn admit(&self) -> Option<Arc<Connection>> {
        let mut registry = self.0.lock();
        if registry.by_id.len() >= MAX_CONNECTIONS {
            let idle = registry.by_id.values().filter_map(|connection| {
                let since = connection.state.lock().idle_since()?;
                Some((since, connection.id))
            });
            let (_, longest) = idle.min()?;
            registry.by_id.remove(&longest)?.eviction.cancel();
        }
        registry.next_id += 1;
        let connection = Arc::new(Connection {
            id: registry.next_id,
            state: Mutex::new(State::new(Instant::now())),
            eviction: CancellationToken::new(),
        });
        registry.by_id.insert(connection.id, connection.clone());
        Some(connection)
    }

    /// Whether no connection is open.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().by_id.is_empty()
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&self, connection: &Connection) {
        self.0.lock().by_id.remove(&connection.id);
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    state: Mutex<State>,
    eviction: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// When each request in progress began, by its number. Watches are not included.
    requests: BTreeMap<u64, Instant>,
    watches: usize,
    next_request: u64,
    /// When the last request ended, or when the connection was opened if no request has ended yet.
    last_request_ended: Instant,
    /// When the first byte after `last_request_ended` arrived.
    first_byte_received: Option<Instant>,
    has_had_request: bool,
    is_http2: bool,
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            requests: BTreeMap::new(),
            watches: 0,
            next_request: 0,
            last_request_ended: now,
            first_byte_received: None,
            has_had_request: false,
            is_http2: false,
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.requests.is_empty() && self.watches == 0;
        is_idle.then_some(self.last_request_ended)
    }

    /// The deadline of the connection in its current state. `None` while the only open requests are watches.
    fn deadline(&self) -> Option<Instant> {
        if let Some((_, oldest)) = self.requests.first_key_value() {
            return Some(*oldest + REQUEST_TIMEOUT);
        }
        let idle_since = self.idle_since()?;
        // After the first request, bytes on an HTTP/2 connection need not belong to a request's head: they may be
        // acknowledgements, window updates or pings.
        let head_began_at = match (self.has_had_request, self.is_http2) {
            (false, _) => Some(idle_since),
            (true, false) => self.first_byte_received,
            (true, true) => None,
        };
        let idle_deadline = idle_since + IDLE_TIMEOUT;
        Some(head_began_at.map_or(idle_deadline, |began| idle_deadline.min(began + HEAD_TIMEOUT)))
    }

    fn end_request(&mut self) {
        self.last_request_ended = Instant::now();
        self.first_byte_received = None;
    }
}

impl Connection {
    /// Registers a request. It is in progress until the returned guard is dropped.
    pub(super) fn begin_request(self: &Arc<Self>, is_http2: bool, is_watch: bool) -> InProgress {
        let mut state = self.state.lock();
        state.has_had_request = true;
        state.is_http2 = is_http2;
        let request = state.next_request;
        state.next_request += 1;
        if is_watch {
            state.watches += 1;
        } else {
            state.requests.insert(request, Instant::now());
        }
        InProgress {
            connection: self.clone(),
            request: (!is_watch).then_some(request),
        }
    }

    /// Waits until another connection evicts this one.
    pub(super) async fn evicted(&self) {
        self.eviction.cancelled().await;
    }

    /// Waits until a deadline has passed.
    pub(super) async fn deadline_exceeded(&self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let deadline = self.state.lock().deadline();
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return;
            }
        }
    }

    fn on_bytes_received(&self) {
        self.state
            .lock()
            .first_byte_received
            .get_or_insert_with(Instant::now);
    }
}

/// A request in progress. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct InProgress {
    connection: Arc<Connection>,
    /// The request's number; `None` for a watch.
    request: Option<u64>,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.connection.state.lock();
        match self.request {
            Some(request) => drop(state.requests.remove(&request)),
            None => state.watches = state.watches.saturating_sub(1),
        }
        state.end_request();
    }
}

/// The IO of a connection. It records when bytes arrive.
#[derive(Debug)]
pub(super) struct TrackedIo<IO> {
    io: IO,
    connection: Arc<Connection>,
}

impl<IO> TrackedIo<IO> {
    pub(super) fn new(io: IO, connection: Arc<Connection>) -> Self {
        Self { io, connection }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for TrackedIo<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.connection.on_bytes_received();
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for TrackedIo<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
