//! Walks through a `DaemonSet`'s life from its creation to its deletion, step by step, as a person with kubectl would.
//!
//! Each step does one thing, waits for the expected outcome, and fails if it doesn't come. The demo shows the steps; a
//! test runs the same ones.

mod births;
mod steps;

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;

use crate::control_plane::ControlPlane;
use crate::daemonsets;
use crate::kubectl::Kubectl;
use crate::nodes::{self, NodeBuilder};
use crate::terminal::Terminal;

/// The example manifest, relative to the workspace's root, where kubectl runs.
const MANIFEST: &str = "deploy/examples/ds-nginx.yaml";
/// The `DaemonSet`'s name in the manifest, which is also the value of its pods' label `app`.
const NAME: &str = "nginx-ds";
/// The tainted node. Only `DaemonSet`s that tolerate the taint run on it.
const MASTER: &str = "master-1";
/// The other initial nodes.
const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
/// The node that is added and removed.
const NEWCOMER: &str = "worker-4";
/// How long each outcome may take. In a healthy cluster it comes within a fraction of that.
const SOON: Duration = Duration::from_secs(30);

/// What the walk measured.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// The time from the end of a deleted pod to the creation of its successor, both as seen by a watch.
    pub successor: Duration,
    /// The time from the start of kubectl, which creates the node, to the creation of its pod as seen by a watch.
    pub pod_of_new_node: Duration,
    /// The duration of the whole rolling update.
    pub rollout: Duration,
}

/// A walk through one namespace of a cluster with a running planner and executor.
pub struct Walk<'a> {
    terminal: &'a mut Terminal,
    kubectl: Kubectl,
    client: Client,
    namespace: String,
    findings: Findings,
}

impl<'a> Walk<'a> {
    /// Prepares a walk.
    ///
    /// # Errors
    /// When kubectl is missing or the cluster can't be reached.
    pub async fn new(
        control_plane: &ControlPlane,
        namespace: &str,
        terminal: &'a mut Terminal,
    ) -> Result<Self> {
        let kubectl = control_plane.kubectl()?;
        // Keep the commands that are shown as short as what people would type.
        let kubectl = if namespace == "default" {
            kubectl
        } else {
            kubectl.in_namespace(namespace)
        };
        let client = control_plane.client().await?;
        Ok(Self {
            terminal,
            kubectl,
            client,
            namespace: namespace.to_owned(),
            findings: Findings::default(),
        })
    }

    /// Creates the nodes that the walk starts with, and waits until they are ready.
    ///
    /// # Errors
    /// When the API server refuses, or they don't become ready.
    pub async fn create_nodes(client: &Client) -> Result<()> {
        let mut nodes = vec![NodeBuilder::master(MASTER)];
        nodes.extend(WORKERS.map(NodeBuilder::new));
        nodes::create_ready(client, nodes).await
    }

    /// Goes through all steps, on the nodes of [`Walk::create_nodes`].
    ///
    /// # Errors
    /// The first step whose outcome doesn't come: what it waited for, and what it saw instead.
    pub async fn run(mut self) -> Result<Findings> {
        self.create().await.context("creating the DaemonSet")?;
        self.delete_a_pod().await.context("deleting a pod")?;
        self.add_a_node().await.context("adding a node")?;
        self.remove_a_node().await.context("removing a node")?;
        self.narrow().await.context("narrowing it with a nodeSelector")?;
        self.change_the_image().await.context("changing the image")?;
        self.connect()
            .await
            .context("reaching the pods by hostPort and Services")?;
        self.delete().await.context("deleting the DaemonSet")?;
        Ok(self.findings)
    }

    /// Shows a kubectl command line, runs it, and shows its output.
    async fn kubectl(&mut self, args: &[&str]) -> Result<String> {
        self.kubectl_with_input(args, "").await
    }

    async fn kubectl_with_input(&mut self, args: &[&str], input: &str) -> Result<String> {
        let line: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
        let heredoc = if input.is_empty() {
            String::new()
        } else {
            format!(" <<EOF\n{}\nEOF", input.trim())
        };
        self.terminal.command(&format!(
            "kubectl {}{}",
            line.join(" "),
            heredoc.replace('\n', "\n     ")
        ));
        let output = self.kubectl.run_with_input(args, input).await?;
        self.terminal.output(&output);
        Ok(output)
    }

    /// As [`Walk::kubectl`], but shows each line of the output as it comes.
    async fn follow(&mut self, args: &[&str]) -> Result<()> {
        self.terminal.command(&format!("kubectl {}", args.join(" ")));
        self.kubectl.follow(args, |line| self.terminal.output(line)).await
    }

    /// Waits until each of the nodes has exactly one pod, which is ready, and no other pods exist.
    async fn placed(&self, nodes: &[&str]) -> Result<Vec<Pod>> {
        daemonsets::wait_placed(&self.client, &self.namespace, NAME, nodes, SOON).await
    }

    /// Waits until the status counts `count` pods as desired, current, ready, up to date and available, and none as
    /// misscheduled.
    async fn counted(&self, count: usize) -> Result<()> {
        let count = i32::try_from(count).context("a handful of nodes")?;
        let what = format!("{count} everywhere");
        daemonsets::wait_status(&self.client, &self.namespace, NAME, SOON, &what, |status| {
            status.desired_number_scheduled == count
                && status.current_number_scheduled == count
                && status.number_ready == count
                && status.updated_number_scheduled == Some(count)
                && status.number_available == Some(count)
                && status.number_misscheduled == 0
        })
        .await?;
        Ok(())
    }

    fn done(&mut self, since: Instant, text: impl Display) {
        self.terminal.done(&text.to_string(), since.elapsed());
    }
}

impl fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk")
            .field("namespace", &self.namespace)
            .field("findings", &self.findings)
            .finish_non_exhaustive()
    }
}

/// An argument as a person would type it in a shell.
fn quoted(arg: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_=./,:@".contains(char);
    if !arg.is_empty() && arg.chars().all(plain) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_for_a_shell_where_needed() {
        assert_eq!(quoted("get"), "get");
        assert_eq!(quoted("app=nginx-ds"), "app=nginx-ds");
        assert_eq!(quoted(r#"{"a":1}"#), r#"'{"a":1}'"#);
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
