//! The flags of `rollout`.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

use std::time::Duration;

use clap::Args;
use everynode_serving::program::duration;

use super::{InputOutputArgs, filter::FilterArgs};

/// Flags of `rollout`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = HELP)]
pub struct RolloutArgs {
    /// The flags for input and output.
    #[command(flatten)]
    pub io: InputOutputArgs,

    /// The flags that select DaemonSets and nodes.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Time from the creation of a pod until it is ready.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse, help_heading = "Assumptions")]
    pub ready_after: Duration,

    /// Time from the deletion of a pod until it is gone.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse, help_heading = "Assumptions")]
    pub terminated_after: Duration,

    /// Time until somebody promotes a stage that waits for it; by default 0s.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = "Assumptions")]
    pub promoted_after: Option<Duration>,

    /// Node on which the new pod never becomes ready. A * stands for any text. Can be repeated.
    #[arg(long = "failing-node", value_name = "NAME", help_heading = "Assumptions")]
    pub failing_nodes: Vec<String>,
}

const HELP: &str = "\
Runs a rollout forward on a simulated clock, with the rules that the planner applies in a cluster: what will this policy \
do to these nodes, and how long will it take? The command changes nothing.

The template of the DaemonSet changes while every pod has the current one. Pods in the input are the current pods. Without \
any, every node that should run a pod has an available one. If the input has several policies, the command uses the \
one that would apply in a cluster.

The table has a line for each step: a stage opens, is updated (its soak begins), needs a promotion, or is done. NODES are \
those of the stage, UPDATED those with an available new pod so far, and UNAVAILABLE those without an available pod. WORST \
is the most of these since the line before. Below are the duration and, for each domain of the policy's order (or each \
zone), the most nodes without an available pod at the same time.

Warnings name probable mistakes in the policy: a soak under 2 minutes, a domain of one node, a stage that takes no \
node, stages that overlap completely, and maxSurge with a host port.

Examples:
  # What would this policy do, and how long would it take?
  kubectl get nodes -o json \\
    | everynode-planner rollout -f ds.yaml -f policy.yaml -f -

  # From the pods of the cluster, which need a minute to become ready
  kubectl get nodes,pods -A -o json \\
    | everynode-planner rollout -f ds.yaml -f policy.yaml -f - --ready-after 1m

  # Would the rollout stop if the new pods failed on one pool?
  kubectl get nodes -o json \\
    | everynode-planner rollout -f ds.yaml -f policy.yaml -f - --failing-node 'pool-a-*'

Exit codes:
  0   success: the rollout ends, and there are no warnings
  1   differences found: a warning, the rollout doesn't end, or an object has a problem (on stderr)
  2   with --detailed-exit-code: an object has a problem; the answer is complete
  3   with --detailed-exit-code: an object can't be read; the answer lacks it
  64  usage: a flag is invalid
  65  the input is unreadable or invalid, a name isn't unique in it, or no policy applies
  66  a file, a DaemonSet or a node doesn't exist
  70  internal error";
