//! A question to a web server.

use std::net::SocketAddrV4;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Asks for a path: the status and the body of the answer.
///
/// # Errors
/// When nobody answers.
pub async fn get(address: SocketAddrV4, path: &str) -> Result<(u16, String)> {
    // The answer to HTTP/1.0 ends with the connection, so reading it takes no client library.
    let mut stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connecting to {address}"))?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .with_context(|| format!("asking {address} for {path}"))?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .with_context(|| format!("reading {address}'s {path}"))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an HTTP answer has a head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((
        status.with_context(|| format!("{head:?} has no status"))?,
        body.to_owned(),
    ))
}
