//! A Kubernetes control plane on loopback ports: etcd, API server, controllers, scheduler, and kwok as the kubelet of
//! every node.

mod access;
mod component;
mod identity;
mod lifecycle;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use kube::{Client, Config};

pub use self::access::client_from_kubeconfig;
use self::access::config_from_kubeconfig;
pub use self::component::Component;
pub use self::identity::CONTENDER;
use self::identity::Identity;
use crate::child_process::{ChildProcess, WorkDir};
use crate::kubectl::Kubectl;
use crate::ports::Port;
use crate::toolbox::{Tool, Toolbox};

/// The folder of etcd's data, in the control plane's folder.
const STORE: &str = "etcd";

/// Settings of a control plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address of this machine that the API server listens on. Loopback by default; pods on a real node need
    /// another address to reach the API server.
    pub address: Ipv4Addr,
    /// Whether kube-controller-manager's own `DaemonSet` controller runs. Off by default, because Everynode takes its
    /// place.
    pub daemonset_controller: bool,
    /// Components to leave out.
    pub without: Vec<Component>,
    /// Extra flags, as `--name=value`. They override the usual ones.
    pub flags: Vec<(Component, String)>,
    /// A folder with the store of another control plane ([`ControlPlane::stop_keeping_store`]). The control plane
    /// starts from a copy of it.
    pub store: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST,
            daemonset_controller: false,
            without: Vec::new(),
            flags: Vec::new(),
            store: None,
        }
    }
}

/// The ports of the components. They are reserved for the control plane's lifetime, so that a restarted component
/// listens where it did before.
#[derive(Debug)]
struct Ports {
    etcd: Port,
    etcd_peer: Port,
    api_server: Port,
    scheduler: Port,
}

/// A running control plane. It stops when this value is dropped, or when this process ends.
#[derive(Debug)]
pub struct ControlPlane {
    /// One entry for each component, in the order of [`Component::ALL`]; `None` when the component isn't running.
    running: Vec<(Component, Option<ChildProcess>)>,
    options: Options,
    toolbox: Toolbox,
    identity: Identity,
    ports: Ports,
    disturbed: bool,
    // Last, because fields drop in order: the folder is removed after the processes that write into it have ended.
    work_dir: WorkDir,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is usable: its components are ready, and kube-controller-manager has
    /// created the default service account. Without the account, the API server would reject pods.
    ///
    /// # Errors
    /// When the programs can't be built, or a component doesn't become ready. The error then holds the last lines of
    /// its log.
    pub async fn start(options: Options) -> Result<Self> {
        let toolbox = Toolbox::ensured().await?;
        let work_dir = WorkDir::new("cluster")?;
        let ports = Ports {
            etcd: Port::claim()?,
            etcd_peer: Port::claim()?,
            api_server: Port::claim()?,
            scheduler: Port::claim()?,
        };
        let api_server = SocketAddrV4::new(options.address, ports.api_server.number());
        let identity = Identity::create(&work_dir, api_server)?;
        if let Some(store) = &options.store {
            copy_folder(store, &work_dir.file(STORE)).await?;
        }
        for (name, content) in [
            ("kwok.yaml", include_str!("../controlplane/stages/kwok.yaml")),
            ("node.yaml", include_str!("../controlplane/stages/node.yaml")),
            ("pod.yaml", include_str!("../controlplane/stages/pod.yaml")),
        ] {
            work_dir.write(name, content)?;
        }
        let running = Component::ALL.map(|component| (component, None)).into();
        let mut this = Self {
            running,
            options,
            toolbox,
            identity,
            ports,
            disturbed: false,
            work_dir,
        };
        // The API server retries etcd by itself. The other components would exit if they found no API server.
        this.launch_enabled(&[Component::Etcd, Component::ApiServer])?;
        this.wait_ready(Component::ApiServer).await?;
        this.launch_enabled(&[
            Component::ControllerManager,
            Component::Scheduler,
            Component::Kwok,
        ])?;
        for component in [
            Component::ControllerManager,
            Component::Scheduler,
            Component::Kwok,
        ] {
            if this.is_running(component) {
                this.wait_ready(component).await?;
            }
        }
        Ok(this)
    }

