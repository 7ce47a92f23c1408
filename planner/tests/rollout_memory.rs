//! A cell of a `DaemonSet` under a rollout policy takes few bytes in the planner, also in the middle of a rollout.

#[path = "../benches/driver.rs"]
mod driver;
#[path = "../benches/scene.rs"]
mod scene;

use peak_alloc::PeakAlloc;

use self::{driver::Driver, scene::Scene};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The most bytes that a cell may take: its pod, its marks, its place in the rollout, and its share of everything else.
const MOST: usize = 220;

#[test]
fn cell_under_a_policy_of_four_stages_takes_at_most_220_bytes() {
    let scene = Scene::new(5_000, 50).with_policies();
    let before = ALLOCATED.current_usage();
    let mut driver = Driver::new(scene);
    // A replacement has three events, so about half of the pods are replaced.
    for _ in 0..scene.cells() * 3 / 2 {
        driver.advance_rollout();
    }
    assert!(driver.has_replaced(scene.cells() / 4), "the rollouts don't go on");
    let session = driver.into_session();
    let bytes = (ALLOCATED.current_usage() - before) / scene.cells();
    drop(session);
    assert!(bytes <= MOST, "{bytes} bytes");
    assert!(bytes > MOST / 4, "{bytes} bytes are too few to be right");
}
