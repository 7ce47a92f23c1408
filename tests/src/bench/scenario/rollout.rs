//! `DaemonSet`s get another image. The scheduler binds the new pods, and kwok starts them.

use anyhow::Result;

use crate::bench::Settings;
use crate::bench::cluster::BenchCluster;
use crate::bench::contender::Contender;
use crate::bench::population::{
    Expected, NAMESPACE, NEXT_IMAGE, create_daemon_sets, create_nodes, daemon_set_name, node_name,
};
use crate::bench::report::{Figure, Outcome, Unit};
use crate::bench::trial::Trial;
use crate::control_plane::Component;
use crate::daemonsets;

/// Measures from the first change of an image until every status says that all pods are updated and available.
///
/// # Errors
/// When that doesn't happen.
pub async fn run(settings: &Settings, contender: Contender) -> Result<Outcome> {
    let cluster = BenchCluster::start(&[Component::Scheduler, Component::Kwok], None).await?;
    let client = cluster.client.clone();
    create_nodes(&client, (0..settings.nodes).map(node_name)).await?;
    let mut trial = Trial::start(cluster, contender, settings).await?;
    trial.warm_up().await?;
    let names: Vec<_> = (0..settings.daemonsets).map(daemon_set_name).collect();
    create_daemon_sets(&client, settings).await?;
    let expected = Expected::everywhere(settings, true);
    trial.wait_statuses(expected).await?;
    trial.wait_idle().await?;
    trial.begin()?;
    for name in &names {
        daemonsets::set_image(&client, NAMESPACE, name, "agent", NEXT_IMAGE).await?;
    }
    trial.wait_statuses(expected).await?;
    let measurement = trial.end(Vec::new())?;
    let figures = vec![Figure::new(
        "wall, to the last status",
        Unit::Seconds,
        measurement.last_status()?,
    )];
    trial.stop().await?;
    Ok(measurement.outcome(figures))
}
