//! Random rollouts: policies, nodes, templates and people change at any moment, and both programs are killed. Every plan is
//! checked against a model of what a policy promises, and in the end every rollout ends.
//!
//! A longer run takes `EVERYNODE_ROLLOUT_SEEDS`, the number of seeds.

mod events;
mod model;
mod world;

use self::world::{World, hash_of, policy_of};
use crate::{
    decide::rollout::rules::{Rule, switch},
    model::rollout::{Knowledge, PolicySpec, State, Verbs},
    testing::seconds,
};

/// The number of events of a run.
const STEPS: usize = 800;
/// The number of runs, unless the environment says another one: more than 100,000 steps in all.
const SEEDS: u64 = 130;
/// The number of runs in which a rule that is switched off must be noticed.
const SEEDS_OF_A_MUTATION: u64 = 400;

/// Lets a cluster go through random events. Returns it, or what went wrong.
fn disturbed(seed: u64) -> Result<World, String> {
    let mut world = World::new(seed);
    for step in 0..STEPS {
        world.disturb();
        world
            .plan()
            .map_err(|error| format!("seed {seed}, step {step}: {error}"))?;
    }
    Ok(world)
}

/// Ends all trouble, gives every `DaemonSet` a last template, and promotes whatever waits.
fn settle(world: &mut World) -> Result<(), String> {
    world.dead.clear();
    world.set_knowledge(Knowledge::Known);
    let nodes: Vec<_> = world.nodes.values().cloned().collect();
    for mut node in nodes {
        let labels = node.labels.iter();
        let labels = labels.filter(|(key, _)| !key.starts_with("hold.everynode.io/"));
        node.labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
        world.nodes.insert(node.name.clone(), node.clone());
        world.fleet.node_changed(node);
    }
    for position in 0..world.sets.len() {
        let spec = PolicySpec {
            paused: false,
            ..events::random_spec(&mut world.random)
        };
        world.set_policy(position, Some(policy_of(position, Ok(spec))));
        world.set_verbs(position, Verbs::default());
        world.set_template(position, &hash_of(world::TEMPLATES));
    }
    for _ in 0..3_000 {
        world.plan()?;
        for position in 0..world.sets.len() {
            finish_all(world, position);
            world.write_memory(position);
            promote(world, position);
        }
        world.pass(5);
        world.plan()?;
        if world.is_at_rest() {
            return Ok(());
        }
    }
    let states: Vec<_> = world.sets.iter().map(|set| (&set.memory, &set.policy)).collect();
    Err(format!("the rollouts never end: {states:#?}"))
}

fn finish_all(world: &mut World, position: usize) {
    let ids: Vec<_> = world.sets[position].pending.keys().copied().collect();
    for id in ids {
        world.finish_action(position, id, true);
    }
}

/// Promotes the wait before the first stage or the active stage, and starts an aborted rollout again. A stage has a while to
/// end by itself.
fn promote(world: &mut World, position: usize) {
    let now = seconds(world.now);
    let set = &world.sets[position];
    let Some(memory) = &set.memory else { return };
    let mut verbs = Verbs::default();
    match memory.state {
        State::MemoryLost => verbs.retry = memory.rollout,
        State::Waiting => verbs.promote = Some((memory.rollout, "".into())),
        State::GoingBack if memory.current != memory.update => verbs.retry = memory.rollout,
        State::Progressing => {
            let active = memory.stages.iter().find(|stage| stage.done_at.is_none());
            let Some(active) = active.filter(|stage| now.since(stage.opened_at) > 300_000) else {
                return;
            };
            verbs.promote = Some((memory.rollout, active.name.clone()));
        }
        State::GoingBack | State::Completed => return,
    }
    if verbs != set.verbs {
        world.set_verbs(position, verbs);
    }
}

#[test]
fn random_rollouts_keep_every_promise_and_end() {
    let seeds = std::env::var("EVERYNODE_ROLLOUT_SEEDS");
    let seeds = seeds.ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for seed in 1..=seeds {
        let ended = disturbed(seed).and_then(|mut world| settle(&mut world));
        if let Err(error) = ended {
            panic!("seed {seed}: {error}");
        }
    }
}

#[test]
fn every_rule_that_is_switched_off_is_noticed() {
    let unnoticed: Vec<Rule> = switch::ALL
        .into_iter()
        .filter(|rule| {
            let is_noticed = |seed| switch::without(*rule, || disturbed(seed)).is_err();
            !(1..=SEEDS_OF_A_MUTATION).any(is_noticed)
        })
        .collect();
    assert_eq!(unnoticed, []);
}
