//! The same steps under two `DaemonSet` controllers, and what has come of them compared.
//!
//! Two control planes of the same kind run side by side: one under kube-controller-manager's own controller, one under Everynode.
//! A scenario has a namespace and nodes of its own on both. It does a step on both, waits until what it expects has come on both,
//! and then until everything that users can see is the same on both: pods with labels, owners and specs, the status,
//! `ControllerRevision`s to the last byte, the reasons of events. Only names, hashes and times may differ, and where a step can't
//! pin down which node is served first (contract R6), the order of the nodes.
//!
//! - [`side`] is one of the two with what a step does there;
//! - [`state`] is what is to be seen of a scenario on one side, and `view` leaves out of it what has to differ;
//! - [`diff`] says what differs.

pub mod diff;
pub mod side;
pub mod state;
mod view;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::try_join;

use self::side::{Control, Side};
use self::state::State;
use self::view::View;
use crate::nodes::{self, NodeBuilder};
use crate::wait::eventually_every;

/// How long a step may take until it has settled: long against the second that it takes, because many run at a time.
const SETTLED: Duration = Duration::from_secs(90);
/// Every look costs requests on both sides, and many scenarios look at a time.
const INTERVAL: Duration = Duration::from_millis(200);

/// The label that a scenario's nodes have with its name, and that its `DaemonSet`s select.
pub const SCENARIO: &str = "scenario";

/// One scenario on both sides.
#[derive(Debug)]
pub struct Lockstep {
    name: String,
    reference: Side,
    everynode: Side,
    view: View,
    steps: Vec<String>,
}

impl Lockstep {
    /// Makes the scenario's namespace on both sides.
    ///
    /// # Errors
    /// When an API server refuses.
    pub async fn new(name: &str, reference: &Control, everynode: &Control) -> Result<Self> {
        let (reference, everynode) = try_join!(
            Side::new(name, "kube-controller-manager", reference),
            Side::new(name, "Everynode", everynode)
        )?;
        Ok(Self {
            name: name.to_owned(),
            reference,
            everynode,
            view: View::default(),
            steps: Vec::new(),
        })
    }

    /// Creates nodes on both sides, each labelled for the scenario, and waits until they are ready.
    ///
    /// # Errors
    /// When an API server refuses, or they don't become ready.
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

    /// Creates so many plain nodes.
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

    /// Which nodes come first in a rollout isn't said upstream (contract R6), so from here on only how many there are of each kind
    /// is compared.
    pub fn in_any_order(&mut self) {
        self.view.any_node = true;
    }

    /// From here on every node is compared with itself again.
    pub fn in_order(&mut self) {
        self.view.any_node = false;
    }

    /// Leaves events of a reason out from here on: for what depends on who is quicker.
    pub fn without_event(&mut self, reason: &'static str) {
        self.view.without_event = Some(reason);
    }

    /// Does something on both sides, waits until `settled` holds on both, and until both look the same.
    ///
    /// # Errors
    /// What didn't settle, or what differs.
    pub async fn step(
        &mut self,
        what: &str,
        act: impl AsyncFn(&Side) -> Result<()>,
        settled: impl Fn(&State) -> Result<()>,
    ) -> Result<()> {
        self.steps.push(what.to_owned());
        let at = format!("scenario {:?} at {:?}", self.name, self.steps);
        let do_it = async |side: &Side| {
            Box::pin(act(side))
                .await
                .with_context(|| format!("under {}", side.controller()))
        };
        let done = try_join!(do_it(&self.reference), do_it(&self.everynode));
        done.with_context(|| at.clone())?;
        eventually_every(INTERVAL, SETTLED, "both sides to look the same", async || {
            let (reference, everynode) = try_join!(self.reference.state(), self.everynode.state())?;
            self.agree(&reference, &everynode, &settled)
        })
        .await
        .context(at)
    }

    /// As [`Lockstep::step`] for what doesn't come to rest, such as a pod that fails again and again: waits on both sides for what is
    /// expected, and compares nothing.
    ///
    /// # Errors
    /// What didn't come.
    pub async fn pass(
        &mut self,
        what: &str,
        act: impl AsyncFn(&Side) -> Result<()>,
        seen: impl Fn(&State) -> Result<()>,
    ) -> Result<()> {
        self.steps.push(what.to_owned());
        let at = format!("scenario {:?} at {:?}", self.name, self.steps);
        let pass = async |side: &Side| {
            let passed = async {
                Box::pin(act(side)).await?;
                eventually_every(INTERVAL, SETTLED, "what is expected", async || {
                    seen(&side.state().await?)
                })
                .await
            };
            passed
                .await
                .with_context(|| format!("under {}", side.controller()))
        };
        try_join!(pass(&self.reference), pass(&self.everynode)).context(at)?;
        Ok(())
    }

    /// Runs kubectl on both sides and compares what it prints.
    ///
    /// # Errors
    /// When it fails, or prints something else.
    pub async fn same_output(&mut self, args: &[&str]) -> Result<String> {
        let (reference, everynode) = try_join!(self.reference.kubectl(args), self.everynode.kubectl(args))?;
        ensure!(
            reference == everynode,
            "scenario {:?}: {args:?} prints under kube-controller-manager\n{reference}\nand under Everynode\n{everynode}",
            self.name
        );
        Ok(everynode)
    }

    /// Whether the two sides still look the same. For the end, when everything has had the time to go wrong.
    ///
    /// # Errors
    /// What differs.
    pub async fn check(&self) -> Result<()> {
        let (reference, everynode) = try_join!(self.reference.state(), self.everynode.state())?;
        self.agree(&reference, &everynode, &|_| Ok(()))
            .with_context(|| format!("scenario {:?} at the end", self.name))
    }

    fn agree(
        &self,
        reference: &State,
        everynode: &State,
        settled: &impl Fn(&State) -> Result<()>,
    ) -> Result<()> {
        for (side, state) in [(&self.reference, reference), (&self.everynode, everynode)] {
            settled(state).with_context(|| format!("not settled under {}", side.controller()))?;
        }
        let differences = diff::differences(&self.view.of(reference), &self.view.of(everynode));
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
