//! TLS certificates of the programs and of their peers.
//!
//! A program has one certificate, for serving and for connecting, and a set of authorities that must have issued the
//! peers' certificates. Certificate, key and authorities are files. The program reloads them while it runs, because a
//! Secret's volume is updated in place. New connections use the current files; open connections continue.
//!
//! - [`Files`], [`Credentials`]: the files, and their current contents.
//! - `load`: builds rustls' configurations from the files.
//! - [`names`], [`not_after`]: the names and the expiry of a certificate.
//! - [`Connector`]: connections to a server.
//!
//! Only TLS 1.3 is supported, since every program that may connect here supports it. Sessions are never resumed: a
//! resumed session would rely on a certificate that was verified long ago.

mod connector;
mod load;
mod names;
mod validity;

use std::{
    convert::Infallible,
    fmt, future,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use self::load::LoadedCertificates;
pub use self::{
    connector::{ConnectError, Connector, NameError, handshake},
    names::names,
    validity::not_after,
};

/// How often the files are reloaded. Automatic renewal happens days before expiry, but an operator who replaces a
/// certificate by hand waits for the effect.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);

/// The three certificate files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The program's own certificate, followed by the intermediate certificates.
    pub certificate: PathBuf,
    /// The key of the program's own certificate.
    pub key: PathBuf,
    /// The authorities that must have issued the peers' certificates.
    pub authorities: PathBuf,
}

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", .file.display())]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// Why it can't be used.
    pub reason: String,
}

/// The status of the certificate files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateStatus {
    /// Whether the current files are usable and valid. If not, the contents that were loaded last stay in use.
    pub is_usable: bool,
    /// The earliest expiry among the certificates of the chain in use.
    pub not_after: SystemTime,
}

/// Whether a server requires client certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Every client must have a certificate.
    Required,
    /// Clients authenticate in another way.
    None,
}

/// The certificate files, and the contents that were loaded last.
#[derive(Clone)]
pub struct Credentials {
    files: Arc<Files>,
    loaded: Arc<watch::Sender<Arc<LoadedCertificates>>>,
}

impl Credentials {
    /// Loads the files. Certificates that aren't valid now are accepted with a warning: a running program uses renewed
    /// ones within seconds, whereas a program that exits is restarted with increasing back-off.
    ///
    /// # Errors
    /// A file can't be used.
    pub fn load(files: Files) -> Result<Self, Error> {
        let loaded = LoadedCertificates::new(load::read_files(&files)?, &files)?;
        if let Err(error) = loaded.check(&files, SystemTime::now()) {
            tracing::warn!(%error, "certificates aren't valid now; waiting for valid ones");
        }
        Ok(Self {
            files: Arc::new(files),
            loaded: Arc::new(watch::Sender::new(Arc::new(loaded))),
        })
    }

    /// Reloads the files for new connections. Returns whether their contents have changed.
    ///
    /// # Errors
    /// A file can't be used or isn't valid now. The previous contents stay in use.
    pub fn reload(&self) -> Result<bool, Error> {
        self.reload_at(SystemTime::now())
    }

    /// Like [`Credentials::reload`], but checks validity at the given time.
    ///
    /// # Errors
    /// Those of [`Credentials::reload`].
    pub fn reload_at(&self, now: SystemTime) -> Result<bool, Error> {
        let contents = load::read_files(&self.files)?;
        if self.current().contents == contents {
            return Ok(false);
        }
        let loaded = LoadedCertificates::new(contents, &self.files)?;
        loaded.check(&self.files, now)?;
        self.loaded.send_replace(Arc::new(loaded));
        Ok(true)
    }

    /// Reloads the files periodically, and reports their status each time. Never returns.
    pub async fn reload_periodically(self, report: impl Fn(CertificateStatus)) -> Infallible {
        let mut last_error = None;
        report(self.status(true));
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let this = self.clone();
            let Ok(reloaded) = tokio::task::spawn_blocking(move || this.reload()).await else {
                continue;
            };
            let error = match reloaded {
                Ok(false) => None,
                Ok(true) => {
                    tracing::info!(
                        certificate = %self.files.certificate.display(),
                        "certificates reloaded; new connections use them"
                    );
                    None
                }
                Err(error) => Some(error),
            };
            report(self.status(error.is_none()));
            if let Some(error) = error.as_ref().filter(|error| last_error.as_ref() != Some(*error)) {
                tracing::warn!(%error, "certificate files can't be used; keeping the previous certificates");
            }
            last_error = error;
        }
    }

    /// The current configuration for accepting connections.
    pub fn server(&self, clients: ClientCertificates) -> Arc<ServerConfig> {
        let loaded = self.current();
        match clients {
            ClientCertificates::Required => loaded.mutual_tls_server.clone(),
            ClientCertificates::None => loaded.server.clone(),
        }
    }

    /// The current configuration for making connections.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.current().client.clone()
    }

    fn current(&self) -> Arc<LoadedCertificates> {
        self.loaded.borrow().clone()
    }

    fn status(&self, is_usable: bool) -> CertificateStatus {
        let current = self.current();
        let is_valid = current.check(&self.files, SystemTime::now()).is_ok();
        CertificateStatus {
            is_usable: is_usable && is_valid,
            not_after: current.not_after(),
        }
    }
}

/// Reloads the files of the credentials periodically, if there are any, and reports their status each time. Never
/// returns.
pub async fn reload_certificates(
    credentials: Option<Credentials>,
    report: impl Fn(CertificateStatus),
) -> Infallible {
    match credentials {
        Some(credentials) => credentials.reload_periodically(report).await,
        None => future::pending().await,
    }
}

/// Omits the key.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}
