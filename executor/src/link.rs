//! The way to planners: an address, and how connections to it are secured. Every new connection looks the address up anew, and
//! uses the certificates of that moment.

use everynode_proto::tls::{Connector, Credentials, NameError};
use tonic::transport::{Channel, Endpoint, Error};

use crate::{failure::Cause, session};

/// The way to planners.
#[derive(Debug, Clone)]
pub struct Link {
    endpoint: Endpoint,
    secure: Option<Connector>,
}

/// The way can't be gone.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address is none.
    #[error("--planner {url:?} can't be used: {}", Cause(.error))]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        error: Error,
    },
    /// The address isn't of the kind that the way of securing connections needs.
    #[error("--planner {url:?} can't be used: {because}it must be like {like}")]
    Scheme {
        /// The address.
        url: String,
        /// What the kind follows from.
        because: &'static str,
        /// An example.
        like: &'static str,
    },
    /// The name is no server's.
    #[error("--planner-server-name can't be used: {0}")]
    Name(#[from] NameError),
}

impl Link {
    /// The way to the planners at a URL, in plain text without credentials. Their certificates have to be for the URL's host
    /// or for `server_name`.
    ///
    /// # Errors
    /// The URL or the name can't be used.
    pub fn new(
        url: &str,
        credentials: Option<Credentials>,
        server_name: Option<&str>,
    ) -> Result<Self, LinkError> {
        let endpoint = session::endpoint(url).map_err(|error| LinkError::Url {
            url: url.to_owned(),
            error,
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

    /// A new connection.
    ///
    /// # Errors
    /// No planner is reached, or the two don't accept each other.
    pub async fn connect(&self) -> Result<Channel, Error> {
        match &self.secure {
            Some(connector) => self.endpoint.connect_with_connector(connector.clone()).await,
            None => self.endpoint.connect().await,
        }
    }

    /// Connections that are made when they are needed.
    pub fn connect_lazy(&self) -> Channel {
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
