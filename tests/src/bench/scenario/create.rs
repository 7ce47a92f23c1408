//! `DaemonSet`s are created on a cluster of empty nodes.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::bench::Settings;
use crate::bench::cluster::BenchCluster;
use crate::bench::contender::Contender;
use crate::bench::meter::usage;
use crate::bench::population::{
    Expected, NAMESPACE, create_daemon_sets, create_nodes, daemon_set_name, node_name, pod, post_pods,
};
use crate::bench::report::{Figure, Outcome, Unit};
use crate::bench::trial::Trial;
use crate::control_plane::Component;
use crate::daemonsets;

/// Maximum number of requests that the executor has in flight for one `DaemonSet`. The bare client has the same limit.
const MAX_IN_FLIGHT: usize = 32;

/// Measures from the creation of the first `DaemonSet` until every status is right.
///
/// # Errors
/// When a pod is missing in the end, or there is one too many.
pub async fn run(settings: &Settings, contender: Contender) -> Result<Outcome> {
    let cluster = BenchCluster::start(&[], None).await?;
    create_nodes(&cluster.client, (0..settings.nodes).map(node_name)).await?;
    let mut trial = Trial::start(cluster, contender, settings).await?;
    trial.warm_up().await?;
    trial.begin()?;
    let names: Vec<_> = (0..settings.daemonsets).map(daemon_set_name).collect();
    let client = trial.cluster.client.clone();
    create_daemon_sets(&client, settings).await?;
    trial.wait_statuses(Expected::everywhere(settings, false)).await?;
    let measurement = trial.end(Vec::new())?;
    for name in &names {
        let pods = daemonsets::pods(&client, NAMESPACE, name).await?;
        let targets: BTreeSet<_> = pods.iter().filter_map(daemonsets::target_node).collect();
        ensure!(
            pods.len() == settings.nodes && targets.len() == settings.nodes,
            "{name} has {} pods for {} nodes",
            pods.len(),
            targets.len()
        );
    }
    let figures = vec![
        Figure::new("wall, to the last pod", Unit::Seconds, measurement.last_pod()?),
        Figure::new(
            "wall, to the last status",
            Unit::Seconds,
            measurement.last_status()?,
        ),
    ];
    trial.stop().await?;
    Ok(measurement.outcome(figures))
}

/// Measures a client that only creates the same pods, with the executor's maximum number of requests in flight.
///
/// # Errors
/// When the API server refuses a pod.
pub async fn run_bare_client(settings: &Settings) -> Result<Outcome> {
    let cluster = BenchCluster::start(&[], None).await?;
    let mut bodies = Vec::new();
    for daemon_set in create_daemon_sets(&cluster.client, settings).await? {
        for node in 0..settings.nodes {
            bodies.push(pod(&daemon_set, "9bd8f6f5c", &node_name(node), false)?);
        }
    }
    // Connect through the relay and as the audited user, as the contenders do.
    let client = crate::control_plane::client_from_kubeconfig(&cluster.kubeconfig).await?;
    let api_server = || -> Result<f64> {
        let pid = cluster.control_plane.pid(Component::ApiServer);
        Ok(usage(pid.context("the API server isn't running")?)?.cpu_seconds)
    };
    let (start, before) = (Instant::now(), api_server()?);
    post_pods(&client, bodies, MAX_IN_FLIGHT * settings.daemonsets).await?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), api_server()? - before);
    cluster.control_plane.stop().await?;
    Ok(Outcome {
        contender: "bare client".to_owned(),
        figures: vec![
            Figure::new("wall, to the last pod", Unit::Seconds, wall),
            Figure::new("CPU, kube-apiserver", Unit::Seconds, cpu),
        ],
        samples: Vec::new(),
        created: Vec::new(),
    })
}
