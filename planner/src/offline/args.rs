//! The flags of the offline commands.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use everynode_render::OutputFormat;
use jiff::Timestamp;

/// Where the objects come from, and how the answer is printed.
#[derive(Debug, Clone, Args)]
pub struct Input {
    /// A file with Kubernetes objects, or - for standard input; may be repeated.
    ///
    /// JSON (which is read many times as fast) or YAML; several documents, lists and lists of lists are fine, in any order.
    /// Objects that play no part are passed over, and named on standard error.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<String>,

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
    /// The input and the output.
    #[command(flatten)]
    pub input: Input,

    /// Show every pair of DaemonSet and node in the table, however many there are.
    #[arg(long)]
    pub all: bool,
}

const EXPLAIN_HELP: &str = "\
Verdicts:
  RUN       a pod should run there
  KEEP      none is created there, one that is there stays
  EXCLUDE   none is created there, one that is there goes

The table has a line for each reason, and the summary below it. Up to 20 pairs of DaemonSet and node are all shown; of \
more pairs only those that don't run, the first 20 of them, unless --all is given. JSON and YAML hold every pair.

Examples:
  # Why is there no pod of agent on worker-3?
  kubectl get ds agent -o json > ds.json
  kubectl get node worker-3 -o json \\
    | everynode-planner explain -f ds.json -f -

  # On which nodes would this DaemonSet run, before it is created?
  kubectl get nodes -o json | everynode-planner explain -f ds.yaml -f -

  # Everything at once
  kubectl get ds,nodes -A -o json | everynode-planner explain --all -f -

Exit codes:
  0   every pair runs
  1   a pair doesn't run, or an object has a problem (named on standard error)
  64  the flags can't be used
  65  the input can't be read or used
  66  a file isn't there
  70  the program is at fault";

/// Flags of `plan`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = PLAN_HELP)]
pub struct PlanArgs {
    /// The input and the output.
    #[command(flatten)]
    pub input: Input,

    /// Which DaemonSet, as NAME or NAMESPACE/NAME. Needed when the input holds several.
    #[arg(long, value_name = "NAME")]
    pub daemon_set: Option<String>,

    /// The controller-revision-hash of the current template. Pods with another one are old.
    ///
    /// Without it, pods are told apart by the annotation deprecated.daemonset.template.generation; without that too, every pod
    /// counts as current.
    #[arg(long, value_name = "HASH")]
    pub update_revision: Option<String>,

    /// The time to decide for, in RFC 3339, such as 2026-01-31T12:00:00Z; by default the latest that the objects mention.
    #[arg(long, value_name = "TIME")]
    pub now: Option<Timestamp>,
}

const PLAN_HELP: &str = "\
Says which pods would be created and deleted now for one DaemonSet, what its status would be, and when to look again. \
Nothing is changed anywhere. Pods of other owners are passed over.

Examples:
  # What is to be done for agent now?
  kubectl get ds agent -o json > ds.json
  kubectl get nodes,pods -A -o json \\
    | everynode-planner plan -f ds.json -f -

  # Out of everything in the cluster
  kubectl get ds,nodes,pods -A -o json \\
    | everynode-planner plan --daemon-set kube-system/agent -f -

Exit codes:
  0   nothing is to be done
  1   something is to be done, or an object has a problem (named on standard error)
  64  the flags can't be used
  65  the input can't be read or used
  66  a file isn't there
  70  the program is at fault";

/// Flags of `simulate`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = SIMULATE_HELP)]
pub struct SimulateArgs {
    /// The input and the output.
    #[command(flatten)]
    pub input: Input,

    /// The key of a label that nodes of this kind may have, with a value that nobody knows yet, such as
    /// topology.kubernetes.io/zone; may be repeated. What the Nodes in the input have there counts for nothing.
    #[arg(long = "unknown-label", value_name = "KEY")]
    pub unknown_labels: Vec<String>,
}

const SIMULATE_HELP: &str = "\
Each Node in the input is a template: its labels and taints decide what runs there, its status.allocatable (or \
status.capacity) what is left. It needn't exist. RuntimeClasses in the input tell the overhead of pods that name one.

Examples:
  # What do DaemonSets take of a node like worker-3, in a zone that isn't known yet?
  kubectl get ds,runtimeclasses -A -o json > cluster.json
  kubectl get node worker-3 -o json \\
    | everynode-planner simulate -f cluster.json -f - \\
        --unknown-label topology.kubernetes.io/zone

  # What would they take of a kind of node that doesn't exist yet?
  everynode-planner simulate -f cluster.json -f - <<END
  kind: Node
  metadata: {name: gpu-large, labels: {accelerator: nvidia}}
  spec: {taints: [{key: nvidia.com/gpu, effect: NoSchedule}]}
  status: {allocatable: {cpu: 7910m, memory: 28Gi, pods: 58}}
  END

Exit codes:
  0   everything fits and is decided
  1   something doesn't fit, isn't decided, or an object has a problem (named on standard error)
  64  the flags can't be used
  65  the input can't be read or used
  66  a file isn't there
  70  the program is at fault";
