//! Command-line arguments of the kubectl plugin.

mod common;
mod rollout;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use everynode_serving::program::answer::{ExplainViewArgs, OutputArgs, ResultArgs, SortArgs};

pub(crate) use self::{
    common::DaemonSetFilterArgs,
    rollout::{
        HistoryArgs, PromoteArgs, RolloutArgs, RolloutCommand, RolloutStatusArgs, UndoArgs, UpdateArgs,
        VerbArgs,
    },
};

/// The program's name. When it is on the PATH, kubectl has the command `everynode`.
pub(crate) const PROGRAM: &str = "kubectl-everynode";

/// Shows where the DaemonSets of a cluster run and why, what their rollouts wait for, and what Everynode is doing.
///
/// All commands are read-only, except those of rollout that control a rollout.
#[derive(Debug, Clone, Parser)]
#[command(name = "kubectl everynode", bin_name = "kubectl everynode", version, after_long_help = HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const HELP: &str = "\
Examples:
  # What does the DaemonSet agent wait for?
  kubectl everynode status ds/agent

  # Why does worker-3 have no pod of agent?
  kubectl everynode explain ds/agent node/worker-3

  # Wait until the rollout of agent ends
  kubectl everynode rollout status ds/agent --watch

  # What is Everynode doing now, in all namespaces?
  kubectl everynode watch -A

Connection:
  Without --server, the plugin finds the executor's pods by the label app.kubernetes.io/name=everynode-executor and \
connects through kubectl port-forward. This needs the right to create pods/portforward in the executor's namespace.

Environment:
  KUBECTL_PATH  the kubectl to run; by default the one on the PATH

Exit codes:
  0    success: everything is as desired; see the --help of each command
  1    differences found, or an object has a problem; see the --help of each command
  2    with --detailed-exit-code: an object has a problem; the answer is complete
  3    with --detailed-exit-code: an object can't be read; the answer lacks it
  64   usage: a flag or a name is invalid
  65   a name without a namespace isn't unique, or kubectl's output can't be read
  66   the DaemonSet or the node doesn't exist; rollout: no policy applies to the DaemonSet
  69   no executor can be reached, or it can't answer now
  70   internal error of the plugin or the executor
  75   rollout: the rollout is under way, or Everynode hasn't observed the latest change yet
  130  stopped by Ctrl-C (143: by SIGTERM)";

/// Flags that select the cluster and the way to its executor. A flag that kubectl has too means the same as in kubectl.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ClusterArgs {
    /// Address of the executor's gRPC port, to connect without kubectl. By default, the plugin connects through kubectl
    /// port-forward.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub(crate) server: Option<String>,

    /// File with the certificate authorities that the executor's certificate must come from, in PEM. Without this
    /// flag, the connection to --server is plain text.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// File with the client certificate, in PEM, for an executor that requires one. Requires --tls-ca and --tls-key.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// File with the private key of the client certificate, in PEM. Requires --tls-ca and --tls-cert.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Token for an executor that requires one (`kubectl create token` prints one). Requires --tls-ca.
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,

    /// Kubeconfig file; by default the one that kubectl uses.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context in the kubeconfig; by default the current context.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// Namespace of DaemonSets that are named without one; by default the context's namespace.
    #[arg(short, long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) namespace: Option<String>,

    /// Select the DaemonSets of all namespaces.
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,

    /// Namespace that Everynode runs in.
    #[arg(long, global = true, value_name = "NAME", default_value = "everynode-system")]
    pub(crate) everynode_namespace: String,

    /// Port of the executor's pods for kubectl port-forward, as a number or a name. It must be plain text. By default
    /// the port named local, which executors may have beside TLS, or else 50052.
    #[arg(long, global = true, value_name = "PORT")]
    pub(crate) everynode_port: Option<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Show on which nodes a DaemonSet should run a pod and why, and the pods that are there.
    Explain(ExplainArgs),
    /// Show the progress of DaemonSets and what they wait for.
    Status(StatusArgs),
    /// Print actions as they happen, one line for each event, until Ctrl-C.
    Watch(WatchArgs),
    /// Show the resources that DaemonSet pods request on a node.
    Overhead(OverheadArgs),
    /// Show, pause, promote, abort and undo the rollouts of DaemonSets under a rollout policy.
    Rollout(RolloutArgs),
    /// Print the versions of this plugin, the executor, and the executor's planner.
    Version(VersionArgs),
    /// Print a completion script for a shell.
    #[command(after_long_help = COMPLETIONS_HELP)]
    Completions {
        /// Shell, or kubectl, that uses the script.
        shell: CompletionTarget,
    },
    /// Print completions of the last word, in kubectl's format.
    #[command(hide = true)]
    Complete {
        /// Words after `kubectl everynode`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// The program that runs a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletionTarget {
    /// Completes `kubectl everynode`, including names of objects, in every shell in which kubectl completes.
    Kubectl,
    /// Completes the word kubectl-everynode in bash.
    Bash,
    /// Completes the word kubectl-everynode in zsh.
    Zsh,
    /// Completes the word kubectl-everynode in fish.
    Fish,
}

