//! Checks the expected behavior on a real node, step by step, with kubectl.

mod mailbox;
mod steps;

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt};

use self::mailbox::Mailbox;
use super::{EVERYNODE, NAME, RealNode};
use crate::daemonsets;
use crate::kubectl::Kubectl;
use crate::terminal::Terminal;
use crate::wait::eventually;

/// The name of the `DaemonSet` and of its Service, and the value of its pods' label `app`.
const WEB: &str = "web";
/// Its namespace.
const NAMESPACE: &str = "default";
/// The overlay that deploys Everynode, relative to the workspace's root.
const OVERLAY: &str = "deploy/overlays/single";
/// How long each outcome may take: containers have to start, and probes run every few seconds.
const SOON: Duration = Duration::from_mins(1);

/// The steps on a cluster of one real node.
pub struct Walkthrough<'a> {
    node: &'a RealNode,
    terminal: &'a mut Terminal,
    kubectl: Kubectl,
    client: Client,
    mailbox: Mailbox,
}

impl<'a> Walkthrough<'a> {
    /// Prepares the steps.
    ///
    /// # Errors
    /// When the cluster can't be reached, or the mailbox for the pods' messages can't listen.
    pub async fn new(node: &'a RealNode, terminal: &'a mut Terminal) -> Result<Self> {
        let plugins = node
            .programs
            .plugin
            .parent()
            .context("the plugin has no folder")?;
        Ok(Self {
            node,
            terminal,
            kubectl: node.control_plane.kubectl()?.with_plugins(plugins),
            client: node.control_plane.client().await?,
            mailbox: Mailbox::open().await?,
        })
    }

    /// Runs all steps. At the end no pod is left.
    ///
    /// # Errors
    /// When a step fails. The error states the expected result and the last actual one.
    pub async fn run(mut self) -> Result<()> {
        self.deploy().await.context("deploying Everynode")?;
        self.create().await.context("creating the DaemonSet")?;
        self.run_plugin().await.context("running kubectl everynode")?;
        self.delete_pod().await.context("deleting a pod")?;
        self.update().await.context("updating the DaemonSet")?;
        for program in ["planner", "executor"] {
            let kill = self.kill(program).await;
            kill.with_context(|| format!("killing the {program}"))?;
        }
        self.delete().await.context("deleting everything")
    }

    /// Shows a kubectl command line, runs it, and shows its output.
    async fn kubectl(&mut self, args: &[&str]) -> Result<String> {
        self.terminal.command(&format!("kubectl {}", args.join(" ")));
        let output = self.kubectl.run(args).await?;
        self.terminal.output(&output);
        Ok(output)
    }

    /// Waits until the `DaemonSet` has exactly one pod and that pod is ready, and returns the pod.
    async fn pod(&self) -> Result<Pod> {
        let pods = daemonsets::wait_placed(&self.client, NAMESPACE, WEB, &[NAME], SOON).await;
        match pods {
            Ok(pods) => pods.into_iter().next().context("the node has no pod"),
            Err(error) => {
                // The events say why a container doesn't start.
                let events = self.kubectl.run(["get", "events", "--all-namespaces"]).await;
                Err(error.context(events.unwrap_or_default()))
            }
        }
    }

    /// As [`Walkthrough::pod`], but waits until it is another pod than `old`.
    async fn successor(&self, old: &Pod) -> Result<Pod> {
        eventually(SOON, "another pod", async || {
            let pod = self.pod().await?;
            ensure!(pod.uid() != old.uid(), "{} is still there", old.name_any());
            Ok(pod)
        })
        .await
    }

    fn done(&mut self, since: Instant, text: impl Display) {
        self.terminal.done(&text.to_string(), since.elapsed());
    }
}

impl fmt::Debug for Walkthrough<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walkthrough")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
