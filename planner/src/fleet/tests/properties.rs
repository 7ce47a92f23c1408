use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, test_runner::RngSeed};

use super::{
    super::*,
    simulation::{Cluster, Simulation, Step, any_step},
};
use crate::{
    decide::placement::Placement,
    model::{Phase, Pod, Strategy as Update, Verdict},
    testing::{brief, seconds},
};

/// The same sequences in every run, so that a failure is a change's fault.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::with_cases(cases)
    }
}

/// A fleet that is told a whole cluster, in an order that `seed` picks.
fn told(cluster: &Cluster, seed: u64) -> Fleet {
    enum Fact {
        Node(Node),
        DaemonSet(DaemonSet),
        Pod(Text, Pod),
    }
    let mut fleet = Fleet::default();
    let nodes = cluster.nodes.values().cloned().map(Fact::Node);
    let daemon_sets = cluster.daemon_sets.values().cloned().map(Fact::DaemonSet);
    let pods = cluster
        .pods
        .values()
        .cloned()
        .map(|(owner, pod)| Fact::Pod(owner, pod));
    let mut facts: Vec<_> = nodes.chain(daemon_sets).chain(pods).collect();
    shuffle(&mut facts, seed);
    for fact in facts {
        match fact {
            Fact::Node(node) => fleet.node_changed(node),
            Fact::DaemonSet(daemon_set) => fleet.daemon_set_changed(daemon_set),
            Fact::Pod(owner, pod) => fleet.pod_changed(&owner, pod),
        }
    }
    fleet
}

fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for last in (1..items.len()).rev() {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, usize::try_from(seed >> 33).unwrap() % (last + 1));
    }
}

/// The actions of a fleet's plans, in short, `DaemonSet` by `DaemonSet`.
fn actions(plans: &[RowPlan]) -> BTreeMap<Text, Vec<String>> {
    let with_actions = plans.iter().filter(|plan| !plan.actions.is_empty());
    with_actions
        .map(|plan| {
            (
                plan.uid.clone(),
                plan.actions.iter().map(|(_, action)| brief(action)).collect(),
            )
        })
        .collect()
}

fn said(plans: &[RowPlan]) -> BTreeMap<Text, Said> {
    plans
        .iter()
        .map(|plan| (plan.uid.clone(), plan.said.clone()))
        .collect()
}

/// Ends everything in flight without any effect, lets every backoff end, and compares with a fleet that is told the
/// same cluster for the first time.
fn check_like_a_fresh_fleet(mut simulation: Simulation, seed: u64) -> Result<(), TestCaseError> {
    simulation.settle_watches();
    for id in std::mem::take(&mut simulation.pending).into_keys() {
        simulation.fleet.action_done(id);
    }
    let now = seconds(simulation.now + 2 * 3_600);
    let plans = simulation.fleet.plan(now);
    simulation.said.extend(said(&plans));
    let fresh = told(&simulation.cluster, seed).plan(now);
    prop_assert_eq!(actions(&plans), actions(&fresh));
    prop_assert_eq!(simulation.said, said(&fresh));
    Ok(())
}

/// Lets everything that can happen happen, every pod become ready and every action succeed, until nothing is planned.
fn run_to_rest(simulation: &mut Simulation) {
    for _ in 0..500 {
        simulation.settle_watches();
        let planned = simulation.plan();
        while let Some(id) = simulation.pending.keys().next().copied() {
            simulation.execute(id, 0);
        }
        let pods = simulation.cluster.pods.len();
        for which in 0..pods {
            // Bound, then ready, or gone if it is terminating.
            let unready =
                |pod: &Pod| pod.ready_since.is_none() && !pod.deleting && pod.phase == Phase::Active;
            let (_, pod) = simulation.cluster.pods.values().nth(which).unwrap();
            if unready(pod) {
                simulation.step(&Step::MovePod(which, 3));
                simulation.step(&Step::MovePod(which, 0));
            }
        }
        for which in (0..pods).rev() {
            simulation.step(&Step::MovePod(which, 9));
        }
        simulation.settle_watches();
        simulation.now += 1_000;
        if planned == 0 && simulation.plan() == 0 {
            return;
        }
    }
    panic!("no rest: {simulation:#?}");
}

fn check_at_rest(simulation: &Simulation) -> Result<(), TestCaseError> {
    let Cluster {
        nodes,
        daemon_sets,
        pods,
    } = &simulation.cluster;
    for (uid, daemon_set) in daemon_sets {
        let placement = Placement::new(daemon_set);
        for node in nodes.values() {
            let there: Vec<_> = pods
                .values()
                .filter(|(owner, pod)| owner == uid && pod.node == node.name)
                .map(|(_, pod)| pod)
                .collect();
            let on_delete = daemon_set.strategy == Update::OnDelete;
            let current = |pod: &&&Pod| pod.revision == daemon_set.update_revision || on_delete;
            let current = there.iter().filter(current).count();
            let expected = match placement.verdict(node) {
                Verdict::Run => 1..=1,
                Verdict::Keep => 0..=1,
                Verdict::Exclude => 0..=0,
            };
            prop_assert!(expected.contains(&there.len()), "{uid} on {node:?}: {there:#?}");
            // An available old pod stays on a kept node while none may be missing.
            prop_assert!(
                current == there.len() || placement.verdict(node) == Verdict::Keep,
                "{there:#?}"
            );
        }
        let unbound = pods
            .values()
            .find(|(_, pod)| !pod.bound && !nodes.contains_key(&pod.node));
        prop_assert_eq!(unbound, None, "nothing waits for a node that is gone");
        let status = simulation.said[uid].status.unwrap();
        prop_assert_eq!(status.number_unavailable, 0);
        prop_assert_eq!(status.number_available, status.desired_number_scheduled);
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn what_must_always_hold_holds_and_the_end_is_as_told_afresh(steps in vec(any_step(), 0..120), seed: u64) {
        let mut simulation = Simulation::new();
        simulation.steps(&steps);
        check_like_a_fresh_fleet(simulation, seed)?;
    }

    #[test]
    fn plans_that_are_never_applied_leave_nothing_behind(steps in vec(any_step(), 0..120), seed: u64) {
        let mut simulation = Simulation::new();
        for step in &steps {
            match step {
                Step::Execute(..) | Step::Repeat(_) => {}
                Step::Plan(_) => {
                    simulation.step(step);
                    for id in std::mem::take(&mut simulation.pending).into_keys() {
                        simulation.fleet.action_done(id);
                    }
                }
                _ => simulation.step(step),
            }
        }
        check_like_a_fresh_fleet(simulation, seed)?;
    }

    #[test]
    fn the_order_of_input_doesnt_matter(steps in vec(any_step(), 0..120), seed: u64, other: u64) {
        let mut simulation = Simulation::new();
        simulation.steps(&steps);
        let now = seconds(simulation.now);
        let one = told(&simulation.cluster, seed).plan(now);
        prop_assert_eq!(one, told(&simulation.cluster, other).plan(now));
    }

    #[test]
    fn plans_come_to_rest_with_what_was_asked_for(steps in vec(any_step(), 0..80), seed: u64) {
        let mut simulation = Simulation::new();
        simulation.steps(&steps);
        run_to_rest(&mut simulation);
        check_at_rest(&simulation)?;
        let fresh = told(&simulation.cluster, seed).plan(seconds(simulation.now));
        prop_assert_eq!(actions(&fresh), BTreeMap::new(), "a plan that was applied is a fixed point");
        prop_assert_eq!(said(&fresh), simulation.said);
    }
}
