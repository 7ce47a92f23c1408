//! The connections of a server: limits their number, and closes idle ones.

use std::{
    any::Any,
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{Observer, Refusal, fair_semaphore::Caller};

/// How long a connection may be open before its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may be open without a request after that. A client can open a new connection later.
const IDLE_TIMEOUT: Duration = Duration::from_mins(15);

/// A connection of a server. It closes when its handle closes it, or when it has been idle for too long.
#[derive(Debug)]
pub(super) struct Connection<IO> {
    io: IO,
    address: Option<SocketAddr>,
    is_local: bool,
    handle: Handle,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The connection's slot, once it has one, and the timer that checks whether the connection is idle.
    slot: Option<(ConnectionSlot, Pin<Box<Sleep>>)>,
}

/// Handle of a connection, which all its requests share. It tracks the use of the connection and can close it.
#[derive(Debug, Clone)]
pub(super) struct Handle(Arc<State>);

#[derive(Debug)]
struct State {
    close: CancellationToken,
    /// Number of calls that hold a permit.
    admitted_calls: AtomicUsize,
    /// Number of all open calls, including those of health and reflection.
    open_calls: AtomicUsize,
    /// Whether the connection has had a call.
    is_used: AtomicBool,
    /// When the last call ended, or when the connection was opened.
    idle_since: Mutex<Instant>,
}

/// Keeps a connection busy. An admitted call holds it together with its permit.
#[derive(Debug)]
pub(super) struct BusyGuard(Arc<State>);

/// Keeps a connection open. Every call holds it until its answer has been sent.
#[derive(Debug)]
pub(super) struct OpenGuard(Arc<State>);

impl Default for Handle {
    fn default() -> Self {
        Self(Arc::new(State {
            close: CancellationToken::new(),
            admitted_calls: AtomicUsize::new(0),
            open_calls: AtomicUsize::new(0),
            is_used: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
        }))
    }
}

impl Handle {
    /// Closes the connection and everything on it.
    pub(super) fn close(&self) {
        self.0.close.cancel();
    }

    /// Whether a handle has closed the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.0.close.is_cancelled()
    }

    /// Keeps the connection busy until the guard is dropped. A busy connection is never evicted.
    pub(super) fn mark_busy(&self) -> BusyGuard {
        self.0.admitted_calls.fetch_add(1, Ordering::Relaxed);
        BusyGuard(self.0.clone())
    }

    /// Keeps the connection open until the guard is dropped.
    pub(super) fn begin_call(&self) -> OpenGuard {
        self.0.open_calls.fetch_add(1, Ordering::Relaxed);
        self.0.is_used.store(true, Ordering::Relaxed);
        OpenGuard(self.0.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.admitted_calls.load(Ordering::Relaxed) > 0
    }

    fn is_used(&self) -> bool {
        self.0.is_used.load(Ordering::Relaxed)
    }

    fn idle_since(&self) -> Instant {
        *self.0.idle_since.lock()
    }

    /// When the connection will have been idle for too long. `None` if it already has been.
    fn idle_deadline(&self) -> Option<Instant> {
        let (now, is_open) = (Instant::now(), self.0.open_calls.load(Ordering::Relaxed) > 0);
        let limit = if self.is_used() {
            IDLE_TIMEOUT
        } else {
            FIRST_REQUEST_TIMEOUT
        };
        let end = if is_open { now } else { self.idle_since() } + limit;
        (end > now).then_some(end)
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        *self.0.idle_since.lock() = Instant::now();
        self.0.admitted_calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        *self.0.idle_since.lock() = Instant::now();
        self.0.open_calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Limits the number of open connections. Each of them holds a slot.
///
/// When no slot is free, a new connection evicts an idle one: one that has never had a call if there is any,
/// and among those the one that has been idle for longest. So clients that merely hold connections open block
/// nobody. One caller can hold only a part of the slots. At that limit, its new connections evict its own.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    max: usize,
    max_per_caller: usize,
    registry: Mutex<Registry>,
    observer: Arc<dyn Observer>,
}

#[derive(Debug, Default)]
struct Registry {
    last_id: u64,
    connections: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    caller: Option<Caller>,
    handle: Handle,
}

/// The slot of a connection. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    id: u64,
}

impl ConnectionSlots {
    pub(super) fn new(max: u32, max_per_caller: u32, observer: Arc<dyn Observer>) -> Arc<Self> {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Arc::new(Self {
            max: count(max),
            max_per_caller: count(max_per_caller),
            registry: Mutex::default(),
            observer,
        })
    }

    /// Takes a slot for a connection. Returns `None` if busy connections hold all slots that the connection
    /// could take. The acceptor then closes the connection, so that the client tries another server or retries
    /// later instead of hanging.
    pub(super) fn acquire(
        self: &Arc<Self>,
        caller: Option<Caller>,
        handle: &Handle,
    ) -> Option<ConnectionSlot> {
        let mut registry = self.registry.lock();
        let is_own = |entry: &Entry| caller.is_some() && entry.caller == caller;
        let connections = &registry.connections;
        let is_at_caller_limit =
            connections.values().filter(|entry| is_own(entry)).count() >= self.max_per_caller;
        if is_at_caller_limit || connections.len() >= self.max {
            let candidates = connections
                .iter()
                .filter(|(_, entry)| !is_at_caller_limit || is_own(entry));
            let idle = candidates.filter(|(_, entry)| !entry.handle.is_busy());
            let longest =
                idle.min_by_key(|(id, entry)| (entry.handle.is_used(), entry.handle.idle_since(), **id));
            let id = longest.map(|(id, _)| *id)?;
            if let Some(entry) = registry.connections.remove(&id) {
                let limit = if is_at_caller_limit {
                    self.max_per_caller
                } else {
                    self.max
                };
                tracing::debug!(limit, "idle connection or handshake closed to admit another");
                self.observer.on_refused(Refusal::Connections);
                entry.handle.close();
            }
        }
        registry.last_id = registry.last_id.wrapping_add(1);
        let id = registry.last_id;
        let handle = handle.clone();
        registry.connections.insert(id, Entry { caller, handle });
        Some(ConnectionSlot {
            slots: self.clone(),
            id,
        })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.registry.lock().connections.remove(&self.id);
    }
}

impl<IO> Connection<IO> {
    pub(super) fn new(io: IO, is_local: bool) -> Self
    where
        IO: Connected,
    {
        let handle = Handle::default();
        let info = io.connect_info();
        let tcp = (&info as &dyn Any).downcast_ref::<TcpConnectInfo>();
        Self {
            address: tcp.and_then(TcpConnectInfo::remote_addr),
            is_local,
            io,
            closed: Box::pin(handle.0.close.clone().cancelled_owned()),
            handle,
            slot: None,
        }
    }

    /// Gives the connection a slot. From now on it closes when it is idle for too long.
    pub(super) fn set_slot(&mut self, slot: ConnectionSlot) {
        self.slot = Some((slot, Box::pin(sleep(FIRST_REQUEST_TIMEOUT))));
    }

    /// The handle of the connection.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The address that the connection comes from, if it is known.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip())
    }

    /// Whether the connection is to the local port.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// The address that the connection comes from, for log lines.
    pub(super) fn address(&self) -> String {
        self.address
            .map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }

    /// Whether the connection has been idle for too long.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> bool {
        let Some((_, timer)) = &mut self.slot else {
            return false;
        };
        while timer.as_mut().poll(context).is_ready() {
            match self.handle.idle_deadline() {
                Some(deadline) => timer.as_mut().reset(deadline),
                None => return true,
            }
        }
        false
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // An HTTP/2 server always has a read pending, so checking here is enough.
        if self.closed.as_mut().poll(context).is_ready() || self.poll_idle(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
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

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
