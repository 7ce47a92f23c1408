//! A minimal HTTP GET client.

use std::net::SocketAddrV4;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Requests a path and returns the response's status and body.
///
/// # Errors
/// When the server doesn't answer, or its response isn't HTTP.
pub async fn get(address: SocketAddrV4, path: &str) -> Result<(u16, String)> {
    // With HTTP/1.0 the response ends when the connection closes, so reading it needs no client library.
    let mut stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connecting to {address}"))?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .with_context(|| format!("requesting {path} from {address}"))?;
    let mut response = String::new();
    stream
        .read_to_string(&mut response)
        .await
        .with_context(|| format!("reading {path} from {address}"))?;
    let (head, body) = response
        .split_once("\r\n\r\n")
        .context("the response has no HTTP head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((
        status.with_context(|| format!("{head:?} has no status"))?,
        body.to_owned(),
    ))
}
