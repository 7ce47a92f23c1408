//! A TCP relay that counts the bytes that a contender reads from the API server. It doesn't interpret them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// How many bytes are read at once: several TLS records.
const BUFFER: usize = 64 << 10;

/// A running relay. Dropping the value stops the relay.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    received: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Relay {
    /// Listens on a free port and relays every connection to the server.
    ///
    /// # Errors
    /// When no port is free.
    pub(crate) async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listening for the contender")?;
        let address = listener.local_addr().context("a listener has an address")?;
        let received = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, server, received.clone())).abort_handle();
        Ok(Self {
            address,
            received,
            task,
        })
    }

    /// The URL at which the relay serves the API server.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Bytes that have gone from the server to the contender so far, as TCP carries them: encrypted, and compressed if
    /// the two have agreed on that.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, received: Arc<AtomicU64>) {
    // Connections end with this task: dropping the set aborts them.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((contender, _)) = accepted else { continue };
                let received = received.clone();
                connections.spawn(async move {
                    // The contender has to handle a broken connection, as it would without the relay.
                    let _ = relay(contender, server, &received).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(contender: TcpStream, server: SocketAddr, received: &AtomicU64) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    for stream in [&contender, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut from_contender, mut to_contender) = contender.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        tokio::io::copy(&mut from_contender, &mut to_server).await?;
        to_server.shutdown().await
    };
    let down = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = from_server.read(&mut buffer).await?;
            if length == 0 {
                return to_contender.shutdown().await;
            }
            received.fetch_add(length as u64, Ordering::Relaxed);
            to_contender
                .write_all(buffer.get(..length).unwrap_or_default())
                .await?;
        }
    };
    tokio::try_join!(up, down).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_of_the_server_are_relayed_and_counted() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relay = Relay::start(server.local_addr().unwrap()).await.unwrap();
        let mut contender = TcpStream::connect(relay.address).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        contender.write_all(b"ask").await.unwrap();
        let mut request = [0; 3];
        accepted.read_exact(&mut request).await.unwrap();
        accepted.write_all(&vec![7; 100_000]).await.unwrap();
        drop(accepted);
        let mut answer = Vec::new();
        contender.read_to_end(&mut answer).await.unwrap();
        assert_eq!((&request, answer.len()), (b"ask", 100_000));
        assert_eq!(relay.received_bytes(), 100_000);
    }
}