const COMPLETIONS_HELP: &str = "\
Examples:
  # Complete `kubectl everynode`: kubectl runs this executable, which must be on the PATH
  kubectl everynode completions kubectl > ~/.local/bin/kubectl_complete-everynode
  chmod +x ~/.local/bin/kubectl_complete-everynode

  # Complete `kubectl-everynode`, typed as one word
  source <(kubectl everynode completions bash)";

#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXPLAIN_HELP)]
pub(crate) struct ExplainArgs {
    /// DaemonSet (ds/NAME, NAMESPACE/NAME or NAME), node (node/NAME), or both. Not needed if a flag selects some.
    #[arg(value_name = "DAEMONSET|NODE", num_args = 1..=2)]
    pub(crate) names: Vec<String>,

    #[command(flatten)]
    pub(crate) filter: DaemonSetFilterArgs,

    /// Only this node. A * stands for any text, as in 'ip-10-0-1-*'. Can be repeated.
    #[arg(long = "node", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Filters")]
    pub(crate) nodes: Vec<String>,

    #[command(flatten)]
    pub(crate) view: ExplainViewArgs,

    #[command(flatten)]
    pub(crate) result: ResultArgs,
}

const EXPLAIN_HELP: &str = "\
A DaemonSet without a node selects all nodes. A node without a DaemonSet selects the DaemonSets of all namespaces, or of \
the namespace that -n sets. With -A, a DaemonSet's name needs no namespace if it is unique in the cluster.

The table lists up to 20 pairs of DaemonSet and node with a line for each reason, and a summary of several nodes \
below. It groups more pairs by condition, and shows nodes that are alike and DaemonSets that are alike in one line. \
--all lists every pair.

JSON, YAML and CSV contain every pair that --verdict selects, or with --summary only the summary. The exit code always \
covers every pair.

Verdicts:
  RUN       a pod should run on the node
  KEEP      no pod is created on the node; an existing one stays
  EXCLUDE   no pod is created on the node; an existing one is deleted

Examples:
  # Why does worker-3 have no pod of agent?
  kubectl everynode explain ds/agent node/worker-3

  # On which nodes does agent run, and why not on the others?
  kubectl everynode explain kube-system/agent

  # Which DaemonSets run on worker-3?
  kubectl everynode explain node/worker-3

  # Which nodes of a pool do the DaemonSets of kube-system not run on?
  kubectl everynode explain -n kube-system --node 'pool-a-*' --verdict keep --verdict exclude

Exit codes:
  0   success: every pair runs, and its pod is as it should be
  1   differences found: a pair doesn't run or waits, or a DaemonSet has a problem (on stderr)
  2   with --detailed-exit-code: a DaemonSet has a problem; the answer is complete
  3   with --detailed-exit-code: a DaemonSet can't be read; the answer lacks it
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

#[derive(Debug, Clone, Args)]
#[command(after_long_help = STATUS_HELP)]
pub(crate) struct StatusArgs {
    /// DaemonSet (ds/NAME, NAMESPACE/NAME or NAME); by default all DaemonSets of the namespace.
    #[arg(value_name = "DAEMONSET")]
    pub(crate) daemon_set: Option<String>,

    #[command(flatten)]
    pub(crate) filter: DaemonSetFilterArgs,

    #[command(flatten)]
    pub(crate) result: ResultArgs,
}

