//! A TCP relay whose connections can be made as bad as real ones get.

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

/// How connections behave. It applies to current and future connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
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
    Flows,
    /// They are held back without any error, so a peer that expects an answer just waits. They arrive when the weather
    /// changes.
    Silent,
    /// Random bytes arrive instead, as many as were sent.
    Noise,
    /// New connections are refused. Current connections aren't affected.
    Refused,
}

/// A relay to one address. Dropping it stops it and closes its connections.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    server: watch::Sender<SocketAddr>,
    state: watch::Sender<State>,
    accepting: AbortHandle,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    weather: Weather,
    /// How long bytes may be held up before the connection fails.
    patience: Option<Duration>,
    /// How many times all connections were cut.
    cuts: u64,
    /// How many times all connections were left half open.
    strandings: u64,
}

impl Line {
    /// Listens on a free loopback port and relays every connection to the server, with no faults at first.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listening for connections to relay")?;
        let address = listener.local_addr().context("a listener has an address")?;
        let (state, seen) = watch::channel(State::default());
        let (server, aim) = watch::channel(server);
        let accepting = tokio::spawn(accept(listener, aim, seen)).abort_handle();
        Ok(Self {
            address,
            server,
            state,
            accepting,
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections to another server.
    pub fn aim(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Changes how all connections behave.
    pub fn set(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }

    /// As [`Line::set`], but changes the traffic and resets everything else to its default.
    pub fn set_traffic(&self, traffic: Traffic) {
        self.set(Weather {
            traffic,
            ..Weather::default()
        });
    }

    /// Fails connections on which bytes were held up for longer than this, as TCP does when nothing is acknowledged
    /// within its user timeout.
    pub fn give_up_after(&self, patience: Duration) {
        self.state.send_modify(|state| state.patience = Some(patience));
    }

    /// Cuts all connections on both sides. New ones can be opened.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Leaves all connections half open: the server sees them end, while the client gets no more answers and no error.
    /// New ones can be opened.
    pub fn strand(&self) {
        self.state.send_modify(|state| state.strandings += 1);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
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
                if state.borrow().weather.traffic != Traffic::Refused {
                    connections.spawn(connection(client, server, state.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(client: TcpStream, server: SocketAddr, mut state: watch::Receiver<State>) {
    let State { cuts, strandings, .. } = *state.borrow();
    let relayed = relay(client, server, state.clone(), strandings);
    let cut = state.wait_for(|state| state.cuts != cuts);
    // Ignores how a connection ends: its two ends have to deal with that, as they would without the relay.
    tokio::select! {
        _ = relayed => {}
        _ = cut => {}
    }
}

async fn relay(
    client: TcpStream,
    server: SocketAddr,
    mut state: watch::Receiver<State>,
    strandings: u64,
) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let stranded = {
        let (from_server, to_server) = server.into_split();
        let up = carry(&mut from_client, to_server, state.clone());
        let down = carry(from_server, &mut to_client, state.clone());
        let stranded = state.wait_for(|state| state.strandings != strandings);
        tokio::select! {
            both = async { tokio::try_join!(up, down) } => both.map(|_| false)?,
            changed = stranded => changed.is_ok(),
        }
    };
    if stranded {
        tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

/// Carries one direction's bytes until it ends.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let (sender, mut underway) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_AHEAD);
    let sent = state.clone();
    let reading = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await?;
            let chunk = buffer.get(..length).unwrap_or_default().to_vec();
            let due = Instant::now() + sent.borrow().weather.delay;
            if length == 0 || sender.send((due, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        while let Some((due, mut chunk)) = underway.recv().await {
            sleep_until(due).await;
            let open = state
                .wait_for(|state| state.weather.traffic != Traffic::Silent)
                .await;
            let Ok(State {
                weather, patience, ..
            }) = open.map(|state| *state)
            else {
                return Ok(());
            };
            if patience.is_some_and(|patience| due.elapsed() > patience) {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            if let Some(rate) = weather.bytes_per_second {
                sleep(Duration::from_secs(1) * u32::try_from(chunk.len()).unwrap_or(u32::MAX) / rate.max(1))
                    .await;
            }
            if weather.traffic == Traffic::Noise {
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
