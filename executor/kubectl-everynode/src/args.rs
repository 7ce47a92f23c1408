//! Command-line arguments of the kubectl plugin.

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use everynode_render::OutputFormat;

/// The program's name. When it is on the PATH, kubectl has the command `everynode`.
pub const PROGRAM: &str = "kubectl-everynode";

/// Asks a cluster's Everynode what its DaemonSets are up to: what runs where and why not, what they wait for, what is being
/// done. Nothing can be changed through it.
#[derive(Debug, Clone, Parser)]
#[command(name = "kubectl everynode", bin_name = "kubectl everynode", version, after_long_help = HELP)]
pub struct Cli {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: Cluster,

    /// What to ask.
    #[command(subcommand)]
    pub command: Command,
}

const HELP: &str = "\
Examples:
  # What does the DaemonSet agent wait for?
  kubectl everynode status ds/agent

  # Why is there no pod of it on worker-3?
  kubectl everynode explain ds/agent node/worker-3

  # What is being done right now, in all namespaces?
  kubectl everynode watch -A

The executor's pods are found by their label app.kubernetes.io/name=everynode-executor, and reached through kubectl \
port-forward, for which the right to create pods/portforward is needed there. KUBECTL_PATH names another kubectl than \
that on the PATH.

Exit codes:
  0    all is as one wishes; each command's --help says what that means
  1    it isn't
  64   the flags or names can't be used
  66   there is no such DaemonSet or node
  69   no executor can be reached, or it has no answer now
  70   the program or the executor is at fault
  130  ended by Ctrl-C";

/// Which cluster, and the way to its executor. The flags that kubectl has too mean what they mean there.
#[derive(Debug, Clone, Default, Args)]
pub struct Cluster {
    /// The executor's gRPC port, when it can be reached without kubectl.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub server: Option<String>,

    /// With --server: speaks TLS, with executors whose certificates come from these authorities. Without it: plain text.
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// With --tls-ca: one's own certificate, in PEM, for executors that ask for one.
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The key of one's own certificate.
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// With --tls-ca: a token of the cluster, for executors that ask for one (kubectl create token prints one).
    #[arg(long, global = true, value_name = "TOKEN")]
    pub token: Option<String>,

    /// The kubeconfig file.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// The namespace of DaemonSets that are named without one; by default the context's.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,

    /// DaemonSets of all namespaces.
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// The namespace that Everynode runs in.
    #[arg(long, global = true, value_name = "NAME", default_value = "everynode-system")]
    pub everynode_namespace: String,

    /// The gRPC port of the executor's pods, by number or by name; it has to be in plain text. When not given: that with the
    /// name local, which executors have beside TLS, or else 50052.
    #[arg(long, global = true, value_name = "PORT")]
    pub everynode_port: Option<String>,
}

/// What to ask.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Say whether a DaemonSet's pod belongs on a node, why, and which pods are there.
    Explain(ExplainArgs),
    /// Say how far DaemonSets are, and what they wait for.
    Status(StatusArgs),
    /// Print what is being done as it happens, a line for each event, until Ctrl-C.
    Watch(WatchArgs),
    /// Say what DaemonSets take of a node.
    Overhead(OverheadArgs),
    /// Print the versions of this program, of the executor, and of its planner.
    Version(VersionArgs),
    /// Print a script that completes commands, flags and names in a shell.
    #[command(after_long_help = COMPLETIONS_HELP)]
    Completions {
        /// Whose completion.
        shell: Completer,
    },
    /// Print what the last word may become, as kubectl asks for it.
    #[command(hide = true)]
    Complete {
        /// The words after `kubectl everynode`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// Who completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Completer {
    /// kubectl itself, and with it every shell that it serves: completes `kubectl everynode`, names too.
    Kubectl,
    /// Completes kubectl-everynode in bash.
    Bash,
    /// Completes kubectl-everynode in zsh.
    Zsh,
    /// Completes kubectl-everynode in fish.
    Fish,
}

const COMPLETIONS_HELP: &str = "\
Examples:
  # kubectl completes `kubectl everynode` by this executable, if it is on the PATH
  kubectl everynode completions kubectl > ~/.local/bin/kubectl_complete-everynode
  chmod +x ~/.local/bin/kubectl_complete-everynode

  # kubectl-everynode, typed as one word
  source <(kubectl everynode completions bash)";

