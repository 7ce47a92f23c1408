//! Runs one contender on one cluster, and measures what it uses.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::DeleteParams;

use super::Settings;
use super::cluster::BenchCluster;
use super::contender::{Contender, RunningContender};
use super::meter::{Meter, Sample, Usage, usage};
use super::population::{self, Expected};
use super::report::{Figure, Outcome, Unit};
use crate::audit::{Audit, Request, by_verb};
use crate::control_plane::{CONTENDER, Component};
use crate::daemonsets::{self, DaemonSetBuilder};
use crate::wait::{GiveUp, eventually_every};

/// Limits how long the benchmark waits. It isn't a performance target.
const DEADLINE: Duration = Duration::from_mins(10);
/// How often statuses are checked. Each check costs the API server some work.
const INTERVAL: Duration = Duration::from_millis(50);
/// The label of the only node that the warm-up's `DaemonSet` selects.
const PROBE: &str = "bench/probe";

/// A running contender on its cluster.
pub(crate) struct Trial {
    /// The control plane that it works on.
    pub(crate) cluster: BenchCluster,
    contender: Contender,
    running: RunningContender,
    meter: Meter,
    audit: Audit,
    baseline: Baseline,
}

impl fmt::Debug for Trial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Trial")
            .field("cluster", &self.cluster)
            .field("contender", &self.contender)
            .finish_non_exhaustive()
    }
}

/// The state at the start of the measurement.
#[derive(Debug)]
struct Baseline {
    /// Seconds since the meter started.
    seconds: f64,
    at: Timestamp,
    usages: Vec<Usage>,
    /// Processor time of the control plane's processes, in seconds.
    control_plane_cpu: Vec<(Component, f64)>,
    received_bytes: u64,
}

/// The requests and the resource usage of a contender during the measurement.
#[derive(Debug)]
pub(crate) struct Measurement {
    /// When the measurement began.
    pub(crate) start: Timestamp,
    /// Every request of the contender, and those of the benchmark that are in the audit log.
    pub(crate) requests: Vec<Request>,
    outcome: Outcome,
}

impl Trial {
    /// Starts the contender without waiting until it is ready. The measurement begins here unless [`Trial::begin`] is
    /// called.
    ///
    /// # Errors
    /// When the contender can't be started.
    pub(crate) async fn start(
        cluster: BenchCluster,
        contender: Contender,
        settings: &Settings,
    ) -> Result<Self> {
        let at = Timestamp::now();
        let received_bytes = cluster.relay.received_bytes();
        let running =
            RunningContender::start(contender, &cluster.control_plane, &cluster.kubeconfig, settings).await?;
        let processes = running.processes()?;
        let meter = Meter::start(processes.iter().map(|(_, pid)| *pid).collect());
        let audit = cluster.audit();
        let mut trial = Self {
            cluster,
            contender,
            running,
            meter,
            audit,
            baseline: Baseline {
                seconds: 0.0,
                at,
                usages: vec![Usage::default(); processes.len()],
                control_plane_cpu: Vec::new(),
                received_bytes,
            },
        };
        trial.baseline.control_plane_cpu = trial.control_plane_cpu()?;
        Ok(trial)
    }

