//! Clients made from kubeconfigs, and kubeconfigs for `ServiceAccount`s.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use super::ControlPlane;

impl ControlPlane {
    /// Writes a kubeconfig for a `ServiceAccount` into the control plane's folder, with a token like those of its pods.
    ///
    /// # Errors
    /// When there is no such `ServiceAccount`, or the file can't be written.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let response = accounts
            .create_token_request(name, &PostParams::default(), &TokenRequest::default())
            .await
            .with_context(|| format!("requesting a token for {namespace}/{name}"))?;
        let token = response.status.and_then(|status| status.token);
        let token = token.context("the response has no token")?;
        self.identity
            .user_kubeconfig(&self.work_dir, &self.server(), name, &token)
    }
}

/// Creates a client with the credentials of a kubeconfig.
///
/// # Errors
/// When the kubeconfig can't be read.
pub async fn client_from_kubeconfig(kubeconfig: &Path) -> Result<Client> {
    Client::try_from(config_from_kubeconfig(kubeconfig).await?).context("creating a client")
}

pub(super) async fn config_from_kubeconfig(kubeconfig: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).context("reading the kubeconfig")?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .context("reading the kubeconfig")
}
