//! Nodes join a cluster at rest, one by one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::bench::Settings;
use crate::bench::cluster::BenchCluster;
use crate::bench::contender::Contender;
use crate::bench::population::{node, node_name};
use crate::bench::report::{Figure, Outcome, Unit, percentile};
use crate::bench::trial::{Trial, seconds_between};
use crate::control_plane::CONTENDER;
use crate::wait::eventually_every;

/// Limits how long the benchmark waits. It isn't a performance target.
const DEADLINE: Duration = Duration::from_mins(5);

/// Measures two times for each node. Both begin when the API server answers the request to create the node. The first
/// ends when the API server has received all requests to create the node's pods, the second when it has answered them.
///
/// # Errors
/// When a node doesn't get its pods.
pub async fn run(settings: &Settings, contender: Contender, store: &Path) -> Result<Outcome> {
    let cluster = BenchCluster::start(&[], Some(store)).await?;
    let client = cluster.client.clone();
    let mut trial = Trial::start(cluster, contender, settings).await?;
    trial.warm_up().await?;
    trial.begin()?;
    let mut requests = Vec::new();
    let (mut received, mut answered) = (Vec::new(), Vec::new());
    for index in 0..settings.joins {
        let name = node_name(settings.nodes + index);
        let from = requests.len();
        node(&name).create(&client).await?;
        let what = format!("the pods of {name}");
        eventually_every(Duration::from_millis(5), DEADLINE, what, async || {
            requests.extend(trial.requests()?);
            let new = requests.get(from..).unwrap_or_default();
            let created = new.iter().filter(|request| request.is_pod_creation()).count();
            ensure!(created >= settings.daemonsets, "{created} pods were created");
            Ok(())
        })
        .await?;
        let new = requests.get(from..).unwrap_or_default();
        let join = new
            .iter()
            .find(|request| {
                request.user != CONTENDER && request.resource == "nodes" && request.verb == "create"
            })
            .context("the audit log doesn't contain the creation of the node")?;
        let pods = || new.iter().filter(|request| request.is_pod_creation());
        let last_received = pods()
            .map(|pod| pod.received)
            .max()
            .context("no pod was created")?;
        let last_answered = pods()
            .map(|pod| pod.answered)
            .max()
            .context("no pod was created")?;
        received.push(seconds_between(join.answered, last_received));
        answered.push(seconds_between(join.answered, last_answered));
        trial.wait_idle().await?;
    }
    let measurement = trial.end(requests)?;
    let figure = |name: &str, latencies: &[f64], share: f64| {
        Figure::new(name, Unit::Seconds, percentile(latencies, share))
    };
    let figures = vec![
        figure("to the last pod's request, p50", &received, 0.5),
        figure("to the last pod's request, p99", &received, 0.99),
        figure("to the last pod's answer, p50", &answered, 0.5),
        figure("to the last pod's answer, p99", &answered, 0.99),
    ];
    trial.stop().await?;
    Ok(measurement.outcome(figures))
}