    /// Lets the contender place one pod, which shows that it is ready, and then waits until it is idle.
    ///
    /// # Errors
    /// When the contender creates no pod or doesn't become idle.
    pub(crate) async fn warm_up(&self) -> Result<()> {
        let client = &self.cluster.client;
        crate::nodes::label(client, &population::node_name(0), PROBE, Some("here")).await?;
        let probe = DaemonSetBuilder::new("probe").node_selector(PROBE, "here");
        probe.create(client, population::NAMESPACE).await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), population::NAMESPACE);
        let pod = self
            .wait_until("the contender's first pod", async || {
                let pods = daemonsets::pods(client, population::NAMESPACE, "probe").await?;
                pods.into_iter().next().context("no pod yet")
            })
            .await?;
        daemonsets::delete(client, population::NAMESPACE, "probe").await?;
        self.wait_idle().await?;
        let name = pod.metadata.name.unwrap_or_default();
        pods.delete(&name, &DeleteParams::default().grace_period(0))
            .await
            .context("deleting the probe's pod")?;
        self.wait_idle().await
    }

    /// Waits until the contender is idle, that is, until it hardly uses any processor time.
    ///
    /// # Errors
    /// When it doesn't become idle.
    pub(crate) async fn wait_idle(&self) -> Result<()> {
        let mut before = f64::MAX;
        eventually_every(
            Duration::from_millis(500),
            DEADLINE,
            "the contender to become idle",
            async || {
                let now: f64 = self.usages()?.iter().map(|usage| usage.cpu_seconds).sum();
                let used = now - std::mem::replace(&mut before, now);
                ensure!(
                    (0.0..=0.02).contains(&used),
                    "used {used} s of processor time in half a second"
                );
                Ok(())
            },
        )
        .await
    }

    /// Waits until `check` succeeds, and returns its result.
    ///
    /// # Errors
    /// When a process of the contender has ended, or `check` doesn't succeed by the deadline. The error holds the last
    /// lines of the contender's log.
    pub(crate) async fn wait_until<T>(
        &self,
        what: &str,
        mut check: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let outcome = eventually_every(INTERVAL, DEADLINE, what, async || {
            self.usages().map_err(GiveUp::because)?;
            check().await
        });
        outcome
            .await
            .with_context(|| format!("{}\n{}", self.running.log_tail(20), self.contender.name()))
    }

    /// Waits until every status is as expected.
    ///
    /// # Errors
    /// When that doesn't happen. The error holds the last lines of the contender's log.
    pub(crate) async fn wait_statuses(&self, expected: Expected) -> Result<()> {
        self.wait_until("every status to be as expected", async || {
            population::check_statuses(&self.cluster.client, expected).await
        })
        .await
    }

    /// Begins the measurement.
    ///
    /// # Errors
    /// When a process of the contender has ended, or the audit log can't be read.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.audit.read()?;
        self.baseline = Baseline {
            seconds: self.meter.samples().last().map_or(0.0, |sample| sample.seconds),
            at: Timestamp::now(),
            usages: self.usages()?,
            control_plane_cpu: self.control_plane_cpu()?,
            received_bytes: self.cluster.relay.received_bytes(),
        };
        Ok(())
    }

    /// The requests in the audit log since it was last read.
    ///
    /// # Errors
    /// When the audit log can't be read.
    pub(crate) fn requests(&mut self) -> Result<Vec<Request>> {
        self.audit.read()
    }

    /// Waits until the contender has created a pod, and returns the time at which the API server received that request.
    /// Adds all requests that it reads meanwhile to `requests`.
    ///
    /// # Errors
    /// When the contender doesn't create a pod.
    pub(crate) async fn wait_created_pod(&mut self, requests: &mut Vec<Request>) -> Result<Timestamp> {
        eventually_every(INTERVAL, DEADLINE, "a pod to be created", async || {
            self.usages().map_err(GiveUp::because)?;
            requests.extend(self.audit.read()?);
            let created = requests.iter().find(|request| request.is_pod_creation());
            created
                .map(|request| request.received)
                .context("no pod was created")
        })
        .await
        .with_context(|| self.running.log_tail(20))
    }

    /// Ends the measurement. `earlier` holds the requests that were read since it began.
    ///
    /// # Errors
    /// When a process of the contender has ended, or the audit log can't be read.
    pub(crate) fn end(&mut self, earlier: Vec<Request>) -> Result<Measurement> {
        let usages = self.usages()?;
        let mut requests = earlier;
        requests.extend(self.audit.read()?);
        let received = self.cluster.relay.received_bytes() - self.baseline.received_bytes;
        let names: Vec<_> = self
            .running
            .processes()?
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let cpu: Vec<_> = usages
            .iter()
            .zip(&self.baseline.usages)
            .map(|(now, before)| now.cpu_seconds - before.cpu_seconds)
            .collect();
        let peak: Vec<_> = usages.iter().map(|usage| usage.peak_rss_bytes).collect();
        let mut figures = vec![
            Figure::new("CPU", Unit::Seconds, cpu.iter().sum()),
            Figure::bytes("peak RSS", peak.iter().sum()),
            Figure::bytes("RSS at the end", usages.iter().map(|usage| usage.rss_bytes).sum()),
            Figure::bytes("read from the API server", received),
        ];
        let control_plane_cpu = self
            .control_plane_cpu()?
            .into_iter()
            .zip(&self.baseline.control_plane_cpu);
        for ((component, now), (_, before)) in control_plane_cpu {
            figures.push(Figure::new(
                &format!("CPU, {}", component.name()),
                Unit::Seconds,
                now - before,
            ));
        }
        if names.len() > 1 {
            for ((name, cpu), usage) in names.iter().zip(&cpu).zip(&usages) {
                figures.push(Figure::new(&format!("CPU, {name}"), Unit::Seconds, *cpu));
                figures.push(Figure::bytes(&format!("peak RSS, {name}"), usage.peak_rss_bytes));
                figures.push(Figure::bytes(&format!("RSS at the end, {name}"), usage.rss_bytes));
            }
        }
        let counts = by_verb(&requests, CONTENDER);
        figures.push(Figure::count("requests", counts.values().sum()));
        for (verb, count) in counts {
            figures.push(Figure::count(&format!("requests, {verb}"), count));
        }
        let created = requests.iter().filter(|request| request.is_pod_creation());
        let mut created: Vec<f64> = created
            .map(|request| seconds_between(self.baseline.at, request.answered))
            .collect();
        created.sort_by(f64::total_cmp);
        Ok(Measurement {
            start: self.baseline.at,
            requests,
            outcome: Outcome {
                contender: self.contender.name().to_owned(),
                figures,
                samples: self.samples(),
                created,
            },
        })
    }

    fn samples(&self) -> Vec<Sample> {
        let cpu_before: f64 = self.baseline.usages.iter().map(|usage| usage.cpu_seconds).sum();
        let samples = self.meter.samples().into_iter();
        samples
            .filter(|sample| sample.seconds >= self.baseline.seconds)
            .map(|sample| Sample {
                seconds: sample.seconds - self.baseline.seconds,
                cpu_seconds: sample.cpu_seconds - cpu_before,
                ..sample
            })
            .collect()
    }

    /// Processor time that the control plane's processes have used, in seconds.
    fn control_plane_cpu(&self) -> Result<Vec<(Component, f64)>> {
        let running = Component::ALL
            .into_iter()
            .filter_map(|component| Some((component, self.cluster.control_plane.pid(component)?)));
        running
            .map(|(component, pid)| Ok((component, usage(pid)?.cpu_seconds)))
            .collect()
    }

    fn usages(&self) -> Result<Vec<Usage>> {
        let processes = self.running.processes()?;
        processes.into_iter().map(|(_, pid)| usage(pid)).collect()
    }

    /// Stops the contender and the control plane.
    ///
    /// # Errors
    /// When a process doesn't end.
    pub(crate) async fn stop(self) -> Result<()> {
        self.running.stop().await?;
        self.cluster.control_plane.stop().await
    }
}

impl Measurement {
    /// When the last pod was created, in seconds from the start of the measurement.
    ///
    /// # Errors
    /// When no pod was created.
    pub(crate) fn last_pod(&self) -> Result<f64> {
        let last = self.outcome.created.last();
        last.copied().context("no pod was created")
    }

    /// When the last status was written, in seconds from the start of the measurement.
    ///
    /// # Errors
    /// When no status was written.
    pub(crate) fn last_status(&self) -> Result<f64> {
        let writes = self
            .requests
            .iter()
            .filter(|request| request.user == CONTENDER && request.resource == "daemonsets/status");
        let last = writes.map(|request| request.answered).max();
        Ok(seconds_between(
            self.start,
            last.context("no status was written")?,
        ))
    }

    /// The outcome, with the scenario's own figures first.
    pub(crate) fn outcome(mut self, mut first: Vec<Figure>) -> Outcome {
        first.append(&mut self.outcome.figures);
        self.outcome.figures = first;
        self.outcome
    }
}

/// The seconds from the first time to the second.
pub(crate) fn seconds_between(first: Timestamp, second: Timestamp) -> f64 {
    second.duration_since(first).as_secs_f64()
}
