//! The identities of the cluster: certificates, keys, the tokens of users, and the kubeconfigs that combine them.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::child_process::WorkDir;

/// The admin's token. It is no secret: the cluster lives for minutes only, and normally listens on loopback.
pub(super) const TOKEN: &str = "everynode-tests";

/// The address of the Service `kubernetes`, through which pods reach the API server.
const SERVICE: &str = "10.96.0.1";

/// The user of the program that is being measured or tested. In the audit log, this user tells the program's requests
/// apart from all others.
pub const CONTENDER: &str = "contender";
const CONTENDER_TOKEN: &str = "everynode-contender";

/// The files that the components are started with.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) service_account_key: PathBuf,
    pub(super) service_account_public_key: PathBuf,
    pub(super) tokens: PathBuf,
    pub(super) kubeconfig: PathBuf,
}

impl Identity {
    /// Creates all the files. The API server could create its own certificate, but takes a second for that.
    pub(super) fn create(work_dir: &WorkDir, api_server: SocketAddrV4) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())
            .context("building the parameters of the certificate authority")?;
        params
            .distinguished_name
            .push(DnType::CommonName, "everynode-tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority_key = KeyPair::generate().context("generating the authority's key")?;
        let authority = params
            .self_signed(&authority_key)
            .context("creating the certificate authority")?;
        let issuer = Issuer::new(params, authority_key);

        let names = [
            "127.0.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            SERVICE,
            &api_server.ip().to_string(),
        ];
        let mut params = CertificateParams::new(names.map(str::to_owned))
            .context("building the parameters of the servers' certificate")?;
        params
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("generating the servers' key")?;
        let certificate = params
            .signed_by(&key, &issuer)
            .context("creating the servers' certificate")?;

        let server = format!("https://{api_server}");
        let accounts = KeyPair::generate().context("generating the service accounts' key")?;
        let authority = work_dir.write("ca.crt", authority.pem())?;
        let tokens = format!(
            "{TOKEN},admin,admin,\"system:masters\"\n{CONTENDER_TOKEN},{CONTENDER},{CONTENDER},\"system:masters\"\n"
        );
        Ok(Self {
            certificate: work_dir.write("server.crt", certificate.pem())?,
            key: work_dir.write("server.key", key.serialize_pem())?,
            service_account_key: work_dir.write("service-accounts.key", accounts.serialize_pem())?,
            service_account_public_key: work_dir.write("service-accounts.pub", accounts.public_key_pem())?,
            tokens: work_dir.write("tokens.csv", tokens)?,
            kubeconfig: work_dir.write("kubeconfig", kubeconfig(&authority, &server, "admin", TOKEN))?,
            authority,
        })
    }

    /// Writes a kubeconfig for [`CONTENDER`].
    pub(super) fn contender_kubeconfig(&self, work_dir: &WorkDir, server: &str) -> Result<PathBuf> {
        self.user_kubeconfig(work_dir, server, CONTENDER, CONTENDER_TOKEN)
    }

    /// Writes a kubeconfig for a user with this token.
    pub(super) fn user_kubeconfig(
        &self,
        work_dir: &WorkDir,
        server: &str,
        user: &str,
        token: &str,
    ) -> Result<PathBuf> {
        let content = kubeconfig(&self.authority, server, user, token);
        work_dir.write(&format!("{user}.kubeconfig"), content)
    }
}

fn kubeconfig(authority: &Path, server: &str, user: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: everynode\n\
         contexts: [{{name: everynode, context: {{cluster: everynode, user: {user}}}}}]\n\
         clusters: [{{name: everynode, cluster: {{server: \"{server}\", certificate-authority: \"{ca}\"}}}}]\n\
         users: [{{name: {user}, user: {{token: \"{token}\"}}}}]\n",
        ca = authority.display(),
    )
}
