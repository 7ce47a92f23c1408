//! The flags of the offline commands.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use everynode_render::OutputFormat;
use jiff::Timestamp;

/// The flags for input and output.
#[derive(Debug, Clone, Args)]
pub struct InputOutputArgs {
    /// File with Kubernetes objects in JSON or YAML, or - for standard input. Can be repeated.
    ///
    /// A file can contain several documents, lists, and lists of lists, in any order. Objects that the command
    /// doesn't use are ignored, with a note on standard error. JSON is read many times faster than YAML.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<String>,

    /// Output format. table and wide are for people; wide adds columns to some tables. json and yaml print the
    /// planner's response as grpcurl does.
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
    /// The flags for input and output.
    #[command(flatten)]
    pub io: InputOutputArgs,

    /// Show every pair of DaemonSet and node in the table, instead of at most 20.
    #[arg(long)]
    pub all: bool,
}

const EXPLAIN_HELP: &str = "\
Verdicts:
  RUN       a pod should run on the node
  KEEP      no pod is created on the node; an existing one stays
  EXCLUDE   no pod is created on the node; an existing one is deleted

The table has one line for each reason, and a summary below. It shows up to 20 pairs of DaemonSet and node in full. \
If there are more, it shows only pairs that don't run, at most 20 of them, unless --all is set. JSON and YAML contain \
every pair.

Examples:
  # Why does worker-3 have no pod of agent?
  kubectl get ds agent -o json > ds.json
  kubectl get node worker-3 -o json \\
    | everynode-planner explain -f ds.json -f -

  # On which nodes would this DaemonSet run, before it is created?
  kubectl get nodes -o json | everynode-planner explain -f ds.yaml -f -

  # All DaemonSets on all nodes
  kubectl get ds,nodes -A -o json | everynode-planner explain --all -f -

Exit codes:
  0   success: every pair runs
  1   differences found: a pair doesn't run, or an object has a problem (on stderr)
  64  usage: a flag is invalid
  65  the input is unreadable or invalid
  66  a file doesn't exist
  70  internal error";

/// Flags of `plan`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = PLAN_HELP)]
pub struct PlanArgs {
    /// The flags for input and output.
    #[command(flatten)]
    pub io: InputOutputArgs,

    /// DaemonSet to plan for, as NAME or NAMESPACE/NAME. Required if the input contains several.
    #[arg(long, value_name = "NAME")]
    pub daemon_set: Option<String>,

    /// Value of the label controller-revision-hash for the current template. A pod with another value is old.
    ///
    /// Without this flag, the annotation deprecated.daemonset.template.generation tells which pods are old. Without the
    /// annotation, every pod is current.
    #[arg(long, value_name = "HASH")]
    pub update_revision: Option<String>,

    /// Time to plan for, in RFC 3339, such as 2026-01-31T12:00:00Z; by default the latest time in the objects.
    #[arg(long, value_name = "TIME")]
    pub now: Option<Timestamp>,
}

const PLAN_HELP: &str = "\
Shows which pods of a DaemonSet would be created and deleted now, what its status would be, and when to plan again. \
The command changes nothing. It ignores pods with another owner.

Examples:
  # Which pods of agent would be created and deleted now?
  kubectl get ds agent -o json > ds.json
  kubectl get nodes,pods -A -o json \\
    | everynode-planner plan -f ds.json -f -

  # From all objects of the cluster
  kubectl get ds,nodes,pods -A -o json \\
    | everynode-planner plan --daemon-set kube-system/agent -f -

Exit codes:
  0   success: there is nothing to do
  1   differences found: there is something to do, or an object has a problem (on stderr)
  64  usage: a flag is invalid
  65  the input is unreadable or invalid
  66  a file doesn't exist
  70  internal error";

/// Flags of `simulate`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = SIMULATE_HELP)]
pub struct SimulateArgs {
    /// The flags for input and output.
    #[command(flatten)]
    pub io: InputOutputArgs,

    /// Key of a label whose value isn't known yet, such as topology.kubernetes.io/zone. Can be repeated. The values
    /// in the Nodes of the input are ignored.
    #[arg(long = "unknown-label", value_name = "KEY")]
    pub unknown_labels: Vec<String>,
}

const SIMULATE_HELP: &str = "\
Each Node in the input is a template for a node, which doesn't have to exist. Its labels and taints decide which pods \
run there, and its status.allocatable (or status.capacity) how much is left. RuntimeClasses in the input set the \
overhead of the pods that name them.

Examples:
  # What do DaemonSets request on a node like worker-3, in a zone that isn't known yet?
  kubectl get ds,runtimeclasses -A -o json > cluster.json
  kubectl get node worker-3 -o json \\
    | everynode-planner simulate -f cluster.json -f - \\
        --unknown-label topology.kubernetes.io/zone

  # What would they request on a kind of node that doesn't exist yet?
  everynode-planner simulate -f cluster.json -f - <<END
  kind: Node
  metadata: {name: gpu-large, labels: {accelerator: nvidia}}
  spec: {taints: [{key: nvidia.com/gpu, effect: NoSchedule}]}
  status: {allocatable: {cpu: 7910m, memory: 28Gi, pods: 58}}
  END

Exit codes:
  0   success: everything fits and is decided
  1   differences found: something doesn't fit, is undecided, or has a problem (on stderr)
  64  usage: a flag is invalid
  65  the input is unreadable or invalid
  66  a file doesn't exist
  70  internal error";
