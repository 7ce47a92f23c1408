use std::{cell::Cell, collections::BTreeMap};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};

use super::{
    super::*,
    rest::{check_at_rest, run_to_rest},
    simulation::{Cluster, Simulation, Step, any_step},
};
use crate::{
    model::Pod,
    testing::{brief, seconds},
};

/// Uses the same sequences in every run, so that only a change of the code can cause a new failure.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        max_shrink_iters: 4_000,
        ..ProptestConfig::with_cases(cases)
    }
}

/// A fleet that receives a whole cluster, in an order that `seed` picks.
fn fresh_fleet(cluster: &Cluster, seed: u64) -> Fleet {
    enum Fact {
        Node(Node),
        DaemonSet(DaemonSet),
        Pod(Text, Pod),
    }
    let mut fleet = Fleet::default();
    fleet.track_availability();
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

/// The actions of a fleet's plans in short form, by `DaemonSet`.
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

fn reports(plans: &[RowPlan]) -> BTreeMap<Text, RowReport> {
    plans
        .iter()
        .map(|plan| (plan.uid.clone(), plan.report.clone()))
        .collect()
}

/// Ends everything in flight without any effect, and lets every backoff end. Then compares the fleet with one
/// that receives the same cluster for the first time.
fn check_like_a_fresh_fleet(simulation: &mut Simulation, seed: u64) -> Result<(), TestCaseError> {
    simulation.deliver_all();
    for id in std::mem::take(&mut simulation.pending).into_keys() {
        simulation.fleet.action_done(id);
    }
    let now = seconds(simulation.now + 2 * 3_600);
    let plans = simulation.fleet.plan(now);
    simulation.reports.extend(reports(&plans));
    let fresh = fresh_fleet(&simulation.cluster, seed).plan(now);
    prop_assert_eq!(actions(&plans), actions(&fresh));
    prop_assert_eq!(simulation.reports.clone(), reports(&fresh));
    Ok(())
}

/// Runs simulations of up to `most_steps` steps, each with a seed. Returns how many steps had something to
/// do. Half of the simulations begin empty, half with a running cluster.
#[track_caller]
fn simulate(
    cases: u32,
    most_steps: usize,
    check: impl Fn(&mut Simulation, &[Step], u64) -> Result<(), TestCaseError>,
) -> usize {
    let executed = Cell::new(0);
    let sequences = (vec(any_step(), 0..most_steps), any::<u64>());
    let result = TestRunner::new(config(cases)).run(&sequences, |(steps, seed)| {
        let mut simulation = if seed.is_multiple_of(2) {
            Simulation::new()
        } else {
            Simulation::with_running_pods()
        };
        let result = check(&mut simulation, &steps, seed);
        executed.set(executed.get() + simulation.executed);
        result
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    executed.get()
}

#[test]
fn invariants_hold_and_the_result_equals_a_fresh_fleet() {
    let executed = simulate(2_500, 200, |simulation, steps, seed| {
        simulation.steps(steps);
        check_like_a_fresh_fleet(simulation, seed)
    });
    assert!(executed >= 150_000, "only {executed} steps had something to do");
}

#[test]
fn plans_reach_a_fixed_point_with_the_desired_pods() {
    let executed = simulate(3_000, 120, |simulation, steps, seed| {
        simulation.steps(steps);
        run_to_rest(simulation);
        check_at_rest(simulation)?;
        let fresh = fresh_fleet(&simulation.cluster, seed).plan(seconds(simulation.now));
        prop_assert_eq!(
            actions(&fresh),
            BTreeMap::new(),
            "a plan that was applied is a fixed point"
        );
        prop_assert_eq!(reports(&fresh), simulation.reports.clone());
        Ok(())
    });
    assert!(executed >= 100_000, "only {executed} steps had something to do");
}

#[test]
fn planning_again_adds_no_actions() {
    simulate(500, 120, |simulation, steps, _| {
        simulation.plans_twice = true;
        simulation.steps(steps);
        Ok(())
    });
}

#[test]
fn plans_that_are_never_applied_leave_no_state_behind() {
    simulate(500, 120, |simulation, steps, seed| {
        for step in steps {
            match step {
                Step::Execute(..) | Step::Repeat(_) | Step::QuietRound(_) => {}
                Step::Plan(_) => {
                    simulation.step(step);
                    for id in std::mem::take(&mut simulation.pending).into_keys() {
                        simulation.fleet.action_done(id);
                    }
                }
                _ => simulation.step(step),
            }
        }
        check_like_a_fresh_fleet(simulation, seed)
    });
}

#[test]
fn input_order_does_not_matter() {
    simulate(500, 120, |simulation, steps, seed| {
        simulation.steps(steps);
        let now = seconds(simulation.now);
        let one = fresh_fleet(&simulation.cluster, seed).plan(now);
        prop_assert_eq!(one, fresh_fleet(&simulation.cluster, !seed).plan(now));
        Ok(())
    });
}
