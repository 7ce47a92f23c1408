//! Measures the latency of events, from a request's bytes to the plans' bytes. It prints percentiles, because a mean
//! hides slow events.

#![allow(clippy::print_stdout, reason = "what is printed is the result")]

mod driver;
mod scene;

use std::time::Duration;

use self::{driver::Driver, scene::Scene};

/// The number of pod readiness events measured. The other numbers of events derive from it.
const EVENTS: usize = 20_000;

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a position among a few thousand times"
        )]
        let position = (times.len() as f64 * percent / 100.0) as usize;
        let time = times.get(position).or(times.last()).copied().unwrap_or_default();
        format!("{:8.1} µs", time.as_secs_f64() * 1e6)
    };
    println!(
        "{what:<64} p50 {}  p99 {}  p99.9 {}  ({} events)",
        at(50.0),
        at(99.0),
        at(99.9),
        times.len()
    );
}

fn main() {
    let sizes = [(1_000, 5), (1_000, 50), (5_000, 5), (5_000, 50)];
    let scenes = sizes.map(|(nodes, daemon_sets)| Scene::new(nodes, daemon_sets));
    for scene in scenes.into_iter().chain([Scene::new(5_000, 50).with_policies()]) {
        let (nodes, daemon_sets) = (scene.nodes, scene.daemon_sets);
        let policies = if scene.has_policies { " under policies" } else { "" };
        let mut driver = Driver::new(scene);
        let mut measure = |what: &str, events: usize, event: fn(&mut Driver) -> [Duration; 2]| {
            let mut round = || event(&mut driver);
            // The first rounds warm the caches and don't count.
            for _ in 0..events / 20 {
                round();
            }
            report(
                &format!("{nodes}x{daemon_sets}{policies} {what}"),
                (0..events / 2).flat_map(|_| round()).collect(),
            );
        };
        measure("pod readiness", EVENTS, Driver::flip_pod);
        measure("node label", EVENTS / 10, Driver::flip_label);
        measure("node taint", EVENTS / 10, Driver::flip_taint);
        let rolling = |driver: &mut Driver| [driver.advance_rollout(), driver.advance_rollout()];
        measure("pod in a rolling update", EVENTS * 3, rolling);
    }
}
