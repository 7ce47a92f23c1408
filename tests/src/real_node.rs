//! A real node: kubelet, kube-proxy, containerd and the cluster's DNS on this machine, with pods that run.
//!
//! Tests on kwok's nodes cover what Everynode does at the API server. Here the images start, kubelet runs the probes,
//! and the tests reach a `DaemonSet`'s pods in every way that Kubernetes offers. A real node needs root. It runs in its
//! own namespaces, so it leaves nothing behind but installed packages.
//!
//! Reading order: [`preflight`] checks whether this machine is suitable, `machine` creates the namespaces, `cgroups`
//! removes the cgroups that outlive them, `config` holds the programs' configuration, `images` builds images without a
//! registry, and [`walkthrough`] checks the expected behavior.

mod cgroups;
mod config;
mod images;
mod machine;
pub mod preflight;
pub mod walkthrough;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::images::Image;
use self::machine::{HOST, Machine, NodeProgram};
use crate::control_plane::{Component, ControlPlane, Options};
use crate::nodes;
use crate::programs::Programs;
use crate::terminal::Terminal;
use crate::toolbox::Toolbox;
use crate::wait::eventually;

/// The node's name.
const NAME: &str = "real-node";
/// The image of every pod's sandbox (pause) container.
const PAUSE: &str = "docker.io/library/pause:1";
/// The image of the web server.
const WEB: &str = "docker.io/library/web:1";
/// The Dockerfile of both images.
const WEB_IMAGES: &str = "tests/node/web/Dockerfile";
/// The Dockerfile of Everynode's images.
const IMAGES: &str = "deploy/Dockerfile";
/// Everynode's namespace.
const EVERYNODE: &str = "everynode-system";
/// How long a part of the node may take to become ready on a busy machine.
const READY: Duration = Duration::from_mins(1);

/// A cluster of one real node.
#[derive(Debug)]
pub struct RealNode {
    dns: NodeProgram,
    proxy: NodeProgram,
    kubelet: NodeProgram,
    containerd: NodeProgram,
    machine: Machine,
    control_plane: ControlPlane,
    programs: Programs,
}

impl RealNode {
    /// Builds what is needed, starts the cluster, and waits until the node is ready.
    ///
    /// # Errors
    /// When a build fails or a part doesn't become ready. The error contains the last lines of the log.
    pub async fn start(terminal: &mut Terminal) -> Result<Self> {
        let start = Instant::now();
        let programs = tokio::task::spawn_blocking(Programs::build_static);
        let programs = programs.await.context("building Everynode")??;
        let (tools, web) = (Toolbox::node().await?, Toolbox::web().await?);
        terminal.done(
            "Built the programs of a node, and Everynode linked statically",
            start.elapsed(),
        );

        let start = Instant::now();
        let machine = Machine::start().await?;
        let control_plane = ControlPlane::start(Options {
            address: HOST,
            without: vec![Component::Kwok],
            flags: [
                // Pods reach the API server through the Service `kubernetes`, which needs endpoints.
                "--endpoint-reconciler-type=lease",
                // No DNS resolves the node's name.
                "--kubelet-preferred-address-types=InternalIP",
            ]
            .map(|flag| (Component::ApiServer, flag.to_owned()))
            .into(),
            ..Options::default()
        })
        .await?;
        terminal.done(
            "The control plane runs, without kube-controller-manager's DaemonSet controller",
            start.elapsed(),
        );

        let start = Instant::now();
        let home = machine.home();
        let kubeconfig = control_plane.kubeconfig();
        let toml = home.write("containerd.toml", config::containerd(home.path()))?;
        std::fs::create_dir(home.file("cni")).context("making a folder")?;
        home.write("cni/pods.conflist", config::network().to_string())?;
        home.write("resolv.conf", "")?;
        let kubelet_config = home.write("kubelet.json", config::kubelet(home.path()).to_string())?;
        let corefile = home.write("Corefile", config::corefile(kubeconfig))?;

        let mut containerd = machine.launch(
            Path::new("/usr/bin/containerd"),
            vec![format!("--config={}", toml.display())],
        )?;
        eventually(READY, "containerd to answer", async || {
            containerd.ensure_running()?;
            machine
                .run("ctr", &["--address", config::SOCKET, "version"])
                .await
        })
        .await?;
        for (name, target) in [(PAUSE, "pause"), (WEB, "web")] {
            let image = Image {
                name,
                dockerfile: WEB_IMAGES,
                target,
                context: &web,
            };
            image.install(&machine).await?;
        }
        let flags = config::kubelet_flags(home.path(), &kubelet_config, kubeconfig);
        let mut kubelet = machine.launch(&tools.join("kubelet"), flags)?;
        let proxy = machine.launch(&tools.join("kube-proxy"), config::proxy_flags(kubeconfig))?;
        let dns = machine.launch(
            &tools.join("coredns"),
            vec![format!("-conf={}", corefile.display())],
        )?;
        let client = control_plane.client().await?;
        let ready = eventually(READY, "the node to be ready", async || {
            kubelet.ensure_running()?;
            nodes::wait_ready(&client, &[NAME.to_owned()], Duration::from_secs(1)).await
        });
        ready
            .await
            .with_context(|| format!("the last lines of kubelet's log:\n{}", kubelet.tail(20)))?;
        let kubectl = control_plane.kubectl()?;
        kubectl
            .run_with_input(["apply", "-f", "-"], &config::dns())
            .await?;
        terminal.done(
            "containerd, kubelet, kube-proxy and CoreDNS run, and the node is ready",
            start.elapsed(),
        );
        Ok(Self {
            dns,
            proxy,
            kubelet,
            containerd,
            machine,
            control_plane,
            programs,
        })
    }

    /// Builds Everynode's images and imports them into containerd.
    ///
    /// # Errors
    /// When buildah or containerd fails, with its output.
    pub async fn install_everynode(&self) -> Result<()> {
        for (target, program) in [
            ("planner", &self.programs.planner),
            ("executor", &self.programs.executor),
        ] {
            let name = format!(
                "docker.io/library/everynode-{target}:{}",
                env!("CARGO_PKG_VERSION")
            );
            let context = program.parent().context("the program has no folder")?;
            let image = Image {
                name: &name,
                dockerfile: IMAGES,
                target,
                context,
            };
            image.install(&self.machine).await?;
        }
        Ok(())
    }

    /// The last lines of the logs that help to find a fault.
    pub async fn log_tails(&self, lines: usize) -> Vec<(&'static str, String)> {
        let mut tails = vec![
            ("kubelet", self.kubelet.tail(lines)),
            ("containerd", self.containerd.tail(lines)),
            ("kube-proxy", self.proxy.tail(lines)),
            ("CoreDNS", self.dns.tail(lines)),
        ];
        for name in ["everynode-planner", "everynode-executor"] {
            let (pods, tail) = (format!("deployment/{name}"), format!("--tail={lines}"));
            let logs = match self.control_plane.kubectl() {
                Ok(kubectl) => kubectl.run(["logs", "-n", EVERYNODE, &pods, &tail]).await,
                Err(error) => Err(error),
            };
            tails.push((name, logs.unwrap_or_else(|error| format!("{error:#}"))));
        }
        tails
    }

    /// Stops everything in order. Delete all pods first; otherwise, their containers are killed. Dropping a `RealNode`
    /// kills everything at once.
    ///
    /// # Errors
    /// When a part doesn't end.
    pub async fn stop(self) -> Result<()> {
        for program in [self.kubelet, self.proxy, self.dns, self.containerd] {
            program.stop().await?;
        }
        self.machine.stop().await?;
        self.control_plane.stop().await
    }
}
