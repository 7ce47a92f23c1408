//! Security of the connection to the executor at `--server`: plain text, or TLS with a certificate or a token.

use everynode_serving::tls::{self, Credentials, Files};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use super::{args::ClusterArgs, error::Error};

/// How the connection is secured.
#[derive(Debug)]
pub(crate) struct Security {
    /// Makes TLS connections. If `None`, connections are plain text.
    pub(crate) connector: Option<tls::Connector>,
    pub(crate) token: BearerToken,
}

/// Adds the token to each request, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct BearerToken(Option<MetadataValue<Ascii>>);

impl Interceptor for BearerToken {
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
    pub(crate) fn from_flags(cluster: &ClusterArgs) -> Result<Self, Error> {
        let ClusterArgs {
            tls_ca,
            tls_cert,
            tls_key,
            token,
            ..
        } = cluster;
        let usage = |message: &str| Error::Usage(message.to_owned());
        let unusable_file = |error: tls::Error| Error::Usage(error.to_string());
        let connector = match (tls_ca, tls_cert, tls_key) {
            (None, None, None) if token.is_none() => None,
            (None, ..) => return Err(usage("--tls-cert, --tls-key and --token require --tls-ca")),
            (Some(authorities), None, None) => {
                Some(tls::Connector::without_certificate(authorities).map_err(unusable_file)?)
            }
            (Some(authorities), Some(certificate), Some(key)) => {
                let credentials = Credentials::load(Files {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    authorities: authorities.clone(),
                });
                let connector = tls::Connector::new(credentials.map_err(unusable_file)?, None);
                Some(connector.map_err(|error| Error::Usage(error.to_string()))?)
            }
            (Some(_), ..) => return Err(usage("--tls-cert and --tls-key must be set together")),
        };
        let token = token.as_ref().map(|token| {
            let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
                .parse()
                .map_err(|_| usage("--token contains characters that a token can't have"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        });
        Ok(Self {
            connector,
            token: BearerToken(token.transpose()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inconsistent_flags_are_named() {
        let file = || Some("/nonexistent".into());
        for (cluster, message) in [
            (
                ClusterArgs {
                    token: Some("t".to_owned()),
                    ..ClusterArgs::default()
                },
                "require --tls-ca",
            ),
            (
                ClusterArgs {
                    tls_ca: file(),
                    tls_cert: file(),
                    ..ClusterArgs::default()
                },
                "must be set together",
            ),
            (
                ClusterArgs {
                    tls_ca: file(),
                    ..ClusterArgs::default()
                },
                "/nonexistent: can't be read",
            ),
        ] {
            let error = Security::from_flags(&cluster).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(
            Security::from_flags(&ClusterArgs::default())
                .unwrap()
                .connector
                .is_none()
        );
    }
}
