//! A TCP proxy that injects faults into its connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

/// How many bytes are read at once.
const CHUNK: usize = 16 << 10;
/// How many chunks may be in flight in one direction. With a delay, this limits a connection's throughput.
const CHUNKS_AHEAD: usize = 64;

/// The faults of current and future connections. By default there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionFaults {
    /// What happens to the bytes that are sent.
    pub traffic: Traffic,
    /// The delay added in each direction.
    pub delay: Duration,
    /// The bandwidth limit in bytes per second, per connection and direction; unlimited if `None`.
    pub bytes_per_second: Option<u32>,
}

/// What happens to the bytes that are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Traffic {
    /// They arrive.
    #[default]
    Normal,
    /// They are held back without any error, so a peer that expects an answer just waits. They arrive when the traffic
    /// is no longer stalled.
    Stalled,
    /// Random bytes arrive instead, as many as were sent.
    Corrupted,
    /// The proxy closes new connections as soon as it has accepted them. Current connections aren't affected.
    Refused,
}

/// A proxy of one address. Dropping it stops it and closes its connections.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    server: watch::Sender<SocketAddr>,
    state: watch::Sender<State>,
    task: AbortHandle,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    faults: ConnectionFaults,
    /// How long bytes may be held back before the connection fails.
    user_timeout: Option<Duration>,
    /// How many times all connections were cut.
    cuts: u64,
    /// How many times all connections were left half open.
    half_opens: u64,
}

impl TcpProxy {
    /// Listens on a free loopback port and relays every connection to the server, with no faults at first.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listening for connections to relay")?;
        let address = listener.local_addr().context("a listener has an address")?;
        let (state, receiver) = watch::channel(State::default());
        let (server, target) = watch::channel(server);
        let task = tokio::spawn(accept(listener, target, receiver)).abort_handle();
        Ok(Self {
            address,
            server,
            state,
            task,
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections to another server.
    pub fn set_server(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Sets the faults of all connections.
    pub fn set_faults(&self, faults: ConnectionFaults) {
        self.state.send_modify(|state| state.faults = faults);
    }

    /// As [`TcpProxy::set_faults`], but changes the traffic and resets everything else to its default.
    pub fn set_traffic(&self, traffic: Traffic) {
        self.set_faults(ConnectionFaults {
            traffic,
            ..ConnectionFaults::default()
        });
    }

    /// Fails connections whose bytes were held back for longer than this, as TCP fails a connection when nothing is
    /// acknowledged within its user timeout. The proxy checks this only when the stall ends.
    pub fn set_user_timeout(&self, user_timeout: Duration) {
        self.state
            .send_modify(|state| state.user_timeout = Some(user_timeout));
    }

    /// Cuts all connections on both sides. New ones can be opened.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Leaves all connections half open: the server sees them end, while the client gets no more answers and no error.
    /// New ones can be opened.
    pub fn leave_half_open(&self) {
        self.state.send_modify(|state| state.half_opens += 1);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: watch::Receiver<SocketAddr>, state: watch::Receiver<State>) {
    // Connections end with this task, because dropping the set aborts them.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let server = *server.borrow();
                if state.borrow().faults.traffic != Traffic::Refused {
                    connections.spawn(connection(client, server, state.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(client: TcpStream, server: SocketAddr, mut state: watch::Receiver<State>) {
    let State { cuts, half_opens, .. } = *state.borrow();
    let relayed = relay(client, server, state.clone(), half_opens);
    let cut = state.wait_for(|state| state.cuts != cuts);
    // Ignores how a connection ends, because both ends handle that as they would without the proxy.
    tokio::select! {
        _ = relayed => {}
        _ = cut => {}
    }
}

async fn relay(
    client: TcpStream,
    server: SocketAddr,
    mut state: watch::Receiver<State>,
    half_opens: u64,
) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let half_open = {
        let (from_server, to_server) = server.into_split();
        let up = relay_one_way(&mut from_client, to_server, state.clone());
        let down = relay_one_way(from_server, &mut to_client, state.clone());
        let half_open = state.wait_for(|state| state.half_opens != half_opens);
        tokio::select! {
            both = async { tokio::try_join!(up, down) } => both.map(|_| false)?,
            changed = half_open => changed.is_ok(),
        }
    };
    if half_open {
        tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

/// Relays the bytes of one direction until it ends.
async fn relay_one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let (sender, mut in_flight) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_AHEAD);
    let sent = state.clone();
    let reading = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await?;
            let chunk = buffer.get(..length).unwrap_or_default().to_vec();
            let due = Instant::now() + sent.borrow().faults.delay;
            if length == 0 || sender.send((due, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        while let Some((due, mut chunk)) = in_flight.recv().await {
            sleep_until(due).await;
            let resumed = state
                .wait_for(|state| state.faults.traffic != Traffic::Stalled)
                .await;
            let Ok(State {
                faults, user_timeout, ..
            }) = resumed.map(|state| *state)
            else {
                return Ok(());
            };
            if user_timeout.is_some_and(|user_timeout| due.elapsed() > user_timeout) {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            if let Some(rate) = faults.bytes_per_second {
                sleep(Duration::from_secs(1) * u32::try_from(chunk.len()).unwrap_or(u32::MAX) / rate.max(1))
                    .await;
            }
            if faults.traffic == Traffic::Corrupted {
                chunk.fill_with(|| fastrand::u8(..));
            }
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}

#[cfg(test)]
mod tests;
