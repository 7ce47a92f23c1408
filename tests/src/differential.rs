//! Differential tests: run the same steps under two `DaemonSet` controllers and compare the results.
//!
//! Two identical control planes run side by side: one under kube-controller-manager's own controller, one under
//! Everynode. A scenario has its own namespace and nodes on both. Each step acts on both, and waits until both have
//! reached the expected state and everything that users can see is equal on both: pods with labels, owners and specs,
//! the status, `ControllerRevision`s to the last byte, and the reasons of events. Only names, hashes and times may
//! differ. Where the order of nodes is undefined (contract R6), it may differ too.
//!
//! - [`side`] is one of the two control planes, with the actions that a step can take there;
//! - [`state`] holds everything that can be seen of a scenario on one side, and `normalize` removes from it what
//!   necessarily differs;
//! - [`diff`] lists the differences.

pub mod diff;
mod normalize;
pub mod side;
pub mod state;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::try_join;

use self::normalize::Normalizer;
use self::side::{ClusterClients, Side};
use self::state::State;
use crate::nodes::{self, NodeBuilder};
use crate::wait::eventually_every;

/// How long a step may take to settle. It normally takes a second. The limit is long because many steps run at a time.
const DEADLINE: Duration = Duration::from_secs(90);
/// How often to check whether a step has settled. Every check costs requests on both sides, and many scenarios check at
/// the same time.
const INTERVAL: Duration = Duration::from_millis(200);

/// The label of a scenario's nodes. Its value is the scenario's name, and the scenario's `DaemonSet`s select it.
pub const SCENARIO: &str = "scenario";

/// One scenario on both sides.
#[derive(Debug)]
pub struct Lockstep {
    name: String,
    reference: Side,
    everynode: Side,
    normalizer: Normalizer,
    steps: Vec<String>,
}

impl Lockstep {
    /// Creates the scenario's namespace on both sides.
    ///
    /// # Errors
    /// When an API server rejects a request.
    pub async fn new(name: &str, reference: &ClusterClients, everynode: &ClusterClients) -> Result<Self> {
        let (reference, everynode) = try_join!(
            Side::new(name, "kube-controller-manager", reference),
            Side::new(name, "Everynode", everynode)
        )?;
        Ok(Self {
            name: name.to_owned(),
            reference,
            everynode,
            normalizer: Normalizer::default(),
            steps: Vec::new(),
        })
    }

    /// Creates nodes on both sides, each labeled for the scenario, and waits until they are ready.
    ///
    /// # Errors
    /// When an API server rejects a request, or the nodes don't become ready.
    pub async fn nodes(&self, builders: impl IntoIterator<Item = NodeBuilder>) -> Result<()> {
        let builders: Vec<_> = builders
            .into_iter()
            .map(|builder| builder.label(SCENARIO, &self.name))
            .collect();
        try_join!(
            nodes::create_ready(self.reference.client(), builders.clone()),
            nodes::create_ready(self.everynode.client(), builders.clone()),
        )?;
        Ok(())
    }

    /// Creates `count` plain nodes.
    ///
    /// # Errors
    /// As [`Lockstep::nodes`].
    pub async fn plain_nodes(&self, count: usize) -> Result<()> {
        self.nodes((1..=count).map(|number| NodeBuilder::new(&self.node(number))))
            .await
    }

    /// The name of the scenario's node with this number.
    pub fn node(&self, number: usize) -> String {
        node_name(&self.name, number)
    }

    /// From here on, compares the pods without the nodes that they are on, because kube-controller-manager doesn't
    /// define which nodes come first in a rollout (contract R6).
    pub fn ignore_node_order(&mut self) {
        self.normalizer.any_node = true;
    }

    /// From here on, compares the pods of each node again.
    pub fn compare_node_order(&mut self) {
        self.normalizer.any_node = false;
    }

