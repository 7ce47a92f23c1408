//! Measures the memory of a full sync (the peak, and what remains) and of a rolling update. A counting allocator and
//! the kernel provide the figures.

#![allow(clippy::print_stdout, reason = "what is printed is the result")]

mod driver;
mod scene;

use std::time::Instant;

use peak_alloc::PeakAlloc;
use prost::Message;

use self::{driver::Driver, scene::Scene};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The program's resident bytes according to the kernel, or 0 where the kernel doesn't report them.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kibibytes.unwrap_or_default() * 1_024
}

fn megabytes(bytes: usize) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

fn main() {
    let sizes = [(5_000, 50), (1_000, 50), (5_000, 5)];
    let scenes = sizes.map(|(nodes, daemon_sets)| Scene::new(nodes, daemon_sets));
    for scene in scenes.into_iter().chain([Scene::new(5_000, 50).with_policies()]) {
        let (nodes, daemon_sets) = (scene.nodes, scene.daemon_sets);
        let policies = if scene.has_policies { " under policies" } else { "" };
        let requests: Vec<_> = scene.sync().map(|request| request.encode_to_vec()).collect();
        let bytes: usize = requests.iter().map(Vec::len).sum();
        ALLOCATED.reset_peak_usage();
        let (before, resident_before) = (ALLOCATED.current_usage(), resident());
        let begin = Instant::now();
        let (session, last) = driver::sync(&requests);
        let took = begin.elapsed();
        drop(last);
        let (held, resident_held) = (ALLOCATED.current_usage(), resident());
        let peak = ALLOCATED.peak_usage() - before;
        let held = held - before;
        println!(
            "{nodes}x{daemon_sets}{policies} full sync of {}: {took:.0?}, peak {}, held {} = {} bytes a cell; resident +{} = {} \
             bytes a cell",
            megabytes(bytes),
            megabytes(peak),
            megabytes(held),
            held / scene.cells(),
            megabytes(resident_held.saturating_sub(resident_before)),
            resident_held.saturating_sub(resident_before) / scene.cells(),
        );
        drop(session);
        drop(requests);

        let before = ALLOCATED.current_usage();
        let mut driver = Driver::new(scene);
        for _ in 0..scene.cells() * 3 / 2 {
            driver.advance_rollout();
        }
        let session = driver.into_session();
        let held = ALLOCATED.current_usage() - before;
        println!(
            "{nodes}x{daemon_sets}{policies} in the middle of a rolling update: held {} = {} bytes a cell",
            megabytes(held),
            held / scene.cells()
        );
        drop(session);
    }
}
