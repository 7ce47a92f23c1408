//! The command `rollout`: shows and controls the rollouts of DaemonSets under a rollout policy.
//!
//! - `objects`: the objects that the commands read; `cluster`: reads and changes them with kubectl.
//! - `progress`: the state of a rollout; `render`: prints it; `watch`, `bars`: waits for its end.
//! - `verbs`: what each verb changes, or why it makes no sense; `history`: revisions and earlier rollouts.

mod bars;
mod cluster;
mod history;
mod objects;
mod progress;
mod render;
mod verbs;
mod watch;

use everynode_serving::program::exit::Exit;
use jiff::Timestamp;

use self::{
    cluster::{Cluster, Target},
    history::History,
    progress::Snapshot,
    verbs::{Promotion, Step},
};
use super::{
    args::{
        HistoryArgs, PromoteArgs, RolloutArgs, RolloutCommand, RolloutStatusArgs, UndoArgs, UpdateArgs,
        VerbArgs,
    },
    commands::CommandRunner,
    error::Error,
    selection::NodePatterns,
};

/// How often a change is tried while other changes of the object come first.
const MAX_ATTEMPTS: usize = 5;

impl CommandRunner {
    /// Runs a command of `rollout` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, kubectl fails, the command makes no sense in the rollout's state, or the answer can't be
    /// printed.
    pub(crate) async fn rollout(&self, args: &RolloutArgs) -> Result<Exit, Error> {
        match &args.command {
            RolloutCommand::Status(args) => self.rollout_status(args).await,
            RolloutCommand::Pause(args) => {
                self.apply(args, |target, found| Ok(verbs::pause(target, found)))
                    .await
            }
            RolloutCommand::Resume(args) => self.apply(args, verbs::resume).await,
            RolloutCommand::Promote(args) => self.promote(args).await,
            RolloutCommand::Abort(args) => self.apply(args, verbs::abort).await,
            RolloutCommand::Retry(args) => self.apply(args, verbs::retry).await,
            RolloutCommand::Update(args) => self.update(args).await,
            RolloutCommand::Undo(args) => self.undo(args).await,
            RolloutCommand::History(args) => self.history(args).await,
        }
    }

    async fn cluster(&self, daemon_set: &str) -> Result<Cluster<'_>, Error> {
        Ok(Cluster {
            kubectl: self.connector().kubectl(),
            target: Target::of_command(self.connector(), daemon_set).await?,
        })
    }

    async fn rollout_status(&self, args: &RolloutStatusArgs) -> Result<Exit, Error> {
        let cluster = self.cluster(&args.daemon_set).await?;
        if args.watch {
            return watch::watch(&cluster, args).await;
        }
        let snapshot = cluster.read().await?;
        let text = render::status(&cluster.target, &snapshot, Timestamp::now(), args.output)?;
        everynode_render::print(&text)?;
        Ok(watch::exit_now(&snapshot.outcome()))
    }

    async fn promote(&self, args: &PromoteArgs) -> Result<Exit, Error> {
        let promotion = match &args.stage {
            Some(stage) => Promotion::Named(stage),
            None if args.full => Promotion::Full,
            None => Promotion::Waiting,
        };
        let decide = |target: &Target, snapshot: &Snapshot| verbs::promote(target, snapshot, promotion);
        self.apply(&args.verb, decide).await
    }

    async fn update(&self, args: &UpdateArgs) -> Result<Exit, Error> {
        let patterns = NodePatterns::parse(&args.nodes)?;
        let nodes = patterns.select(self.connector().kubectl()).await?;
        let decide = |target: &Target, snapshot: &Snapshot| verbs::update(target, snapshot, &nodes);
        self.apply(&args.verb, decide).await
    }

    /// Decides on a change and makes it. Decides again if the object has changed in between.
    async fn apply(
        &self,
        args: &VerbArgs,
        decide: impl Fn(&Target, &Snapshot) -> Result<Step, Error>,
    ) -> Result<Exit, Error> {
        let cluster = self.cluster(&args.daemon_set).await?;
        let mut snapshot = cluster.read().await?;
        let mut attempts = 0;
        loop {
            let Step { patch, sentence } = decide(&cluster.target, &snapshot)?;
            let Some(patch) = patch else {
                return say(&sentence);
            };
            if args.dry_run {
                return say(&format!(
                    "{sentence} (dry run: nothing was changed; the patch is {patch})"
                ));
            }
            let Err(error) = cluster.patch(&patch).await else {
                return say(&sentence);
            };
            let version = snapshot.rollout.metadata.resource_version;
            snapshot = cluster.read().await?;
            let has_changed = snapshot.rollout.metadata.resource_version != version;
            attempts += 1;
            if !has_changed || attempts >= MAX_ATTEMPTS {
                return Err(error);
            }
        }
    }

    async fn undo(&self, args: &UndoArgs) -> Result<Exit, Error> {
        let cluster = self.cluster(&args.verb.daemon_set).await?;
        let daemon_set = cluster.daemon_set().await?;
        let rollout = cluster.rollout().await?;
        let revisions = cluster.revisions(&daemon_set.metadata).await?;
        let status = rollout.as_ref().map(|rollout| &rollout.status);
        let undo = history::undo(&cluster.target, &revisions, status, args.to_revision)?;
        if args.verb.dry_run {
            return say(&format!("{} (dry run: nothing was changed)", undo.sentence));
        }
        cluster.undo(undo.revision).await?;
        say(&undo.sentence)
    }

    async fn history(&self, args: &HistoryArgs) -> Result<Exit, Error> {
        let cluster = self.cluster(&args.daemon_set).await?;
        let daemon_set = cluster.daemon_set().await?;
        let rollout = cluster.rollout().await?;
        let revisions = cluster.revisions(&daemon_set.metadata).await?;
        let status = rollout.as_ref().map(|rollout| &rollout.status);
        let history = History::new(&cluster.target, &revisions, status);
        everynode_render::print(&history.render(Timestamp::now(), args.output)?)?;
        Ok(Exit::Success)
    }
}

/// Prints a sentence as the answer.
fn say(sentence: &str) -> Result<Exit, Error> {
    let sentence = everynode_render::text::printable(sentence);
    everynode_render::print(&format!("{sentence}\n"))?;
    Ok(Exit::Success)
}
