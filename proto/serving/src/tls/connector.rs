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

/// How long to wait for the server's first bytes. Our servers send at once. If a server waits for its client to send
/// first, the connection is used after this time.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address has no host to connect to.
    #[error("{0} names no host")]
    Host(Uri),
    /// The server can't be reached.
    #[error("{address} can't be reached: {error}")]
    Unreachable {
        /// The host and port.
        address: String,
        /// The system's error.
        error: io::Error,
    },
    /// The TLS handshake failed.
    #[error("no secure connection to {address}: {error}{}", hint(.error))]
    Handshake {
        /// The host and port.
        address: String,
        /// The cause.
        error: io::Error,
    },
}

/// The most likely cause of an error that says little.
fn hint(error: &io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => " (it doesn't seem to speak TLS)",
        Some(rustls::Error::AlertReceived(AlertDescription::UnknownCA)) => {
            " (this program's certificate is of no authority that is trusted there)"
        }
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateExpired)) => {
            " (this program's certificate has expired)"
        }
        Some(rustls::Error::AlertReceived(_)) => " (it has refused this program's certificate)",
        _ => "",
    }
}

/// Performs the TLS handshake. In TLS 1.3 the client is done before the server has verified the client's certificate,
/// so this waits for the server's first bytes. Otherwise the user of the connection would see it closed without the
/// reason.
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
    let first_word = poll_fn(|context| Pin::new(&mut stream).poll_fill_buf(context).map_ok(<[u8]>::len));
    match timeout(FIRST_WORD, first_word).await {
        Ok(Ok(0)) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it closes the connection at once",
        )),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(stream),
    }
}

/// The client's own identity.
#[derive(Debug, Clone)]
enum Own {
    Certified(Credentials),
    Nobody(Arc<ClientConfig>),
}

/// Connects to servers. Each connection uses the credentials that are current at that time.
#[derive(Debug, Clone)]
pub struct Connector {
    own: Own,
    /// The name that the server's certificate must have, if it isn't the host's.
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    /// Connects with these credentials to servers. Their certificates must be for the host in the address, or for
    /// `server_name` if it is set.
    ///
    /// # Errors
    /// `server_name` isn't a valid server name.
    pub fn new(credentials: Credentials, server_name: Option<&str>) -> Result<Self, NameError> {
        let server_name = server_name
            .map(|name| ServerName::try_from(name.to_owned()).map_err(|_| NameError(name.to_owned())))
            .transpose()?;
        Ok(Self {
            own: Own::Certified(credentials),
            server_name,
        })
    }

    /// Connects without a client certificate to servers whose certificates come from the authorities in the file.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn without_certificate(authorities: &Path) -> Result<Self, Error> {
        Ok(Self {
            own: Own::Nobody(client_without_certificate(authorities)?),
            server_name: None,
        })
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TlsStream<TcpStream>>, ConnectError> {
        let Some(host) = uri.host() else {
            return Err(ConnectError::Host(uri));
        };
        // A URI has an IPv6 address in brackets.
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
        let tcp = tcp.await.map_err(|error| ConnectError::Unreachable {
            address: address(),
            error,
        })?;
        let config = match &self.own {
            Own::Certified(credentials) => credentials.client(),
            Own::Nobody(config) => config.clone(),
        };
        let tls = handshake(config, name, tcp);
        let tls = tls.await.map_err(|error| ConnectError::Handshake {
            address: address(),
            error,
        })?;
        Ok(TokioIo::new(tls))
    }
}

/// The given text isn't a valid server name.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} isn't a server's name")]
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
