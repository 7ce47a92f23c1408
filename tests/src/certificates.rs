//! Certificates for tests: authorities, what they issue, and a folder that holds it as a Secret's volume does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// The link to the current files, by the name that the kubelet gives it.
const DATA: &str = "..data";
/// The files, by the names that they have in a Secret of cert-manager.
const FILES: [(&str, &str); 3] = [
    ("--tls-cert", "tls.crt"),
    ("--tls-key", "tls.key"),
    ("--tls-ca", "ca.crt"),
];

/// Who issues certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When its certificate can't be made.
    pub fn new(name: &str) -> Result<Self> {
        Self::with(name, |_| ())
    }

    /// A new one, with anything about its certificate changed.
    ///
    /// # Errors
    /// As [`Authority::new`].
    pub fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new()).context("describing an authority")?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        let key = KeyPair::generate().context("making an authority's key")?;
        let certificate = params.self_signed(&key).context("making an authority")?;
        Ok(Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Issues a certificate with this common name, also as a DNS name, and for loopback.
    ///
    /// # Errors
    /// When the name isn't one, or the certificate can't be made.
    pub fn issue(&self, name: &str) -> Result<Issued> {
        self.sign(&params(name)?)
    }

    /// The same, of a certificate that has expired long ago.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_expired(&self, name: &str) -> Result<Issued> {
        self.issue_with(name, |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        })
    }

    /// The same, with anything about it changed.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Result<Issued> {
        let mut params = params(name)?;
        change(&mut params);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Issued> {
        let key = KeyPair::generate().context("making a key")?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("issuing a certificate")?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn params(name: &str) -> Result<CertificateParams> {
    let names = [name, "localhost", "127.0.0.1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).context("describing a certificate")?;
    let uri = format!("spiffe://everynode/{name}");
    params
        .subject_alt_names
        .push(SanType::URI(uri.try_into().context("making a URI")?));
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A folder with the three files, each of which leads through one link that is swapped for all of them.
#[derive(Debug, Clone)]
pub struct Mount {
    folder: PathBuf,
}

impl Mount {
    /// A folder with nothing in it but the links of the files.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        for (_, file) in FILES {
            symlink(Path::new(DATA).join(file), folder.join(file)).context("linking a file")?;
        }
        let folder = folder.to_owned();
        Ok(Self { folder })
    }

    /// Has the files hold this from now on: a certificate, its key, and the authorities.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn put(&self, own: &Issued, authorities: &[&Authority]) -> Result<()> {
        let authorities: Vec<&str> = authorities
            .iter()
            .map(|authority| authority.pem.as_str())
            .collect();
        self.put_raw([&own.certificate, &own.key, &authorities.concat()])
    }

    /// The same of any content, in the order of the flags.
    ///
    /// # Errors
    /// As [`Mount::put`].
    pub fn put_raw(&self, contents: [&str; 3]) -> Result<()> {
        let before = fs::read_link(self.folder.join(DATA)).ok();
        // Two folders that take turns.
        let name = if before.as_deref() == Some(Path::new("..one")) {
            "..two"
        } else {
            "..one"
        };
        let version = self.folder.join(name);
        fs::create_dir(&version).with_context(|| format!("making {}", version.display()))?;
        for ((_, file), content) in FILES.iter().zip(contents) {
            fs::write(version.join(file), content).with_context(|| format!("writing {file}"))?;
        }
        let next = self.folder.join("..data_next");
        symlink(name, &next).context("linking the files")?;
        fs::rename(&next, self.folder.join(DATA)).context("swapping the link")?;
        if let Some(before) = before {
            fs::remove_dir_all(self.folder.join(before)).context("removing the files before")?;
        }
        Ok(())
    }

    /// The flags that name the files.
    pub fn flags(&self) -> Vec<String> {
        let flag = |(flag, file)| format!("{flag}={}", self.folder.join(file).display());
        FILES.map(flag).to_vec()
    }

    /// The files: the certificate, its key, and the authorities.
    pub fn files(&self) -> [PathBuf; 3] {
        FILES.map(|(_, file)| self.folder.join(file))
    }
}
