//! Certificates: how both programs show who they are, and know who the other side is.
//!
//! A program has one certificate, with which it serves and with which it connects, and the authorities that the other
//! side's certificates have to come from. All three are files that are read again while the program runs, as a Secret's
//! volume is renewed under it. New connections are made with what is there then; those that are open go on.
//!
//! - [`Files`], [`Credentials`]: the files, and what they hold at the moment.
//! - `load`: from files to what rustls takes.
//! - [`names`]: whom a certificate names.
//! - [`Connector`]: connections to a server.
//!
//! TLS 1.3 alone is spoken, since every program that may connect here has it. No session is resumed: a resumed one would
//! stand on a certificate that was looked at long ago.

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

/// How often the files are looked at. A renewed certificate is there days before the old one expires; but whoever replaces
/// one by hand waits for it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The three files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The own certificate, with the intermediate ones after it.
    pub certificate: PathBuf,
    /// The key of the own certificate.
    pub key: PathBuf,
    /// The authorities that the other side's certificates have to come from.
    pub authorities: PathBuf,
}

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", .file.display())]
pub struct Error {
    /// Which.
    pub file: PathBuf,
    /// Why not.
    pub reason: String,
}

/// How the files fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Whether what is there now can be used and is valid; otherwise what was there before is used, if there was anything.
    pub is_usable: bool,
    /// Until when the certificate in use is valid, with the chain that it comes with.
    pub not_after: SystemTime,
}

/// Whose certificates a server asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Every client has to have one.
    Required,
    /// Clients say otherwise who they are.
    None,
}

/// What the files hold, or held when they could last be used.
#[derive(Clone)]
pub struct Credentials {
    files: Arc<Files>,
    loaded: Arc<watch::Sender<Arc<Loaded>>>,
}

impl Credentials {
    /// Reads the files. Certificates that aren't valid now are taken with a warning: a program that runs takes up the
    /// renewed ones within seconds, and one that ends at once is started again more and more seldom.
    ///
    /// # Errors
    /// One of them can't be used.
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

    /// Reads the files again, and has new connections made with what they hold. Returns whether that is anything new.
    ///
    /// # Errors
    /// One of them can't be used or isn't valid now; what was there before goes on being used.
    pub fn renew(&self) -> Result<bool, Error> {
        self.renew_at(SystemTime::now())
    }

    /// The same at any time.
    ///
    /// # Errors
    /// As [`Credentials::renew`].
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

    /// Looks at the files again and again, and tells how they fare each time. It never ends.
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

    /// How new connections are accepted now.
    pub fn server(&self, clients: ClientCertificates) -> Arc<ServerConfig> {
        let loaded = self.current();
        match clients {
            ClientCertificates::Required => loaded.asking_server.clone(),
            ClientCertificates::None => loaded.server.clone(),
        }
    }

    /// How new connections are made now.
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

/// Without the key.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}
