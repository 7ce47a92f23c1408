//! Measures mean times: of a single plan from facts, of each event in a session, and of a full sync.

mod driver;
mod scene;

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use everynode_planner::{
    convert,
    decide::Decision,
    fleet::Fleet,
    intern::Interner,
    model::{DaemonSet, Millis, Node, Pod, Text},
};
use prost::Message;

use self::{
    driver::Driver,
    scene::{BEGIN_SECONDS, FIRST_REVISION, Scene},
};

/// The facts that a `Plan` call has read before it decides.
#[derive(Clone)]
struct Facts {
    daemon_set: DaemonSet,
    #[expect(clippy::vec_box, reason = "a fleet takes them as they are")]
    nodes: Vec<Box<Node>>,
    pods: Vec<(Text, Pod)>,
}

impl Facts {
    fn new(scene: Scene, with_pods: bool) -> Self {
        let mut strings = Interner::default();
        let nodes = (0..scene.nodes).filter_map(|node| convert::node(&Scene::node(node), &mut strings).ok());
        let nodes = nodes.collect();
        let pods = scene.pods().filter(|_| with_pods);
        let pods = pods
            .filter_map(|pod| convert::pod(&pod, &mut strings).ok())
            .collect();
        let mut facts = scene.daemon_set(0, 1, FIRST_REVISION);
        if let Some(template) = &mut facts.template
            && !scene.six_terms
        {
            template.node_selector.clear();
        }
        let Ok(daemon_set) = convert::daemon_set(&facts, &mut strings) else {
            unreachable!("the scene's DaemonSets are well-formed")
        };
        Self {
            daemon_set,
            nodes,
            pods,
        }
    }

    fn plan(self) -> (Fleet, Option<Decision>) {
        let uid = self.daemon_set.uid.clone();
        let mut fleet = Fleet::with_capacity(self.nodes.len(), self.pods.len());
        for node in self.nodes {
            fleet.node_changed(node);
        }
        for (owner, pod) in self.pods {
            fleet.pod_changed(&owner, pod);
        }
        fleet.daemon_set_changed(self.daemon_set);
        let decision = fleet.decide(&uid, Millis(BEGIN_SECONDS * 1_000));
        (fleet, decision)
    }
}

fn one_shot(criterion: &mut Criterion) {
    // This many objects arrive in a message of tens of megabytes. Freeing a buffer of that size makes the
    // allocator keep memory at hand, as in a planner that has already served such a call. Otherwise the
    // benchmark would measure the kernel's page faults.
    drop(black_box(Vec::<u8>::with_capacity(30 << 20)));
    let mut group = criterion.benchmark_group("one-shot");
    for nodes in [1_000, 5_000, 10_000] {
        group.throughput(Throughput::Elements(nodes as u64));
        for (six_terms, terms) in [(false, "plain"), (true, "six terms")] {
            for (with_pods, state) in [(false, "no pods"), (true, "steady")] {
                let facts = Facts::new(
                    Scene {
                        six_terms,
                        ..Scene::new(nodes, 1)
                    },
                    with_pods,
                );
                let expected = if with_pods { 0 } else { nodes };
                let actions = facts.clone().plan().1.map(|decision| decision.actions.len());
                assert_eq!(actions, Some(expected));
                group.bench_function(BenchmarkId::new(format!("{terms}, {state}"), nodes), |bencher| {
                    bencher.iter_batched(|| facts.clone(), Facts::plan, BatchSize::PerIteration);
                });
            }
        }
    }
}

/// Repeats an event, and sums the mean of its two durations over all repetitions.
fn repeated(driver: &mut Driver, times: u64, event: impl Fn(&mut Driver) -> [Duration; 2]) -> Duration {
    (0..times)
        .map(|_| event(driver).iter().sum::<Duration>() / 2)
        .sum()
}

fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event");
    for (nodes, daemon_sets) in [(1_000, 5), (1_000, 50), (5_000, 5), (5_000, 50)] {
        let size = format!("{nodes}x{daemon_sets}");
        let mut driver = Driver::new(Scene::new(nodes, daemon_sets));
        group.bench_function(BenchmarkId::new("pod", &size), |bencher| {
            bencher.iter_custom(|times| repeated(&mut driver, times, Driver::flip_pod));
        });
        if (nodes, daemon_sets) == (5_000, 50) {
            group.bench_function(BenchmarkId::new("node label", &size), |bencher| {
                bencher.iter_custom(|times| repeated(&mut driver, times, Driver::flip_label));
            });
            group.bench_function(BenchmarkId::new("node taint", &size), |bencher| {
                bencher.iter_custom(|times| repeated(&mut driver, times, Driver::flip_taint));
            });
        }
        group.bench_function(BenchmarkId::new("pod in a rolling update", &size), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| driver.advance_rollout()).sum());
        });
    }
}

fn full_sync(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("full sync");
    group.sample_size(10);
    let scene = Scene::new(5_000, 50);
    let requests: Vec<_> = scene.sync().map(|request| request.encode_to_vec()).collect();
    group.throughput(Throughput::Elements(scene.cells() as u64));
    group.bench_function("5000x50", |bencher| {
        bencher.iter_with_large_drop(|| driver::sync(&requests));
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    one_shot(&mut criterion);
    events(&mut criterion);
    full_sync(&mut criterion);
    criterion.final_summary();
}
