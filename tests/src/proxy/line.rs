//! A TCP relay whose connections can be made as bad as real ones get.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

/// How much is read at once.
const CHUNK: usize = 16 << 10;
/// How many chunks are on their way in one direction. With a delay, this bounds what a connection can carry.
const CHUNKS_AHEAD: usize = 64;

/// How connections behave, those that there are and those to come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// What becomes of what is sent.
    pub traffic: Traffic,
    /// How much later everything arrives, in each direction.
    pub delay: Duration,
    /// How many bytes a connection carries in a second, in each direction; as many as it can when not given.
    pub bytes_per_second: Option<u32>,
}

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Traffic {
    /// It arrives.
    #[default]
    Flows,
    /// It waits, and so does whoever expects an answer: nobody is told that anything is wrong. It arrives when the weather
    /// changes.
    Silent,
    /// Something else arrives: as many bytes, but random ones.
    Noise,
    /// Whoever connects is turned away. Connections that there are aren't touched.
    Refused,
}

/// A relay to one address. It and its connections end when this value is dropped.
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
    /// How long anything may be underway.
    patience: Option<Duration>,
    /// How often everything was cut.
    cuts: u64,
    /// How often everything was stranded.
    strandings: u64,
}

impl Line {
    /// Listens on a free port of loopback and relays every connection to the server, in fair weather.
    ///
    /// # Errors
    /// When there is no free port.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has new connections go to another server.
    pub fn aim(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Changes how all connections behave.
    pub fn set(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }

    /// The same, where it is about traffic only.
    pub fn set_traffic(&self, traffic: Traffic) {
        self.set(Weather {
            traffic,
            ..Weather::default()
        });
    }

    /// Has connections end on which something was held up for longer than this, as TCP does when nothing is acknowledged for the
    /// time that its user has set.
    pub fn give_up_after(&self, patience: Duration) {
        self.state.send_modify(|state| state.patience = Some(patience));
    }

    /// Cuts all connections, on both sides. New ones can be made.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Leaves all connections half open: the server sees them end, and the client gets no answer any more and isn't told. New
    /// ones can be made.
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
    // Connections end with this task: the set aborts what it holds.
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
    // How a connection ends is for those to deal with who made it, as it would be without the relay.
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

/// Carries one direction's bytes to its end.
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
