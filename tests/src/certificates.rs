//! Test certificates: authorities, the certificates that they issue, and a folder that holds the files as a Secret
//! volume does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Name of the link to the current files, as the kubelet calls it.
const DATA: &str = "..data";
/// The flags and their files. The file names are those of a cert-manager Secret.
const FILES: [(&str, &str); 3] = [
    ("--tls-cert", "tls.crt"),
    ("--tls-key", "tls.key"),
    ("--tls-ca", "ca.crt"),
];

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// Creates an authority with this common name.
    ///
    /// # Errors
    /// When its certificate can't be created.
    pub fn new(name: &str) -> Result<Self> {
        Self::with(name, |_| ())
    }

    /// Creates an authority whose certificate parameters `change` can adjust.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Result<Self> {
        let mut params =
            CertificateParams::new(Vec::new()).context("building the parameters of an authority")?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        let key = KeyPair::generate().context("generating an authority's key")?;
        let certificate = params.self_signed(&key).context("creating an authority")?;
        Ok(Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Issues a certificate with this common name. The certificate is also valid for the name as a DNS name, for
    /// loopback, and for the URI `spiffe://everynode/NAME`.
    ///
    /// # Errors
    /// When the name isn't a valid DNS name, or the certificate can't be created.
    pub fn issue(&self, name: &str) -> Result<IssuedCertificate> {
        self.sign(&params(name)?)
    }

    /// Like [`Authority::issue`], but the certificate expired long ago.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_expired(&self, name: &str) -> Result<IssuedCertificate> {
        self.issue_with(name, |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        })
    }

    /// Like [`Authority::issue`], but `change` can adjust the certificate parameters.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<IssuedCertificate> {
        let mut params = params(name)?;
        change(&mut params);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<IssuedCertificate> {
        let key = KeyPair::generate().context("generating a key")?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("issuing a certificate")?;
        Ok(IssuedCertificate {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn params(name: &str) -> Result<CertificateParams> {
    let names = [name, "localhost", "127.0.0.1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).context("building the parameters of a certificate")?;
    let uri = format!("spiffe://everynode/{name}");
    params
        .subject_alt_names
        .push(SanType::URI(uri.try_into().context("building a URI")?));
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A folder with the three files. Each file is reached through one common link, so swapping the link replaces all three
/// at once.
#[derive(Debug, Clone)]
pub struct CertificateMount {
    folder: PathBuf,
}

impl CertificateMount {
    /// Creates a folder that holds only links to the files. The files themselves don't exist yet.
    ///
    /// # Errors
    /// When the folder or a link can't be created.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        for (_, file) in FILES {
            symlink(Path::new(DATA).join(file), folder.join(file)).context("linking a file")?;
        }
        let folder = folder.to_owned();
        Ok(Self { folder })
    }

    /// Replaces the contents of the files: a certificate, its key, and the authorities.
    ///
    /// # Errors
    /// When the files can't be written or the link can't be swapped.
    pub fn write(&self, own: &IssuedCertificate, authorities: &[&Authority]) -> Result<()> {
        let authorities: Vec<&str> = authorities
            .iter()
            .map(|authority| authority.pem.as_str())
            .collect();
        self.write_raw([&own.certificate, &own.key, &authorities.concat()])
    }

    /// Like [`CertificateMount::write`], but with arbitrary contents, in the order of the flags: certificate, key,
    /// authorities.
    ///
    /// # Errors
    /// As [`CertificateMount::write`].
    pub fn write_raw(&self, contents: [&str; 3]) -> Result<()> {
        let before = fs::read_link(self.folder.join(DATA)).ok();
        // Two folders alternate.
        let name = if before.as_deref() == Some(Path::new("..one")) {
            "..two"
        } else {
            "..one"
        };
        let version = self.folder.join(name);
        fs::create_dir(&version).with_context(|| format!("creating {}", version.display()))?;
        for ((_, file), content) in FILES.iter().zip(contents) {
            fs::write(version.join(file), content).with_context(|| format!("writing {file}"))?;
        }
        let next = self.folder.join("..data_next");
        symlink(name, &next).context("linking the files")?;
        fs::rename(&next, self.folder.join(DATA)).context("swapping the link")?;
        if let Some(before) = before {
            fs::remove_dir_all(self.folder.join(before)).context("removing the previous files")?;
        }
        Ok(())
    }

    /// The command-line flags that name the files.
    pub fn flags(&self) -> Vec<String> {
        let flag = |(flag, file)| format!("{flag}={}", self.folder.join(file).display());
        FILES.map(flag).to_vec()
    }

    /// Paths of the files: the certificate, its key, and the authorities.
    pub fn files(&self) -> [PathBuf; 3] {
        FILES.map(|(_, file)| self.folder.join(file))
    }
}
