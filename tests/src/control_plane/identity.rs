//! Who is who in the cluster: certificates, keys, the admin's token, and the kubeconfig that puts them together.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::leash::Home;

/// The admin's token. The cluster listens on loopback and lives for minutes; the token is no secret.
pub(super) const TOKEN: &str = "everynode-tests";

/// The Service `kubernetes`, by which pods reach the API server.
const SERVICE: &str = "10.96.0.1";

/// The user by which the requests of a program that is measured can be told from all others.
pub const CONTENDER: &str = "contender";
const CONTENDER_TOKEN: &str = "everynode-contender";

/// The files that the components are given.
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
    /// Makes everything anew. The API server could make its own certificate, but takes a second for it.
    pub(super) fn create(home: &Home, api_server: SocketAddrV4) -> Result<Self> {
        let mut params =
            CertificateParams::new(Vec::new()).context("describing the certificate authority")?;
        params
            .distinguished_name
            .push(DnType::CommonName, "everynode-tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority_key = KeyPair::generate().context("making the authority's key")?;
        let authority = params
            .self_signed(&authority_key)
            .context("making the certificate authority")?;
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
            .context("describing the servers' certificate")?;
        params
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("making the servers' key")?;
        let certificate = params
            .signed_by(&key, &issuer)
            .context("making the servers' certificate")?;

        let server = format!("https://{api_server}");
        let accounts = KeyPair::generate().context("making the service accounts' key")?;
        let authority = home.write("ca.crt", authority.pem())?;
        let tokens = format!(
            "{TOKEN},admin,admin,\"system:masters\"\n{CONTENDER_TOKEN},{CONTENDER},{CONTENDER},\"system:masters\"\n"
        );
        Ok(Self {
            certificate: home.write("server.crt", certificate.pem())?,
            key: home.write("server.key", key.serialize_pem())?,
            service_account_key: home.write("service-accounts.key", accounts.serialize_pem())?,
            service_account_public_key: home.write("service-accounts.pub", accounts.public_key_pem())?,
            tokens: home.write("tokens.csv", tokens)?,
            kubeconfig: home.write("kubeconfig", kubeconfig(&authority, &server, "admin", TOKEN))?,
            authority,
        })
    }

    /// A kubeconfig for [`CONTENDER`].
    pub(super) fn contender_kubeconfig(&self, home: &Home, server: &str) -> Result<PathBuf> {
        self.kubeconfig_of(home, server, CONTENDER, CONTENDER_TOKEN)
    }

    /// A kubeconfig for whoever has the token.
    pub(super) fn kubeconfig_of(
        &self,
        home: &Home,
        server: &str,
        user: &str,
        token: &str,
    ) -> Result<PathBuf> {
        let content = kubeconfig(&self.authority, server, user, token);
        home.write(&format!("{user}.kubeconfig"), content)
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
