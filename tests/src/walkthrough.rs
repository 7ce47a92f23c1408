//! A walkthrough of a `DaemonSet`'s life, from its creation to its deletion, with the kubectl commands that a person
//! would type.
//!
//! Each step does one thing and waits for the expected result. It fails if the result doesn't occur by the deadline.
//! The demo shows the steps, and a test runs the same ones.

mod pod_watch;
mod staged;
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
const NEW_NODE: &str = "worker-4";
/// How long each wait for an expected result may take. In a healthy cluster, it takes a fraction of that.
const DEADLINE: Duration = Duration::from_secs(30);

/// The durations that the walkthrough measured.
#[derive(Debug, Clone, Default)]
pub struct Measurements {
    /// The time from a pod's removal to the creation of its replacement, as a watch reported both.
    pub successor: Duration,
    /// The time from the start of the kubectl command that created a node to the creation of the node's pod, as a watch
    /// reported it.
    pub pod_of_new_node: Duration,
    /// The duration of the whole rolling update.
    pub rollout: Duration,
}

/// A walkthrough in one namespace of a cluster with a running planner and executor.
pub struct Walkthrough<'a> {
    terminal: &'a mut Terminal,
    kubectl: Kubectl,
    client: Client,
    namespace: String,
    measurements: Measurements,
}

impl<'a> Walkthrough<'a> {
    /// Prepares a walkthrough.
    ///
    /// # Errors
    /// When kubectl is missing or the cluster can't be reached.
    pub async fn new(
        control_plane: &ControlPlane,
        namespace: &str,
        terminal: &'a mut Terminal,
    ) -> Result<Self> {
        let kubectl = control_plane.kubectl()?;
        // Keeps the shown commands as short as a person would type them.
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
            measurements: Measurements::default(),
        })
    }

    /// Creates the initial nodes, and waits until they are ready.
    ///
    /// # Errors
    /// When the API server refuses, or they don't become ready.
    pub async fn create_nodes(client: &Client) -> Result<()> {
        let mut nodes = vec![NodeBuilder::master(MASTER)];
        nodes.extend(WORKERS.map(NodeBuilder::new));
        nodes::create_ready(client, nodes).await
    }

    /// Runs all steps, on the nodes of [`Walkthrough::create_nodes`] in a cluster with the kinds of rollout
    /// policies ([`install_kinds`](crate::rollouts::install_kinds)).
    ///
    /// # Errors
    /// When an expected result doesn't occur in time. The error states the step and the expected and actual results.
    pub async fn run(mut self) -> Result<Measurements> {
        self.create().await.context("creating the DaemonSet")?;
        self.delete_a_pod().await.context("deleting a pod")?;
        self.add_a_node().await.context("adding a node")?;
        self.remove_a_node().await.context("removing a node")?;
        self.restrict_nodes()
            .await
            .context("restricting the DaemonSet with a nodeSelector")?;
        self.change_the_image().await.context("changing the image")?;
        self.connect()
            .await
            .context("reaching the pods by hostPort and Services")?;
        self.roll_out_in_stages().await.context("rolling out in stages")?;
        self.delete().await.context("deleting the DaemonSet")?;
        Ok(self.measurements)
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

    /// As [`Walkthrough::kubectl`], but shows each line of the output as it comes.
    async fn follow(&mut self, args: &[&str]) -> Result<()> {
        self.terminal.command(&format!("kubectl {}", args.join(" ")));
        self.kubectl.follow(args, |line| self.terminal.output(line)).await
    }

    /// Waits until each of the nodes has exactly one pod, which is ready, and no other pods exist.
    async fn wait_placed(&self, nodes: &[&str]) -> Result<Vec<Pod>> {
        daemonsets::wait_placed(&self.client, &self.namespace, NAME, nodes, DEADLINE).await
    }

    /// Waits until the status counts `count` pods as desired, current, ready, up to date and available, and none as
    /// misscheduled.
    async fn wait_counts(&self, count: usize) -> Result<()> {
        let count = i32::try_from(count).context("too many nodes")?;
        let what = format!("all counters to be {count}");
        daemonsets::wait_status(&self.client, &self.namespace, NAME, DEADLINE, &what, |status| {
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

    fn report_done(&mut self, since: Instant, text: impl Display) {
        self.terminal.done(&text.to_string(), since.elapsed());
    }
}

impl fmt::Debug for Walkthrough<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walkthrough")
            .field("namespace", &self.namespace)
            .field("measurements", &self.measurements)
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