const STATUS_HELP: &str = "\
Examples:
  # What does agent wait for?
  kubectl everynode status ds/agent

  # All DaemonSets of the cluster
  kubectl everynode status -A

Exit codes:
  0   success: every pod exists, has the current template, and is available
  1   differences found: a DaemonSet waits for something or has a problem (on stderr)
  2   with --detailed-exit-code: a DaemonSet has a problem; the answer is complete
  3   with --detailed-exit-code: a DaemonSet can't be read; the answer lacks it
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

#[derive(Debug, Clone, Args)]
#[command(after_long_help = WATCH_HELP)]
pub(crate) struct WatchArgs {
    /// DaemonSet (ds/NAME, NAMESPACE/NAME or NAME); by default all DaemonSets of the namespace.
    #[arg(value_name = "DAEMONSET")]
    pub(crate) daemon_set: Option<String>,

    #[command(flatten)]
    pub(crate) filter: DaemonSetFilterArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

const WATCH_HELP: &str = "\
Each event is one line with its time in UTC. With -o json, it is one JSON object on a line; with -o yaml, it is one \
document; with -o csv, it is one line below a header. If the connection is lost, the plugin prints a message on stderr \
and reconnects. Events in between are lost.

Examples:
  # Events of agent
  kubectl everynode watch ds/agent

  # Failed actions of all DaemonSets
  kubectl everynode watch -A | grep ' failed '

Exit codes:
  0    success: the output was closed, as by head
  64   usage; `kubectl everynode --help` lists the codes from 64 on
  130  stopped by Ctrl-C";

#[derive(Debug, Clone, Args)]
#[command(after_long_help = OVERHEAD_HELP)]
pub(crate) struct OverheadArgs {
    /// Node (node/NAME or NAME). Several nodes share one table.
    #[arg(value_name = "NODE")]
    pub(crate) names: Vec<String>,

    /// Node. A * stands for any text, as in 'ip-10-0-1-*'. Can be repeated. kubectl looks up the nodes that match a *,
    /// also with --server.
    #[arg(long = "node", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Filters")]
    pub(crate) nodes: Vec<String>,

    #[command(flatten)]
    pub(crate) sort: SortArgs,

    #[command(flatten)]
    pub(crate) result: ResultArgs,
}

const OVERHEAD_HELP: &str = "\
Counts the requests in the pod templates of all DaemonSets that should run on the node, whether or not their pods exist. \
-n and -A change nothing, because the DaemonSets of all namespaces count.

A single node has a line for each DaemonSet, with exact amounts. Several nodes share a table with a line for each kind of \
node, with rounded amounts and the requested share of the capacity in percent. A few different nodes have their own \
tables as well, and -o wide shows the table of each node. With several nodes, JSON is a stream of documents, and YAML has \
several documents. CSV has cores and bytes.

Examples:
  # What do DaemonSets request on worker-3?
  kubectl everynode overhead node/worker-3

  # How much of each node do they request, largest share of memory first?
  kubectl everynode overhead --node '*' --sort memory

Exit codes:
  0   success: everything fits and can be bound
  1   differences found: something doesn't fit or stays pending, or a DaemonSet has a problem (on stderr)
  2   with --detailed-exit-code: a DaemonSet has a problem; the answer is complete
  3   with --detailed-exit-code: a DaemonSet can't be read; the answer lacks it
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

#[derive(Debug, Clone, Args)]
pub(crate) struct VersionArgs {
    /// Print only the plugin's version, without a connection to an executor.
    #[arg(long)]
    pub(crate) client: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn kubectl_flags_are_accepted_before_and_after_the_command() {
        for flags in [
            ["-n", "a", "--context=b", "status", "ds/x"],
            ["status", "ds/x", "--namespace", "a", "--context=b"],
        ] {
            let cli = Cli::try_parse_from(["kubectl-everynode"].into_iter().chain(flags)).unwrap();
            assert_eq!(cli.cluster.namespace.as_deref(), Some("a"));
            assert_eq!(cli.cluster.context.as_deref(), Some("b"));
        }
        assert!(Cli::try_parse_from(["kubectl-everynode", "status", "-A", "-n", "a"]).is_err());
    }
}
