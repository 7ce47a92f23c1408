//! Loads the certificate files and builds rustls' configurations from them.

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};

use super::{Error, Files, validity::Validity};

/// gRPC uses HTTP/2.
const PROTOCOL: &[u8] = b"h2";
/// The maximum number of times that the files are reread.
const MAX_REREADS: usize = 5;

fn read_file(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| unusable(file, format!("can't be read: {error}")))
}

/// The contents of the certificate files.
#[derive(PartialEq, Eq)]
pub(super) struct FileContents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Vec<u8>,
}

/// rustls configurations that use the certificate files.
pub(super) struct LoadedCertificates {
    pub(super) contents: FileContents,
    /// The server configuration that requires client certificates.
    pub(super) mutual_tls_server: Arc<ServerConfig>,
    /// The server configuration without client certificates.
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    /// The validity of each certificate in the chain, the program's own first.
    chain: Vec<Validity>,
    /// The validity of each authority.
    authorities: Vec<Validity>,
}

/// Reads all files, and rereads them until they don't change between two reads. A new certificate can't be used with
/// the key of the previous one.
pub(super) fn read_files(files: &Files) -> Result<FileContents, Error> {
    let mut contents = read_once(files)?;
    for _ in 0..MAX_REREADS {
        let again = read_once(files)?;
        if again == contents {
            break;
        }
        contents = again;
    }
    Ok(contents)
}

fn read_once(files: &Files) -> Result<FileContents, Error> {
    Ok(FileContents {
        certificate: read_file(&files.certificate)?,
        key: read_file(&files.key)?,
        authorities: read_file(&files.authorities)?,
    })
}

impl LoadedCertificates {
    pub(super) fn new(contents: FileContents, files: &Files) -> Result<Self, Error> {
        let chain = certificates(&contents.certificate, &files.certificate)?;
        let key = || key(&contents.key, &files.key);
        let authorities = Arc::new(authorities(&contents.authorities, &files.authorities)?);
        let validities = validities(&chain, &files.certificate)?;
        let provider = Arc::new(ring::default_provider());
        let unusable_pair = |error: rustls::Error| {
            let key = files.key.display();
            unusable(
                &files.certificate,
                format!("can't be used with the key {key}: {error}"),
            )
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(authorities.clone(), provider.clone())
            .build()
            .map_err(|error| unusable(&files.authorities, error.to_string()))?;
        let builder = || {
            ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&[&TLS13])
                .map_err(unusable_pair)
        };
        let mutual_tls_server = builder()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key()?)
            .map_err(unusable_pair)?;
        let server = builder()?
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key()?)
            .map_err(unusable_pair)?;
        let client = client(provider.clone(), authorities, chain, key()?).map_err(unusable_pair)?;
        Ok(Self {
            mutual_tls_server: configure_server(mutual_tls_server),
            server: configure_server(server),
            client: Arc::new(client),
            chain: validities,
            authorities: certificates(&contents.authorities, &files.authorities)?
                .iter()
                .filter_map(|authority| Validity::of(authority))
                .collect(),
            contents,
        })
    }

    /// The earliest expiry among the certificates of the chain.
    pub(super) fn not_after(&self) -> SystemTime {
        let ends = self.chain.iter().map(|validity| validity.not_after);
        ends.min().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Checks that the whole chain and at least one authority are valid at this time. Other authorities may have
    /// expired, because the file holds old and new ones while authorities are replaced.
    ///
    /// # Errors
    /// The certificate that isn't valid, with the time when it expired or becomes valid.
    pub(super) fn check(&self, files: &Files, now: SystemTime) -> Result<(), Error> {
        for (index, validity) in self.chain.iter().enumerate() {
            if let Err(reason) = validity.check(now) {
                let number = index.saturating_add(1);
                return Err(unusable(
                    &files.certificate,
                    format!("certificate {number} {reason}"),
                ));
            }
        }
        let mut reasons = self.authorities.iter().map(|validity| validity.check(now));
        match reasons.next() {
            Some(Err(reason)) if reasons.all(|checked| checked.is_err()) => Err(unusable(
                &files.authorities,
                format!("none of the authorities is valid now; certificate 1 {reason}"),
            )),
            _ => Ok(()),
        }
    }
}

/// A client configuration without a client certificate, which trusts the authorities in the file.
pub(super) fn client_without_certificate(file: &Path) -> Result<Arc<ClientConfig>, Error> {
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unusable(file, error.to_string()))?
        .with_root_certificates(authorities(&read_file(file)?, file)?)
        .with_no_client_auth();
    Ok(Arc::new(configure_client(client)))
}

fn client(
    provider: Arc<CryptoProvider>,
    authorities: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(authorities)
        .with_client_auth_cert(chain, key)?;
    Ok(configure_client(client))
}

fn configure_client(mut client: ClientConfig) -> ClientConfig {
    client.alpn_protocols = vec![PROTOCOL.to_vec()];
    client.resumption = Resumption::disabled();
    client
}

fn configure_server(mut server: ServerConfig) -> Arc<ServerConfig> {
    server.alpn_protocols = vec![PROTOCOL.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Arc::new(server)
}

fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unreadable(file, &error))?;
    if found.is_empty() {
        return Err(unusable(file, "holds no certificate"));
    }
    Ok(found)
}

fn key(pem: &[u8], file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => unusable(file, "holds no private key"),
        error => unreadable(file, &error),
    })
}

fn authorities(pem: &[u8], file: &Path) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates(pem, file)?.into_iter().enumerate() {
        store.add(certificate).map_err(|error| {
            let number = index.saturating_add(1);
            unusable(
                file,
                format!("certificate {number} can't be an authority: {error}"),
            )
        })?;
    }
    Ok(store)
}

fn validities(chain: &[CertificateDer<'_>], file: &Path) -> Result<Vec<Validity>, Error> {
    let validity = |(index, certificate): (usize, &CertificateDer<'_>)| {
        let number = index.saturating_add(1);
        Validity::of(certificate).ok_or_else(|| unusable(file, format!("certificate {number} can't be read")))
    };
    chain.iter().enumerate().map(validity).collect()
}

fn unreadable(file: &Path, error: &pem::Error) -> Error {
    unusable(file, format!("can't be read as PEM: {error}"))
}

fn unusable(file: &Path, reason: impl Into<String>) -> Error {
    let (file, reason) = (file.to_owned(), reason.into());
    Error { file, reason }
}