    /// From here on, ignores events of one reason. Use it for events that depend on a race.
    pub fn ignore_event(&mut self, reason: &'static str) {
        self.normalizer.without_event = Some(reason);
    }

    /// Acts on both sides, then waits until `settled` accepts both and both are equal.
    ///
    /// # Errors
    /// When the action fails, a side doesn't settle, or the sides differ. The error states which.
    pub async fn step(
        &mut self,
        what: &str,
        act: impl AsyncFn(&Side) -> Result<()>,
        settled: impl Fn(&State) -> Result<()>,
    ) -> Result<()> {
        self.steps.push(what.to_owned());
        let at = format!("scenario {:?} at {:?}", self.name, self.steps);
        let run = async |side: &Side| {
            Box::pin(act(side))
                .await
                .with_context(|| format!("under {}", side.controller()))
        };
        let done = try_join!(run(&self.reference), run(&self.everynode));
        done.with_context(|| at.clone())?;
        eventually_every(INTERVAL, DEADLINE, "both sides to be equal", async || {
            let (reference, everynode) = try_join!(self.reference.state(), self.everynode.state())?;
            self.compare(&reference, &everynode, &settled)
        })
        .await
        .context(at)
    }

    /// Like [`Lockstep::step`], but for states that never settle, such as a pod that fails again and again. It waits on
    /// both sides for the expected state and compares nothing.
    ///
    /// # Errors
    /// When the action fails, or the expected state isn't reached.
    pub async fn step_uncompared(
        &mut self,
        what: &str,
        act: impl AsyncFn(&Side) -> Result<()>,
        expected: impl Fn(&State) -> Result<()>,
    ) -> Result<()> {
        self.steps.push(what.to_owned());
        let at = format!("scenario {:?} at {:?}", self.name, self.steps);
        let run = async |side: &Side| {
            let step = async {
                Box::pin(act(side)).await?;
                eventually_every(INTERVAL, DEADLINE, "the expected state", async || {
                    expected(&side.state().await?)
                })
                .await
            };
            step.await.with_context(|| format!("under {}", side.controller()))
        };
        try_join!(run(&self.reference), run(&self.everynode)).context(at)?;
        Ok(())
    }

    /// Runs kubectl on both sides and compares what it prints.
    ///
    /// # Errors
    /// When kubectl fails, or the two outputs differ.
    pub async fn compare_output(&mut self, args: &[&str]) -> Result<String> {
        let (reference, everynode) = try_join!(self.reference.kubectl(args), self.everynode.kubectl(args))?;
        ensure!(
            reference == everynode,
            "scenario {:?}: {args:?} prints under kube-controller-manager\n{reference}\nand under Everynode\n{everynode}",
            self.name
        );
        Ok(everynode)
    }

    /// Checks that the two sides are still equal. Meant for the end of a scenario, to find late differences.
    ///
    /// # Errors
    /// When the two sides differ. The error lists the differences.
    pub async fn check(&self) -> Result<()> {
        let (reference, everynode) = try_join!(self.reference.state(), self.everynode.state())?;
        self.compare(&reference, &everynode, &|_| Ok(()))
            .with_context(|| format!("scenario {:?} at the end", self.name))
    }

    fn compare(
        &self,
        reference: &State,
        everynode: &State,
        settled: &impl Fn(&State) -> Result<()>,
    ) -> Result<()> {
        for (side, state) in [(&self.reference, reference), (&self.everynode, everynode)] {
            settled(state).with_context(|| format!("not settled under {}", side.controller()))?;
        }
        let differences = diff::differences(
            &self.normalizer.normalize(reference),
            &self.normalizer.normalize(everynode),
        );
        ensure!(
            differences.is_empty(),
            "under kube-controller-manager (-) and Everynode (+):\n{}",
            differences.join("\n")
        );
        Ok(())
    }
}

/// The name of a scenario's node.
fn node_name(scenario: &str, number: usize) -> String {
    format!("{scenario}-{number}")
}
