//! The flags for certificates.

use std::path::PathBuf;

use clap::{Args, builder::BoolishValueParser};

use crate::tls::{Credentials, Error, Files};

/// The flags that choose between TLS and plain text. One of the two must be chosen.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// File with the program's own certificate, for serving and for connecting, in PEM. Requires --tls-key and
    /// --tls-ca. The three files are reloaded when they change; open connections continue. An expired certificate, or
    /// one that isn't valid yet, doesn't replace a valid one.
    #[arg(
        long,
        env = "EVERYNODE_TLS_CERT",
        value_name = "FILE",
        requires_all = ["tls_key", "tls_ca"]
    )]
    pub tls_cert: Option<PathBuf>,

    /// File with the private key of the certificate, in PEM.
    #[arg(
        long,
        env = "EVERYNODE_TLS_KEY",
        value_name = "FILE",
        requires_all = ["tls_cert", "tls_ca"]
    )]
    pub tls_key: Option<PathBuf>,

    /// File with the certificate authorities that peers' certificates must come from, in PEM. To rotate the
    /// authorities, put the old and the new ones into the file together.
    #[arg(
        long,
        env = "EVERYNODE_TLS_CA",
        value_name = "FILE",
        requires_all = ["tls_cert", "tls_key"]
    )]
    pub tls_ca: Option<PathBuf>,

    /// Serve and connect without TLS. Traffic is unencrypted, and everybody who can reach the port can make every call.
    #[arg(long, env = "EVERYNODE_PLAINTEXT", value_parser = BoolishValueParser::new())]
    pub plaintext: bool,
}

/// Why the certificate flags can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Neither TLS nor plain text is chosen.
    #[error(
        "TLS or plain text must be chosen: set --tls-cert, --tls-key and --tls-ca, or set --plaintext if everybody who \
         can reach the port is trusted"
    )]
    NotChosen,
    /// Both TLS and plain text are chosen. clap's own conflict check would also reject `EVERYNODE_PLAINTEXT=false`.
    #[error("--plaintext can't be used with --tls-cert, --tls-key and --tls-ca")]
    Both,
    /// A certificate file can't be used.
    #[error(transparent)]
    Files(#[from] Error),
}

impl TlsArgs {
    /// Loads the certificates; `None` if plain text was chosen.
    ///
    /// # Errors
    /// Neither TLS nor plain text was chosen, both were, or a file can't be used.
    pub fn credentials(&self) -> Result<Option<Credentials>, TlsError> {
        let Self {
            tls_cert,
            tls_key,
            tls_ca,
            plaintext,
        } = self;
        match (tls_cert, tls_key, tls_ca) {
            (Some(_), ..) if *plaintext => Err(TlsError::Both),
            (Some(certificate), Some(key), Some(authorities)) => Ok(Some(Credentials::load(Files {
                certificate: certificate.clone(),
                key: key.clone(),
                authorities: authorities.clone(),
            })?)),
            _ if *plaintext => Ok(None),
            _ => Err(TlsError::NotChosen),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        tls: TlsArgs,
    }

    fn parsed(flags: &[&str]) -> Result<TlsArgs, clap::Error> {
        let flags = std::iter::once("program").chain(flags.iter().copied());
        Cli::try_parse_from(flags).map(|cli| cli.tls)
    }

    #[test]
    fn either_tls_or_plain_text_must_be_chosen() {
        let error = parsed(&[]).unwrap().credentials().unwrap_err().to_string();
        assert!(
            error.contains("--tls-cert") && error.contains("--plaintext"),
            "{error}"
        );
        assert!(parsed(&["--plaintext"]).unwrap().credentials().unwrap().is_none());
        let both = ["--plaintext", "--tls-cert=a", "--tls-key=b", "--tls-ca=c"];
        let error = parsed(&both).unwrap().credentials().unwrap_err().to_string();
        assert!(
            error.contains("--tls-cert") && error.contains("--plaintext"),
            "{error}"
        );
    }

    #[test]
    fn three_files_are_required_together_and_an_unusable_one_is_named() {
        let error = parsed(&["--tls-cert=a", "--tls-key=b"]).unwrap_err();
        assert!(error.to_string().contains("--tls-ca"), "{error}");
        let args = parsed(&["--tls-cert=/no/cert", "--tls-key=/no/key", "--tls-ca=/no/ca"]).unwrap();
        let error = args.credentials().unwrap_err().to_string();
        assert!(error.contains("/no/cert"), "{error}");
    }
}
