//! The contender starts on a cluster where one pod is missing.

use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;

use crate::bench::Settings;
use crate::bench::cluster::BenchCluster;
use crate::bench::contender::Contender;
use crate::bench::population::{NAMESPACE, pod_names};
use crate::bench::report::{Figure, Outcome, Unit};
use crate::bench::trial::{Trial, seconds_between};

/// Measures the time from the start of the processes until they request the missing pod, and what they have used once
/// they are at rest.
///
/// # Errors
/// When the pod isn't created.
pub async fn run(settings: &Settings, contender: Contender, store: &Path) -> Result<Outcome> {
    let cluster = BenchCluster::start(&[], Some(store)).await?;
    // Once the API server has answered this list, it has read all pods from its store.
    let names = pod_names(&cluster.client).await?;
    let middle = names.get(names.len() / 2).context("there are no pods")?;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete(middle, &at_once).await.context("deleting a pod")?;
    let mut trial = Trial::start(cluster, contender, settings).await?;
    let mut requests = Vec::new();
    let created = trial.wait_created_pod(&mut requests).await?;
    trial.wait_idle().await?;
    let measurement = trial.end(requests)?;
    let figures = vec![Figure::new(
        "to the missing pod's request",
        Unit::Seconds,
        seconds_between(measurement.start, created),
    )];
    trial.stop().await?;
    Ok(measurement.outcome(figures))
}
