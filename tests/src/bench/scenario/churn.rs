//! A cluster at rest where objects change all the time, but nothing needs to be done: pods turn unready and ready
//! again, nodes change labels that no selector uses, and now and then a tolerated taint is added or removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::bench::Settings;
use crate::bench::cluster::BenchCluster;
use crate::bench::contender::Contender;
use crate::bench::population::{self, NAMESPACE, node_name};
use crate::bench::report::{Figure, Outcome, Unit};
use crate::bench::trial::Trial;
use crate::nodes;

/// Percentages of the events that change a node's label and a node's taint. All other events change a pod.
const LABELS: usize = 8;
const TAINTS: usize = 2;

/// Maximum number of changes in flight. All changes of one object go to the same worker, so they are made in the
/// order in which they are drawn.
const WORKERS: usize = 32;

/// The sequence of changes. It is the same for both contenders.
#[derive(Debug)]
struct Churn {
    random: fastrand::Rng,
    pods: Vec<(String, bool)>,
    nodes: Vec<(String, bool, bool)>,
}

/// A change to make.
#[derive(Debug, Clone)]
enum Event {
    Pod { name: String, ready: bool },
    Label { node: String, there: bool },
    Taint { node: String, there: bool },
}

impl Churn {
    /// The next change, and the index of its object.
    fn next(&mut self) -> (usize, Event) {
        let kind = self.random.usize(..100);
        if kind < LABELS + TAINTS {
            let index = self.random.usize(..self.nodes.len());
            #[expect(clippy::indexing_slicing, reason = "the index was just drawn from its range")]
            let (name, label, taint) = &mut self.nodes[index];
            let node = name.clone();
            let event = if kind < LABELS {
                *label = !*label;
                Event::Label { node, there: *label }
            } else {
                *taint = !*taint;
                Event::Taint { node, there: *taint }
            };
            (index, event)
        } else {
            let index = self.random.usize(..self.pods.len());
            #[expect(clippy::indexing_slicing, reason = "the index was just drawn from its range")]
            let (name, ready) = &mut self.pods[index];
            *ready = !*ready;
            let event = Event::Pod {
                name: name.clone(),
                ready: *ready,
            };
            (index, event)
        }
    }

    /// How many pods of each `DaemonSet` are ready.
    fn ready(&self) -> BTreeMap<&str, i32> {
        let mut ready = BTreeMap::new();
        for (name, is_ready) in &self.pods {
            let daemon_set = name.rsplit_once('-').map_or("", |(daemon_set, _)| daemon_set);
            *ready.entry(daemon_set).or_default() += i32::from(*is_ready);
        }
        ready
    }
}

async fn work(client: Client, mut events: mpsc::UnboundedReceiver<Event>) -> Result<()> {
    while let Some(event) = events.recv().await {
        apply(client.clone(), event).await?;
    }
    Ok(())
}

async fn apply(client: Client, event: Event) -> Result<()> {
    match event {
        Event::Pod { name, ready } => {
            let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
            population::patch_pod_status(&pods, &name, &population::pod_status(ready)).await
        }
        Event::Label { node, there } => nodes::label(&client, &node, "bench/flip", there.then_some("on"))
            .await
            .map(drop),
        Event::Taint { node, there } => {
            let taint = nodes::taint("bench/flip", "", "NoSchedule");
            let taints: Vec<_> = there.then_some(taint).into_iter().collect();
            nodes::set_taints(&client, &node, &taints).await.map(drop)
        }
    }
}

/// Measures the resources that a contender uses while events arrive at a fixed rate, and then until the statuses
/// reflect the last event.
///
/// # Errors
/// When a status is still wrong at the deadline.
pub async fn run(settings: &Settings, contender: Contender, store: &Path) -> Result<Outcome> {
    let cluster = BenchCluster::start(&[], Some(store)).await?;
    let client = cluster.client.clone();
    let mut trial = Trial::start(cluster, contender, settings).await?;
    trial.warm_up().await?;
    let pods = population::pod_names(&client).await?;
    let mut churn = Churn {
        random: fastrand::Rng::with_seed(7),
        pods: pods.into_iter().map(|name| (name, true)).collect(),
        nodes: (0..settings.nodes)
            .map(|index| (node_name(index), false, false))
            .collect(),
    };
    trial.begin()?;
    let mut workers = JoinSet::new();
    let queues: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (sender, events) = mpsc::unbounded_channel();
            workers.spawn(work(client.clone(), events));
            sender
        })
        .collect();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / settings.rate.max(1));
    for _ in 0..settings.rate * settings.seconds {
        ticks.tick().await;
        let (object, event) = churn.next();
        // The error of a failed worker is returned below.
        let _ = queues.get(object % WORKERS).map(|queue| queue.send(event));
    }
    drop(queues);
    while let Some(worked) = workers.join_next().await {
        worked??;
    }
    let ready = churn.ready();
    trial
        .wait_until("every status to have the number of ready pods", async || {
            check(&client, &ready).await
        })
        .await?;
    let measurement = trial.end(Vec::new())?;
    let figures = vec![
        Figure::new("wall", Unit::Seconds, f64::from(settings.seconds)),
        Figure::count("events", u64::from(settings.rate * settings.seconds)),
    ];
    trial.stop().await?;
    Ok(measurement.outcome(figures))
}

async fn check(client: &Client, ready: &BTreeMap<&str, i32>) -> Result<()> {
    let api: Api<DaemonSet> = Api::namespaced(client.clone(), NAMESPACE);
    let daemon_sets = api.list(&ListParams::default().labels("bench=true")).await?;
    for daemon_set in daemon_sets {
        let name = daemon_set.name_any();
        let reported = daemon_set.status.map_or(0, |status| status.number_ready);
        let expected = ready.get(name.as_str()).copied().unwrap_or_default();
        ensure!(
            reported == expected,
            "{name}: status.numberReady is {reported}, expected {expected}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::population::daemon_set_name;

    #[test]
    fn both_contenders_get_the_same_events() {
        let churn = || Churn {
            random: fastrand::Rng::with_seed(7),
            pods: (0..10)
                .map(|index| (format!("{}-abcde{index}", daemon_set_name(index % 2)), true))
                .collect(),
            nodes: vec![(node_name(0), false, false)],
        };
        let (mut one, mut other) = (churn(), churn());
        for _ in 0..500 {
            assert_eq!(format!("{:?}", one.next()), format!("{:?}", other.next()));
        }
        let ready: i32 = one.ready().values().sum();
        let counted = one.pods.iter().filter(|(_, ready)| *ready).count();
        assert_eq!(ready, i32::try_from(counted).unwrap());
        assert_eq!(one.ready().len(), 2);
    }
}
