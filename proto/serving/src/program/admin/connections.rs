//! Tracks the connections of an admin port and their requests, and picks the one that gives way when there are too
//! many.

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

use super::{CHECK_INTERVAL, HEAD_DEADLINE, IDLE_DEADLINE, MAX_CONNECTIONS, REQUEST_DEADLINE};

/// All connections of a port.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    by_id: BTreeMap<u64, Arc<Connection>>,
}

impl Connections {
    /// Admits one more connection. At the limit, the connection that has been idle longest gives way. Returns `None`
    /// when every connection has a request in progress.
    pub(super) fn admit(&self) -> Option<Arc<Connection>> {
        let mut open = self.0.lock();
        if open.by_id.len() >= MAX_CONNECTIONS {
            let idle = open.by_id.values().filter_map(|connection| {
                let since = connection.state.lock().idle_since()?;
                Some((since, connection.id))
            });
            let (_, longest) = idle.min()?;
            open.by_id.remove(&longest)?.way.cancel();
        }
        open.next_id += 1;
        let connection = Arc::new(Connection {
            id: open.next_id,
            state: Mutex::new(State::new(Instant::now())),
            way: CancellationToken::new(),
        });
        open.by_id.insert(connection.id, connection.clone());
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

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    state: Mutex<State>,
    /// Cancelled when the connection has to give way.
    way: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// When each request in progress began, by its number. Watches are not included.
    requests: BTreeMap<u64, Instant>,
    watches: usize,
    next_request: u64,
    /// When the last request ended. Before the first request ends, when the connection began.
    quiet_since: Instant,
    /// When the first byte after `quiet_since` arrived.
    heard_at: Option<Instant>,
    has_served: bool,
    is_http2: bool,
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            requests: BTreeMap::new(),
            watches: 0,
            next_request: 0,
            quiet_since: now,
            heard_at: None,
            has_served: false,
            is_http2: false,
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.requests.is_empty() && self.watches == 0;
        is_idle.then_some(self.quiet_since)
    }

    /// When the connection will be closed unless something happens first.
    fn deadline(&self) -> Option<Instant> {
        if let Some((_, oldest)) = self.requests.first_key_value() {
            return Some(*oldest + REQUEST_DEADLINE);
        }
        let idle_since = self.idle_since()?;
        // After the first request, bytes on an HTTP/2 connection needn't be a request's head: they may be
        // acknowledgements, window updates or pings.
        let head_began_at = match (self.has_served, self.is_http2) {
            (false, _) => Some(idle_since),
            (true, false) => self.heard_at,
            (true, true) => None,
        };
        let idle_deadline = idle_since + IDLE_DEADLINE;
        Some(head_began_at.map_or(idle_deadline, |began| idle_deadline.min(began + HEAD_DEADLINE)))
    }

    fn end_request(&mut self) {
        self.quiet_since = Instant::now();
        self.heard_at = None;
    }
}

impl Connection {
    /// Registers a request. It is in progress until the returned guard is dropped.
    pub(super) fn begin_request(self: &Arc<Self>, is_http2: bool, is_watch: bool) -> InProgress {
        let mut state = self.state.lock();
        state.has_served = true;
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

    /// Waits until the connection has to give way to another.
    pub(super) async fn gives_way(&self) {
        self.way.cancelled().await;
    }

    /// Waits until a deadline has passed.
    pub(super) async fn exceeds_a_deadline(&self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let deadline = self.state.lock().deadline();
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return;
            }
        }
    }

    fn hear(&self) {
        self.state.lock().heard_at.get_or_insert_with(Instant::now);
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

/// Wraps a connection's IO, and records when bytes arrive.
#[derive(Debug)]
pub(super) struct Observed<IO> {
    io: IO,
    connection: Arc<Connection>,
}

impl<IO> Observed<IO> {
    pub(super) fn new(io: IO, connection: Arc<Connection>) -> Self {
        Self { io, connection }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Observed<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.connection.hear();
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Observed<IO> {
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
