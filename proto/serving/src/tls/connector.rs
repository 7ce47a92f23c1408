//! TLS connections to a server.

use std::{
    future::poll_fn,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, AlertDescription, ClientConfig, pki_types::ServerName},
};
use tower::Service;

use super::{Credentials, Error, load::client_without_certificate};

/// How long to wait for the server's first bytes. Everynode's servers send at once. If a server waits for its client to
/// send first, the handshake succeeds after this time.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address has no host to connect to.
    #[error("{0} has no valid host name")]
    Host(Uri),
    /// The server can't be reached.
    #[error("connecting to {address} failed")]
    Tcp {
        /// The host and port.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake with {address} failed{}", hint(.source))]
    Handshake {
        /// The host and port.
        address: String,
        /// The cause.
        source: io::Error,
    },
}

/// The most likely reason for an error whose text doesn't explain it.
fn hint(error: &io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => " (the server doesn't seem to use TLS)",
        Some(rustls::Error::AlertReceived(AlertDescription::UnknownCA)) => {
            " (the server doesn't trust the authority of this program's certificate)"
        }
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateExpired)) => {
            " (this program's certificate has expired)"
        }
        Some(rustls::Error::AlertReceived(_)) => " (the server doesn't accept this program's certificate)",
        _ => "",
    }
}

/// Performs the TLS handshake. In TLS 1.3, the client finishes before the server has verified the client's certificate.
/// So this function also waits for the server's first bytes. Otherwise, a connection whose certificate the server
/// refuses would succeed and then close without a reason.
///
/// # Errors
/// The handshake fails, for example because the client or the server refuses the other's certificate.
pub async fn handshake<IO>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    io: IO,
) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = TlsConnector::from(config).connect(name, io).await?;
    let first_bytes = poll_fn(|context| Pin::new(&mut stream).poll_fill_buf(context).map_ok(<[u8]>::len));
    match timeout(FIRST_BYTES_TIMEOUT, first_bytes).await {
        Ok(Ok(0)) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server closed the connection at once",
        )),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(stream),
    }
}

#[derive(Debug, Clone)]
enum ClientIdentity {
    Certificate(Credentials),
    Anonymous(Arc<ClientConfig>),
}

/// Connects to servers. A new connection uses the current contents of the certificate files.
#[derive(Debug, Clone)]
pub struct Connector {
    identity: ClientIdentity,
    /// The name that the server's certificate must have, if it isn't the host's.
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    /// Creates a connector with these credentials. A server's certificate must be for the host in its address, or for
    /// `server_name` if that is set.
    ///
    /// # Errors
    /// `server_name` isn't a valid server name.
    pub fn new(credentials: Credentials, server_name: Option<&str>) -> Result<Self, NameError> {
        let server_name = server_name
            .map(|name| ServerName::try_from(name.to_owned()).map_err(|_| NameError(name.to_owned())))
            .transpose()?;
        Ok(Self {
            identity: ClientIdentity::Certificate(credentials),
            server_name,
        })
    }

    /// Creates a connector without a client certificate. A server's certificate must come from the authorities in the
    /// file.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn without_certificate(authorities: &Path) -> Result<Self, Error> {
        Ok(Self {
            identity: ClientIdentity::Anonymous(client_without_certificate(authorities)?),
            server_name: None,
        })
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TlsStream<TcpStream>>, ConnectError> {
        let Some(host) = uri.host() else {
            return Err(ConnectError::Host(uri));
        };
        // In a URI, an IPv6 address is in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(name) = self
            .server_name
            .map_or_else(|| ServerName::try_from(host.to_owned()), Ok)
        else {
            return Err(ConnectError::Host(uri));
        };
        let port = uri.port_u16().unwrap_or(443);
        let address = || format!("{host}:{port}");
        let tcp = async {
            let tcp = TcpStream::connect((host, port)).await?;
            // Messages are small, and the peer waits for each one.
            tcp.set_nodelay(true)?;
            Ok(tcp)
        };
        let tcp = tcp.await.map_err(|source| ConnectError::Tcp {
            address: address(),
            source,
        })?;
        let config = match &self.identity {
            ClientIdentity::Certificate(credentials) => credentials.client(),
            ClientIdentity::Anonymous(config) => config.clone(),
        };
        let tls = handshake(config, name, tcp);
        let tls = tls.await.map_err(|source| ConnectError::Handshake {
            address: address(),
            source,
        })?;
        Ok(TokioIo::new(tls))
    }
}

/// The given text isn't a valid server name.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} isn't a valid server name")]
pub struct NameError(String);

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
