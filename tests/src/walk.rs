//! A `DaemonSet`'s life from its creation to its deletion, step by step, as a person with kubectl would go through it.
//!
//! Each step does one thing, waits for what should come of it, and fails when that doesn't come. The demo shows the steps; a
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

/// The example, as seen from the workspace's root, where kubectl runs.
const MANIFEST: &str = "deploy/examples/ds-nginx.yaml";
/// The name that it has there. It is the value of its pods' label `app` too.
const NAME: &str = "nginx-ds";
/// The node that only `DaemonSet`s which tolerate its taint run on.
const MASTER: &str = "master-1";
/// The other nodes at first.
const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
/// The node that comes and goes.
const NEWCOMER: &str = "worker-4";
/// How long each outcome may take. It is there within a fraction of it, or something is wrong.
const SOON: Duration = Duration::from_secs(30);

/// What the walk found out on its way.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// From the end of a deleted pod to the creation of its successor, as a watch saw both.
    pub successor: Duration,
    /// From the creation of a node to that of its pod.
    pub pod_of_new_node: Duration,
    /// The whole rolling update.
    pub rollout: Duration,
}

/// A walk through one namespace of a cluster on which planner and executor run.
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
        // What people see stays as short as what they would type.
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

    /// Creates the nodes that the walk begins with, and waits until they are ready.
    ///
    /// # Errors
    /// When the API server refuses or they don't become ready.
    pub async fn create_nodes(client: &Client) -> Result<()> {
        let mut nodes = vec![NodeBuilder::master(MASTER)];
        nodes.extend(WORKERS.map(NodeBuilder::new));
        nodes::create_ready(client, nodes).await
    }

    /// Goes through all steps, on the nodes of [`Walk::create_nodes`].
    ///
    /// # Errors
    /// The first step whose outcome doesn't come: what was awaited and what was seen instead.
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

    /// Shows a kubectl command line, runs it, and shows what it printed.
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

    /// As [`Walk::kubectl`], and shows each line as it comes.
    async fn follow(&mut self, args: &[&str]) -> Result<()> {
        self.terminal.command(&format!("kubectl {}", args.join(" ")));
        self.kubectl.follow(args, |line| self.terminal.output(line)).await
    }

    /// Waits until each of the nodes has exactly one pod, ready, and nothing else is there.
    async fn placed(&self, nodes: &[&str]) -> Result<Vec<Pod>> {
        daemonsets::wait_placed(&self.client, &self.namespace, NAME, nodes, SOON).await
    }

    /// Waits until the status says that `count` pods are wanted, current, up to date and available, and none elsewhere.
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

/// An argument as one would have to type it.
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
