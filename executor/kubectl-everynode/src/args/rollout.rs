//! Flags of `rollout`.

use std::time::Duration;

use clap::{
    Args, Subcommand,
    builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser as _},
};
use everynode_render::OutputFormat;
use everynode_serving::program::duration;

#[derive(Debug, Clone, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct RolloutArgs {
    #[command(subcommand)]
    pub(crate) command: RolloutCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Show how far a rollout is, what it waits for, and what to do next.
    Status(RolloutStatusArgs),
    /// Stop replacing pods. Missing pods are still created.
    #[command(after_long_help = PAUSE_HELP)]
    Pause(VerbArgs),
    /// Replace pods again after a pause.
    #[command(after_long_help = RESUME_HELP)]
    Resume(VerbArgs),
    /// End the wait of a stage, so that the next one opens.
    Promote(PromoteArgs),
    /// Go back to the current revision on every node.
    #[command(after_long_help = ABORT_HELP)]
    Abort(VerbArgs),
    /// Start the rollout again with its first stage.
    #[command(after_long_help = RETRY_HELP)]
    Retry(VerbArgs),
    /// Update single nodes now, before their turn.
    Update(UpdateArgs),
    /// Return to an earlier template of the DaemonSet, as `kubectl rollout undo` does.
    Undo(UndoArgs),
    /// List the revisions of a DaemonSet and its earlier rollouts.
    History(HistoryArgs),
}

const HELP: &str = "\
These commands are for DaemonSets that a DaemonSetRolloutPolicy or a ClusterDaemonSetRolloutPolicy applies to. They read \
and change objects with kubectl, and need no connection to an executor. A change names the number of the rollout that it \
is for, so it never affects a later one. Everynode acts on it within seconds.

Examples:
  # Wait until the rollout ends, as in CI
  kubectl everynode rollout status ds/agent --watch --timeout 30m

  # Let the next stage begin
  kubectl everynode rollout promote ds/agent

Exit codes:
  0   success; status: the rollout is complete
  1   the command makes no sense now; status: the rollout has failed or is held
  64  usage; `kubectl everynode --help` lists the codes from 64 on
  75  status: the rollout is under way; all: Everynode hasn't observed the latest template yet";

/// The formats of `-o`.
const FORMATS: [&str; 3] = ["table", "json", "yaml"];

#[derive(Debug, Clone, Args)]
#[command(after_long_help = STATUS_HELP)]
pub(crate) struct RolloutStatusArgs {
    /// DaemonSet (ds/NAME, NAMESPACE/NAME or NAME).
    #[arg(value_name = "DAEMONSET")]
    pub(crate) daemon_set: String,

    /// Wait until the rollout ends. Prints a line for each change, or on a terminal a progress bar for each stage.
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// Time after which --watch stops waiting, such as 30m; by default none.
    #[arg(long, value_name = "DURATION", requires = "watch", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,

    /// End --watch with exit code 1 when only a person can make the rollout go on, such as by a promotion. By default,
    /// --watch waits for the person.
    #[arg(long, requires = "watch")]
    pub(crate) exit_on_wait: bool,

    /// Output format.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        conflicts_with = "watch",
        value_parser = PossibleValuesParser::new(FORMATS).try_map(|name| name.parse::<OutputFormat>())
    )]
    pub(crate) output: OutputFormat,
}

const STATUS_HELP: &str = "\
A rollout is held while it is paused or stalled, and it has failed if somebody aborted it. With --watch, both end the \
command; after an abort, it first waits until every node has the current revision. A stage that waits for a promotion \
doesn't end it, unless --exit-on-wait is set.

The command reports neither success nor failure before Everynode has observed the DaemonSet's latest template, the \
latest commands, and the latest policy.

Examples:
  # How far is the rollout of agent, and what does it wait for?
  kubectl everynode rollout status ds/agent

  # Wait for its end in CI
  kubectl everynode rollout status ds/agent --watch --timeout 30m

Exit codes:
  0   success: the rollout is complete
  1   the rollout is paused, stalled or aborted; with --exit-on-wait, it waits for a person
  64  usage; `kubectl everynode --help` lists the codes from 64 on
  66  the DaemonSet doesn't exist, or no policy applies to it
  75  the rollout is under way, or Everynode hasn't observed the latest change yet; with --watch: the timeout has passed";

#[derive(Debug, Clone, Args)]
pub(crate) struct VerbArgs {
    /// DaemonSet (ds/NAME, NAMESPACE/NAME or NAME).
    #[arg(value_name = "DAEMONSET")]
    pub(crate) daemon_set: String,

