//! TLS certificates, with which both programs authenticate themselves and their peers.
//!
//! A program has one certificate, for serving and for connecting, and a set of authorities that must have issued the
//! peers' certificates. Certificate, key and authorities are files. The program reads them again while it runs, because
//! a Secret's volume is updated in place. New connections use the current files; open connections continue.
//!
//! - [`Files`], [`Credentials`]: the files, and their current contents.
//! - `load`: builds rustls' configurations from the files.
//! - [`names`]: the names in a certificate.
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
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use self::load::Loaded;
pub use self::{
    connector::{ConnectError, Connector, NameError, handshake},
    names::names,
    validity::not_after,
};

/// How often the files are read again. A renewed certificate is in place days before the old one expires, but an
/// operator who replaces one by hand waits for it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

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

/// The state of the certificate files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Whether the current files can be used and are valid. If not, the previous contents stay in use, if there were
    /// any.
    pub is_usable: bool,
    /// When the certificate in use or another certificate of its chain expires, whichever is first.
    pub not_after: SystemTime,
}

/// Whether a server asks its clients for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Every client must have a certificate.
    Required,
    /// Clients authenticate in another way.
    None,
}

/// The contents of the files when they could last be used.
#[derive(Clone)]
pub struct Credentials {
    files: Arc<Files>,
    loaded: Arc<watch::Sender<Arc<Loaded>>>,
}

impl Credentials {
    /// Reads the files. Certificates that aren't valid now are accepted with a warning: a running program picks up the
    /// renewed ones within seconds, while a program that exits is restarted with ever longer back-off.
    ///
    /// # Errors
    /// A file can't be used.
    pub fn load(files: Files) -> Result<Self, Error> {
        let loaded = Loaded::new(load::read(&files)?, &files)?;
        if let Err(error) = loaded.check(&files, SystemTime::now()) {
            tracing::warn!(%error, "the certificates aren't valid; waiting for others");
        }
        Ok(Self {
            files: Arc::new(files),
            loaded: Arc::new(watch::Sender::new(Arc::new(loaded))),
        })
    }

    /// Reads the files again, and uses their contents for new connections. Returns whether the contents have changed.
    ///
    /// # Errors
    /// A file can't be used or isn't valid now. The previous contents stay in use.
    pub fn renew(&self) -> Result<bool, Error> {
        self.renew_at(SystemTime::now())
    }

    /// Like [`Credentials::renew`], but checks validity at the given time.
    ///
    /// # Errors
    /// Those of [`Credentials::renew`].
    pub fn renew_at(&self, now: SystemTime) -> Result<bool, Error> {
        let contents = load::read(&self.files)?;
        if self.current().contents == contents {
            return Ok(false);
        }
        let loaded = Loaded::new(contents, &self.files)?;
        loaded.check(&self.files, now)?;
        self.loaded.send_replace(Arc::new(loaded));
        Ok(true)
    }

    /// Reads the files again periodically, and reports their state each time. Never returns.
    pub async fn keep_fresh(self, observe: impl Fn(Condition)) -> Infallible {
        let mut said = None;
        observe(self.condition(true));
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let this = self.clone();
            let Ok(renewed) = tokio::task::spawn_blocking(move || this.renew()).await else {
                continue;
            };
            let error = match renewed {
                Ok(false) => None,
                Ok(true) => {
                    tracing::info!(
                        certificate = %self.files.certificate.display(),
                        "the certificates have been renewed; new connections use them"
                    );
                    None
                }
                Err(error) => Some(error),
            };
            observe(self.condition(error.is_none()));
            if let Some(error) = error.as_ref().filter(|error| said.as_ref() != Some(*error)) {
                tracing::warn!(%error, "the renewed certificates can't be used; the previous ones stay in use");
            }
            said = error;
        }
    }

    /// The current configuration for accepting connections.
    pub fn server(&self, clients: ClientCertificates) -> Arc<ServerConfig> {
        let loaded = self.current();
        match clients {
            ClientCertificates::Required => loaded.asking_server.clone(),
            ClientCertificates::None => loaded.server.clone(),
        }
    }

    /// The current configuration for making connections.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.current().client.clone()
    }

    fn current(&self) -> Arc<Loaded> {
        self.loaded.borrow().clone()
    }

    fn condition(&self, is_usable: bool) -> Condition {
        let current = self.current();
        let is_valid = current.check(&self.files, SystemTime::now()).is_ok();
        Condition {
            is_usable: is_usable && is_valid,
            not_after: current.not_after(),
        }
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
