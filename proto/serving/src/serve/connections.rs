//! The connections of a server. Their number is limited, and the server can cut each of them.

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

use super::{Observer, Refusal, shares::Caller};

/// How long a connection may be open before its first request.
const FIRST_REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// How long a connection may be open without a request after that. A client that comes back later opens
/// another one.
const IDLE_DEADLINE: Duration = Duration::from_mins(15);

/// A connection of a server. It closes when its handle cuts it, or when nobody has used it for too long.
#[derive(Debug)]
pub(super) struct Connection<IO> {
    io: IO,
    address: Option<SocketAddr>,
    is_local: bool,
    handle: Handle,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The connection's slot, once it has one, with the timer that checks whether the connection is still
    /// used.
    admitted: Option<(Slot, Pin<Box<Sleep>>)>,
}

/// What a connection's requests share: its usage, and the means to cut it.
#[derive(Debug, Clone)]
pub(super) struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cut: CancellationToken,
    /// Calls and streams that hold a permit.
    busy: AtomicUsize,
    /// All requests, including those of health and reflection.
    open: AtomicUsize,
    /// Whether the connection has had a request.
    is_used: AtomicBool,
    /// When the last request ended, or when the connection was opened.
    idle_since: Mutex<Instant>,
}

/// A call or stream on the connection that holds a permit. Dropping it notes the end of the call or stream.
#[derive(Debug)]
pub(super) struct Busy(Arc<Shared>);

/// A request on the connection. Dropping it notes the end of the request.
#[derive(Debug)]
pub(super) struct Open(Arc<Shared>);

impl Default for Handle {
    fn default() -> Self {
        Self(Arc::new(Shared {
            cut: CancellationToken::new(),
            busy: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            is_used: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
        }))
    }
}

impl Handle {
    /// Closes the connection and everything on it.
    pub(super) fn cut(&self) {
        self.0.cut.cancel();
    }

    /// Whether the connection has been closed this way.
    pub(super) fn is_cut(&self) -> bool {
        self.0.cut.is_cancelled()
    }

    /// Notes that a call or stream on the connection holds a permit.
    pub(super) fn busy(&self) -> Busy {
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.0.clone())
    }

    /// Notes a request.
    pub(super) fn open(&self) -> Open {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.is_used.store(true, Ordering::Relaxed);
        Open(self.0.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.busy.load(Ordering::Relaxed) > 0
    }

    fn is_used(&self) -> bool {
        self.0.is_used.load(Ordering::Relaxed)
    }

    fn idle_since(&self) -> Instant {
        *self.0.idle_since.lock()
    }

    /// When the connection will have been idle for too long. `None` if it has been already.
    fn idle_deadline(&self) -> Option<Instant> {
        let (now, is_open) = (Instant::now(), self.0.open.load(Ordering::Relaxed) > 0);
        let limit = if self.is_used() {
            IDLE_DEADLINE
        } else {
            FIRST_REQUEST_DEADLINE
        };
        let end = if is_open { now } else { self.idle_since() } + limit;
        (end > now).then_some(end)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.idle_since.lock() = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.idle_since.lock() = Instant::now();
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Slots for connections that are open at the same time.
///
/// When no slot is free, a newcomer takes the slot of an idle connection: first of one that has never had a
/// request, and among those of the one that has been idle for longest. So connections that clients merely
/// hold open keep nobody out. One caller can hold only a part of the slots. Beyond that, its newcomers take
/// the slots of its own connections.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    most_for_one: usize,
    open: Mutex<Registry>,
    observer: Arc<dyn Observer>,
}

#[derive(Debug, Default)]
struct Registry {
    last: u64,
    open: HashMap<u64, Member>,
}

#[derive(Debug)]
struct Member {
    caller: Option<Caller>,
    handle: Handle,
}

/// The slot of a connection. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: u64,
}

impl Slots {
    pub(super) fn new(most: u32, most_for_one: u32, observer: Arc<dyn Observer>) -> Arc<Self> {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Arc::new(Self {
            most: count(most),
            most_for_one: count(most_for_one),
            open: Mutex::default(),
            observer,
        })
    }

    /// Finds a slot for a connection. Returns `None` when all slots that the connection may take belong to
    /// busy ones. The newcomer is then closed, so that its client tries another server or retries later
    /// instead of hanging.
    pub(super) fn admit(self: &Arc<Self>, caller: Option<Caller>, handle: &Handle) -> Option<Slot> {
        let mut registry = self.open.lock();
        let own = |member: &Member| caller.is_some() && member.caller == caller;
        let has_its_share = registry.open.values().filter(|member| own(member)).count() >= self.most_for_one;
        if has_its_share || registry.open.len() >= self.most {
            let candidates = registry
                .open
                .iter()
                .filter(|(_, member)| !has_its_share || own(member));
            let idle = candidates.filter(|(_, member)| !member.handle.is_busy());
            let longest = idle.min_by_key(|(number, member)| {
                (member.handle.is_used(), member.handle.idle_since(), **number)
            });
            let number = longest.map(|(number, _)| *number)?;
            if let Some(member) = registry.open.remove(&number) {
                let limit = if has_its_share {
                    self.most_for_one
                } else {
                    self.most
                };
                tracing::debug!(limit, "idle connection or handshake closed to admit another");
                self.observer.refused(Refusal::Connections);
                member.handle.cut();
            }
        }
        registry.last = registry.last.wrapping_add(1);
        let number = registry.last;
        let handle = handle.clone();
        registry.open.insert(number, Member { caller, handle });
        Some(Slot {
            slots: self.clone(),
            number,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open.lock().open.remove(&self.number);
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
            cut: Box::pin(handle.0.cut.clone().cancelled_owned()),
            handle,
            admitted: None,
        }
    }

    /// Gives the connection a slot. From now on it closes when it is idle for too long.
    pub(super) fn admit(&mut self, slot: Slot) {
        self.admitted = Some((slot, Box::pin(sleep(FIRST_REQUEST_DEADLINE))));
    }

    /// The handle that can close the connection from elsewhere.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The address that the connection comes from, if it is known.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip())
    }

    /// Whether the connection came in on the local port.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// The address that the connection comes from, for messages.
    pub(super) fn address(&self) -> String {
        self.address
            .map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }

    /// Whether the connection has been idle for too long.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> bool {
        let Some((_, timer)) = &mut self.admitted else {
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
        if self.cut.as_mut().poll(context).is_ready() || self.poll_idle(context) {
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
