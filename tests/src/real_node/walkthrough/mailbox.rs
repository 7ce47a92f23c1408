//! A web server outside the node that pods send messages to.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::real_node::machine::HOST;

/// The most bytes that are read of a message. Pods send less.
const LIMIT: usize = 4096;

/// A mailbox. It stays open until it is dropped.
#[derive(Debug)]
pub(super) struct Mailbox {
    address: SocketAddr,
    messages: mpsc::UnboundedReceiver<String>,
    _server: JoinSet<()>,
}

impl Mailbox {
    pub(super) async fn open() -> Result<Self> {
        let listener = TcpListener::bind((HOST, 0))
            .await
            .context("listening for messages from pods")?;
        let address = listener
            .local_addr()
            .context("getting the address of the mailbox")?;
        let (sender, messages) = mpsc::unbounded_channel();
        let mut server = JoinSet::new();
        server.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A message that breaks off in the middle counts as not sent.
                if let Ok(message) = message(stream).await {
                    let _ = sender.send(message);
                }
            }
        });
        Ok(Self {
            address,
            messages,
            _server: server,
        })
    }

    /// The URL that pods send to.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Waits for a message that contains this text.
    pub(super) async fn receive(&mut self, text: &str, deadline: Duration) -> Result<String> {
        let receive = async {
            loop {
                let message = self.messages.recv().await.context("the mailbox is closed")?;
                if message.contains(text) {
                    return Ok(message);
                }
            }
        };
        timeout(deadline, receive)
            .await
            .with_context(|| format!("no pod sent {text:?} within {} s", deadline.as_secs()))?
    }
}

/// Reads a message and returns its body, which is one line.
async fn message(mut stream: TcpStream) -> Result<String> {
    let mut read = Vec::new();
    let body = loop {
        let mut part = [0; 512];
        let count = stream.read(&mut part).await?;
        read.extend(part.iter().take(count));
        let text = String::from_utf8_lossy(&read);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        match body {
            Some(body) if body.ends_with('\n') => break body,
            _ => anyhow::ensure!(count > 0 && read.len() < LIMIT, "it has no end"),
        }
    };
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        .await?;
    Ok(body)
}
