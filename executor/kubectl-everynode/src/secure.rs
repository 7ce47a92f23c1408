//! Security of the connection to the executor at `--server`: plain text, or TLS with a certificate or a token.

use everynode_serving::tls::{self, Credentials, Files};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use super::{args::Cluster, error::Error};

/// The security that the flags ask for.
#[derive(Debug)]
pub(super) struct Security {
    /// Makes TLS connections. Without it, connections are plain text.
    pub(super) connector: Option<tls::Connector>,
    /// The token to send.
    pub(super) bearer: Bearer,
}

/// Adds the token to each request, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Security {
    /// Reads the security from the flags.
    ///
    /// # Errors
    /// The flags contradict each other, or a file can't be used.
    pub(super) fn of(cluster: &Cluster) -> Result<Self, Error> {
        let Cluster {
            tls_ca,
            tls_cert,
            tls_key,
            token,
            ..
        } = cluster;
        let usage = |words: &str| Error::Usage(words.to_owned());
        let unusable = |error: tls::Error| Error::Usage(error.to_string());
        let connector = match (tls_ca, tls_cert, tls_key) {
            (None, None, None) if token.is_none() => None,
            (None, ..) => return Err(usage("--tls-cert, --tls-key and --token need --tls-ca")),
            (Some(authorities), None, None) => {
                Some(tls::Connector::without_certificate(authorities).map_err(unusable)?)
            }
            (Some(authorities), Some(certificate), Some(key)) => {
                let credentials = Credentials::load(Files {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    authorities: authorities.clone(),
                });
                let connector = tls::Connector::new(credentials.map_err(unusable)?, None);
                Some(connector.map_err(|error| Error::Usage(error.to_string()))?)
            }
            (Some(_), ..) => return Err(usage("--tls-cert and --tls-key need one another")),
        };
        let bearer = token.as_ref().map(|token| {
            let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
                .parse()
                .map_err(|_| usage("--token holds what no token can"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        });
        Ok(Self {
            connector,
            bearer: Bearer(bearer.transpose()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_dont_go_together_are_named() {
        let file = || Some("/nonexistent".into());
        for (cluster, words) in [
            (
                Cluster {
                    token: Some("t".to_owned()),
                    ..Cluster::default()
                },
                "need --tls-ca",
            ),
            (
                Cluster {
                    tls_ca: file(),
                    tls_cert: file(),
                    ..Cluster::default()
                },
                "need one another",
            ),
            (
                Cluster {
                    tls_ca: file(),
                    ..Cluster::default()
                },
                "/nonexistent: can't be read",
            ),
        ] {
            let error = Security::of(&cluster).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(Security::of(&Cluster::default()).unwrap().connector.is_none());
    }
}