    /// Print what the command would do, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

const PAUSE_HELP: &str = "\
Examples:
  # Stop the rollout of agent where it is
  kubectl everynode rollout pause ds/agent

Exit codes:
  0   success: the rollout is paused
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

const RESUME_HELP: &str = "\
Examples:
  # Continue the rollout of agent
  kubectl everynode rollout resume ds/agent

Exit codes:
  0   success: the pause of the rollout has ended
  1   the policy pauses the rollout
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

const ABORT_HELP: &str = "\
Nodes that have the update revision get the current one again: without stages and soaks, within the budgets. The template \
of the DaemonSet stays as it is, so a tool that applies it from Git changes nothing. To continue, change the template \
or use `retry`.

Examples:
  # The canary fails: go back
  kubectl everynode rollout abort ds/agent

Exit codes:
  0   success: every node goes back to the current revision
  1   no rollout is under way
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

const RETRY_HELP: &str = "\
Examples:
  # The cause is fixed: start again with the first stage
  kubectl everynode rollout retry ds/agent

Exit codes:
  0   success: the rollout starts again
  1   the rollout is complete, or there has been none
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

#[derive(Debug, Clone, Args)]
#[command(after_long_help = PROMOTE_HELP)]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    pub(crate) verb: VerbArgs,

    /// Skip all stages, with their soaks and promotions. Budgets still apply.
    #[arg(long)]
    pub(crate) full: bool,

    /// The open stage, by its name. It then ends even if some of its nodes haven't been updated.
    #[arg(long, value_name = "NAME", conflicts_with = "full", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) stage: Option<String>,
}

const PROMOTE_HELP: &str = "\
Promotes the stage that soaks or waits for its promotion. If old pods were there when the policy began to apply, the \
first promotion begins the rollout.

Examples:
  # The canary looks good: let the next stage begin
  kubectl everynode rollout promote ds/agent

  # Skip all other stages too
  kubectl everynode rollout promote ds/agent --full

Exit codes:
  0   success: the stage is promoted
  1   nothing waits for a promotion
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

#[derive(Debug, Clone, Args)]
#[command(after_long_help = UPDATE_HELP)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    pub(crate) verb: VerbArgs,

    /// Node that gets the update revision now. A * stands for any text. Can be repeated; at most 50 nodes for each rollout.
    #[arg(long = "node", value_name = "NAME", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) nodes: Vec<String>,
}

const UPDATE_HELP: &str = "\
The nodes get the update revision within the budgets, even if their stage isn't open. They stay updated when it opens.

Examples:
  # Try the new revision on worker-3
  kubectl everynode rollout update ds/agent --node worker-3

Exit codes:
  0   success: the nodes are released
  1   no rollout is under way
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

#[derive(Debug, Clone, Args)]
#[command(after_long_help = UNDO_HELP)]
pub(crate) struct UndoArgs {
    #[command(flatten)]
    pub(crate) verb: VerbArgs,

    /// Number of the revision to return to, from `history`; by default the one before the latest.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) to_revision: Option<i64>,
}

const UNDO_HELP: &str = "\
Changes the template of the DaemonSet, and so begins a rollout. If the template is that of the current revision, every \
node goes back to it without stages and soaks. Otherwise, the rollout goes through the stages. `abort` goes back without \
a change of the template.

Examples:
  # Return to the template before the latest one
  kubectl everynode rollout undo ds/agent

Exit codes:
  0   success: the DaemonSet has the earlier template
  1   there is no earlier template, or the DaemonSet has it already
  64  usage; `kubectl everynode --help` lists the codes from 64 on";

#[derive(Debug, Clone, Args)]
#[command(after_long_help = HISTORY_HELP)]
pub(crate) struct HistoryArgs {
    /// DaemonSet (ds/NAME, NAMESPACE/NAME or NAME).
    #[arg(value_name = "DAEMONSET")]
    pub(crate) daemon_set: String,

    /// Output format.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        value_parser = PossibleValuesParser::new(FORMATS).try_map(|name| name.parse::<OutputFormat>())
    )]
    pub(crate) output: OutputFormat,
}

const HISTORY_HELP: &str = "\
The first table has the ControllerRevisions of the DaemonSet, latest first. The second one has up to 10 earlier rollouts.

Examples:
  # Which revisions has agent had, and how did their rollouts end?
  kubectl everynode rollout history ds/agent

Exit codes:
  0   success
  64  usage; `kubectl everynode --help` lists the codes from 64 on";