    /// Stops all components in reverse order and waits until they have ended. Dropping the control plane stops them
    /// too, but blocks the thread meanwhile.
    ///
    /// # Errors
    /// When a process doesn't end.
    pub async fn stop(mut self) -> Result<()> {
        self.stop_all().await
    }

    /// Like [`ControlPlane::stop`], but copies the store into `folder`, which must not exist yet. Any number of control
    /// planes can start from a copy of it ([`Options::store`]).
    ///
    /// # Errors
    /// When a process doesn't end, or the store can't be copied to the folder.
    pub async fn stop_keeping_store(mut self, folder: &Path) -> Result<()> {
        self.stop_all().await?;
        copy_folder(&self.work_dir.file(STORE), folder).await
    }

    async fn stop_all(&mut self) -> Result<()> {
        for component in Component::ALL.into_iter().rev() {
            self.stop_component(component).await?;
        }
        Ok(())
    }

    /// A kubectl for this cluster.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn kubectl(&self) -> Result<Kubectl> {
        let program = self.toolbox.path(Tool::Kubectl)?;
        Ok(Kubectl::new(
            program,
            self.identity.kubeconfig.clone(),
            self.work_dir.file("kubectl-cache"),
        ))
    }

    /// Creates a client with full access. It belongs to the runtime on which it is created, because its connections are
    /// tasks of that runtime.
    ///
    /// # Errors
    /// When the kubeconfig can't be read.
    pub async fn client(&self) -> Result<Client> {
        client_from_kubeconfig(self.kubeconfig()).await
    }

    /// The configuration of the clients that [`ControlPlane::client`] creates.
    ///
    /// # Errors
    /// When the kubeconfig can't be read.
    pub async fn config(&self) -> Result<Config> {
        config_from_kubeconfig(self.kubeconfig()).await
    }

    /// A kubeconfig with full access.
    pub fn kubeconfig(&self) -> &Path {
        &self.identity.kubeconfig
    }

    /// Writes a kubeconfig for [`CONTENDER`] into the control plane's folder. It uses `server` as the URL of the API
    /// server.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn contender_kubeconfig(&self, server: &str) -> Result<PathBuf> {
        self.identity.contender_kubeconfig(&self.work_dir, server)
    }

    /// The address on which the API server listens.
    pub fn api_server_address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.options.address, self.ports.api_server.number())
    }

    /// The URL of the API server.
    pub fn server(&self) -> String {
        format!("https://{}", self.api_server_address())
    }

    /// The folder with the logs and all other files of the control plane.
    pub fn work_dir(&self) -> &Path {
        self.work_dir.path()
    }

    /// The programs of the control plane.
    pub fn toolbox(&self) -> &Toolbox {
        &self.toolbox
    }

    /// The last lines of a component's log.
    pub fn log_tail(&self, component: Component, lines: usize) -> String {
        crate::child_process::tail(&self.work_dir.file(&format!("{}.log", component.name())), lines)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Stops the components in reverse order of starting. The clients of the API server can all end at once. The API
        // server and etcd stop one after the other, because an API server without etcd takes a long time to end.
        for (component, process) in &mut self.running {
            if let Some(process) = process
                && !matches!(component, Component::Etcd | Component::ApiServer)
            {
                process.request_stop();
            }
        }
        for (_, process) in self.running.iter_mut().rev() {
            *process = None;
        }
    }
}

async fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let status = tokio::process::Command::new("cp")
        .args(["-a", "--"])
        .args([from, to])
        .status()
        .await
        .context("starting cp")?;
    ensure!(
        status.success(),
        "copying {} to {} failed",
        from.display(),
        to.display()
    );
    Ok(())
}