/// How an answer is printed.
#[derive(Debug, Clone, Default, Args)]
pub struct Output {
    /// How the answer is printed: columns for people (wide: more of them, where there are more), or JSON or YAML exactly as
    /// grpcurl has it.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        value_parser = PossibleValuesParser::new(OutputFormat::NAMES).try_map(|name| name.parse::<OutputFormat>())
    )]
    pub output: OutputFormat,
}

/// Flags of `explain`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXPLAIN_HELP)]
pub struct ExplainArgs {
    /// A DaemonSet (ds/NAME, NAMESPACE/NAME or NAME), a node (node/NAME), or both.
    #[arg(value_name = "DAEMONSET|NODE", required = true, num_args = 1..=2)]
    pub names: Vec<String>,

    /// Show every pair of DaemonSet and node in the table, however many there are.
    #[arg(long)]
    pub all: bool,

    /// The output.
    #[command(flatten)]
    pub output: Output,
}

const EXPLAIN_HELP: &str = "\
Without a node: every node. With a node alone: every DaemonSet, of all namespaces. Up to 20 pairs are all shown; of more \
pairs only those that don't run or wait for something, the first 20 of them, unless --all is given. JSON and YAML hold \
every pair.

Verdicts:
  RUN       a pod should run there
  KEEP      none is created there, one that is there stays
  EXCLUDE   none is created there, one that is there goes

Examples:
  # Why is there no pod of agent on worker-3?
  kubectl everynode explain ds/agent node/worker-3

  # On which nodes does it run, and why not on the others?
  kubectl everynode explain kube-system/agent

  # Which DaemonSets run on worker-3?
  kubectl everynode explain node/worker-3

Exit codes:
  0   every pair runs, and its pod is as it should be
  1   a pair doesn't run or waits for something, or a DaemonSet has a problem (named on standard error)
  For what is from 64 on, see kubectl everynode --help.";

/// Flags of `status`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = STATUS_HELP)]
pub struct StatusArgs {
    /// The DaemonSet (ds/NAME, NAMESPACE/NAME or NAME); all of the namespace when not given.
    #[arg(value_name = "DAEMONSET")]
    pub daemon_set: Option<String>,

    /// The output.
    #[command(flatten)]
    pub output: Output,
}

const STATUS_HELP: &str = "\
Examples:
  # Everything that agent waits for
  kubectl everynode status ds/agent

  # All DaemonSets of the cluster
  kubectl everynode status -A

Exit codes:
  0   every pod is there, of the current template, and available
  1   a DaemonSet waits for something or has a problem (named on standard error)
  For what is from 64 on, see kubectl everynode --help.";

/// Flags of `watch`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = WATCH_HELP)]
pub struct WatchArgs {
    /// The DaemonSet (ds/NAME, NAMESPACE/NAME or NAME); all of the namespace when not given.
    #[arg(value_name = "DAEMONSET")]
    pub daemon_set: Option<String>,

    /// The output.
    #[command(flatten)]
    pub output: Output,
}

const WATCH_HELP: &str = "\
Each event is one line with its time, in UTC; with -o json one JSON object in a line, with -o yaml one document. When the \
connection is lost, standard error says so, and another one is made; what happened in between is not told.

Examples:
  # What happens to agent from now on
  kubectl everynode watch ds/agent

  # What could not be done, of all DaemonSets
  kubectl everynode watch -A | grep ' failed '

Exit codes:
  130  ended by Ctrl-C
  For what is from 64 on, see kubectl everynode --help.";

/// Flags of `overhead`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = OVERHEAD_HELP)]
pub struct OverheadArgs {
    /// The node (node/NAME or NAME).
    #[arg(value_name = "NODE")]
    pub node: String,

    /// The output.
    #[command(flatten)]
    pub output: Output,
}

const OVERHEAD_HELP: &str = "\
Counts what the templates of the DaemonSets request that belong on the node, whether or not their pods are there yet.

Example:
  kubectl everynode overhead node/worker-3

Exit codes:
  0   everything fits
  1   something doesn't fit, or a DaemonSet has a problem (named on standard error)
  For what is from 64 on, see kubectl everynode --help.";

/// Flags of `version`.
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    /// Print this program's version only, and connect to nothing.
    #[arg(long)]
    pub client: bool,

    /// The output.
    #[command(flatten)]
    pub output: Output,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn kubectls_own_flags_may_stand_before_and_after_the_command() {
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
