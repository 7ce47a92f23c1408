//! Connections to planners: an address, and how connections to it are secured. Every new connection resolves the
//! address again, and uses the certificates of that moment.

use everynode_serving::tls::{Connector, Credentials, NameError};
use tonic::transport::{Channel, Endpoint, Error};

use crate::planner::session;

/// How to connect to planners.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    endpoint: Endpoint,
    secure: Option<Connector>,
}

/// Why the flags for connections to planners can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The address isn't valid.
    #[error("--planner {url:?} can't be used")]
    Url {
        /// The URL in the flag.
        url: String,
        /// What is wrong with it.
        source: Error,
    },
    /// The address's scheme doesn't match how connections are secured.
    #[error("--planner {url:?} can't be used: {because}it must be like {like}")]
    Scheme {
        /// The address.
        url: String,
        /// The flag that requires the scheme.
        because: &'static str,
        /// An example of a valid address.
        like: &'static str,
    },
    /// The name isn't a valid server name.
    #[error("--planner-server-name can't be used")]
    Name(#[from] NameError),
}

impl Link {
    /// Sets up connections to the planners at a URL. Without credentials, connections are in plain text. The planners'
    /// certificates must be valid for `server_name`, by default the URL's host.
    ///
    /// # Errors
    /// The URL or the name can't be used.
    pub(crate) fn new(
        url: &str,
        credentials: Option<Credentials>,
        server_name: Option<&str>,
    ) -> Result<Self, LinkError> {
        let endpoint = session::endpoint(url).map_err(|source| LinkError::Url {
            url: url.to_owned(),
            source,
        })?;
        let (scheme, because, like) = match credentials {
            Some(_) => ("https", "with --tls-cert ", "https://HOST:PORT"),
            None => ("http", "with --plaintext ", "http://HOST:PORT"),
        };
        let uri = endpoint.uri();
        if uri.scheme_str() != Some(scheme) || uri.host().is_none() {
            let url = url.to_owned();
            return Err(LinkError::Scheme { url, because, like });
        }
        let secure = credentials
            .map(|credentials| Connector::new(credentials, server_name))
            .transpose()?;
        Ok(Self { endpoint, secure })
    }

    /// Opens a new connection.
    ///
    /// # Errors
    /// No planner can be reached, or planner and executor don't accept each other.
    pub(crate) async fn connect(&self) -> Result<Channel, Error> {
        match &self.secure {
            Some(connector) => self.endpoint.connect_with_connector(connector.clone()).await,
            None => self.endpoint.connect().await,
        }
    }

    /// A channel that connects when it is needed.
    pub(crate) fn connect_lazy(&self) -> Channel {
        match &self.secure {
            Some(connector) => self.endpoint.connect_with_connector_lazy(connector.clone()),
            None => self.endpoint.connect_lazy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_http_only() {
        assert!(Link::new("http://planner:1", None, None).is_ok());
        for url in ["https://planner:1", "ftp://planner", "planner:1", "http://"] {
            let error = Link::new(url, None, None).unwrap_err().to_string();
            assert!(error.contains(&format!("--planner {url:?}")), "{error}");
        }
    }
}
