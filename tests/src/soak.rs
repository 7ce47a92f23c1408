//! The soak test: simulated users change a cluster while every kind of fault is injected, and a checker looks for
//! violations. It runs for any length of time.
//!
//! - `cluster` runs a real control plane, two planners, two executors, and the proxies between them;
//! - `workload` simulates the users, and `faults` injects the faults, both from a seed;
//! - the checker shares no code with Everynode: `watches` feeds events to `model`, which holds the cluster's state as
//!   `objects` and reports violations at once; the API server's audit log says who deleted which pod; `placement`
//!   decides where pods belong, and `steady_state` checks a cluster that has converged;
//! - `report` holds the results.

mod cluster;
mod faults;
mod model;
mod objects;
mod placement;
mod report;
mod steady_state;
mod watches;
mod workload;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::time::{Instant, sleep};

use self::cluster::SoakCluster;
use self::faults::FaultInjector;
use self::model::{LAG, Suspicion};
pub use self::report::{Memory, Report};
use self::watches::{SharedModel, Watches};
use self::workload::Workload;
use crate::audit::{Audit, Request};
use crate::control_plane::CONTENDER;

/// The length of a soak and the seed of its random numbers.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The length in minutes.
    pub minutes: f64,
    /// The seed of the random numbers.
    pub seed: u64,
}

/// How long each phase of faults lasts. After it, the cluster is left undisturbed.
const FAULT_PHASE: Duration = Duration::from_secs(40);
/// How long the undisturbed cluster may take to converge.
const CONVERGENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the checker reads the audit log.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// How many lines of each log to show after a violation.
const LOG_LINES: usize = 500;
/// How many of Everynode's last requests for pods are kept.
const RECENT_REQUESTS: usize = 2_000;
/// The API server is restarted once in this many fault phases.
const RESTART_EVERY: u64 = 6;

/// Runs a soak until its time is up or the checker finds a violation, and returns the results. `print` receives
/// progress messages.
///
/// # Errors
/// When the control plane or a program can't be started or doesn't recover by itself.
pub async fn run(settings: &Settings, mut print: impl FnMut(String)) -> Result<Report> {
    let mut random = Rng::with_seed(settings.seed);
    let cluster = SoakCluster::start().await?;
    let model = SharedModel::default();
    let watches = Watches::start(&cluster.client, &cluster.namespace, &model);
    let workload = Workload::new(
        cluster.client.clone(),
        &cluster.namespace,
        model.clone(),
        random.fork(),
    );
    let faults = FaultInjector::new(random.fork());
    let mut soak = Soak {
        _watches: watches,
        audit: cluster.audit_log.read(),
        workload,
        faults,
        model,
        cluster,
        random,
        pending: Vec::new(),
        recent_requests: VecDeque::new(),
        deleted_by_everynode: HashSet::new(),
        deleted_by_others: HashSet::new(),
        actions: BTreeMap::new(),
        deletions: BTreeMap::new(),
        memory: (Vec::new(), Vec::new()),
        convergence_seconds: Vec::new(),
    };
    soak.workload.create_initial_objects().await?;
    let start = Instant::now();
    let mut violations = soak.wait_converged().await?;
    let mut phases = 0;
    while violations.is_empty() && start.elapsed().as_secs_f64() < settings.minutes * 60.0 {
        phases += 1;
        soak.run_fault_phase(phases % RESTART_EVERY == 0).await?;
        violations = soak.wait_converged().await?;
        print(format!(
            "{:>5.1} min: fault phase {phases}, converged after {:.1} s; {} faults, {} operations, {} deletions checked",
            start.elapsed().as_secs_f64() / 60.0,
            soak.convergence_seconds.last().copied().unwrap_or_default(),
            soak.faults.counts.values().sum::<u64>(),
            soak.workload.counts.values().sum::<u64>(),
            soak.deletions.values().sum::<u64>(),
        ));
    }
    if !violations.is_empty() {
        print(soak.cluster.logs(LOG_LINES));
        print(soak.workload.recent_changes().join("\n"));
        print(soak.requests_about(&violations));
    }
    Ok(soak.report(settings, start.elapsed(), violations).await)
}

struct Soak {
    _watches: Watches,
    audit: Audit,
    workload: Workload,
    faults: FaultInjector,
    model: SharedModel,
    cluster: SoakCluster,
    random: Rng,
    /// Everynode's deletions that haven't been judged yet.
    pending: Vec<PendingDeletion>,
    /// Everynode's last requests for pods, the newest first.
    recent_requests: VecDeque<Request>,
    /// The names of pods whose deletion Everynode has requested.
    deleted_by_everynode: HashSet<String>,
    /// The names of pods whose deletion somebody else requested first.
    deleted_by_others: HashSet<String>,
    actions: BTreeMap<String, u64>,
    deletions: BTreeMap<&'static str, u64>,
    memory: (Vec<u64>, Vec<u64>),
    convergence_seconds: Vec<f64>,
}

/// A deletion by Everynode that hasn't been judged yet.
struct PendingDeletion {
    /// The name of the deleted pod.
    name: String,
    since: Instant,
    /// Why the deletion seemed wrong when it was first judged.
    suspicion: Option<Suspicion>,
}

impl Soak {
    /// Injects faults and changes the cluster for the length of a fault phase.
    async fn run_fault_phase(&mut self, with_restart: bool) -> Result<()> {
        let end = Instant::now() + FAULT_PHASE;
        let mut next_fault = Instant::now();
        let mut restart = with_restart.then(|| Instant::now() + FAULT_PHASE / 2);
        while Instant::now() < end && self.model.lock().violations.is_empty() {
            // Users whose request is refused try something else.
            let _ = self.workload.make_random_change().await;
            self.faults.repair_due(&mut self.cluster)?;
            if Instant::now() >= next_fault {
                self.faults.inject(&mut self.cluster).await?;
                next_fault = Instant::now() + Duration::from_millis(self.random.u64(300..4_000));
            }
            if restart.is_some_and(|when| when <= Instant::now()) {
                restart = None;
                *self.faults.counts.entry("API server restarted").or_default() += 1;
                self.cluster.control_plane.restart_apiserver().await?;
                self.cluster.wait_healthy().await?;
            }
            self.check()?;
            sleep(Duration::from_millis(self.random.u64(20..600))).await;
        }
        Ok(())
    }

    /// Ends all faults and waits until the cluster has converged. Returns the violations found, or the remaining
    /// problems if that takes too long.
    async fn wait_converged(&mut self) -> Result<Vec<String>> {
        self.cluster.repair_all()?;
        self.faults.clear_repairs();
        self.cluster.wait_healthy().await?;
        self.workload.end_disturbances().await?;
        let start = Instant::now();
        loop {
            self.check()?;
            let found = std::mem::take(&mut self.model.lock().violations);
            if !found.is_empty() {
                return Ok(found);
            }
            let problems = steady_state::problems(&self.model.lock());
            let is_all_judged = self.pending.is_empty() && !self.model.lock().has_pending_duplicates();
            if problems.is_empty() && is_all_judged {
                self.convergence_seconds.push(start.elapsed().as_secs_f64());
                return Ok(Vec::new());
            }
            if !problems.is_empty() && start.elapsed() >= CONVERGENCE_TIMEOUT {
                let seconds = CONVERGENCE_TIMEOUT.as_secs();
                return Ok(problems
                    .into_iter()
                    .map(|problem| format!("not converged after {seconds} s: {problem}"))
                    .collect());
            }
            sleep(CHECK_INTERVAL).await;
        }
    }

    /// Reads new entries of the audit log, and judges Everynode's deletions.
    fn check(&mut self) -> Result<()> {
        for request in self.audit.read()? {
            self.record(request);
        }
        let mut model = self.model.lock();
        let (deletions, deleted_by_others) = (&mut self.deletions, &self.deleted_by_others);
        model.judge_duplicates();
        self.pending.retain_mut(|pending| {
            let PendingDeletion {
                name,
                since,
                suspicion,
            } = pending;
            if deleted_by_others.contains(name) {
                *deletions.entry("already deleted by somebody else").or_default() += 1;
                return false;
            }
            let is_late = since.elapsed() >= LAG;
            match model.judge_deletion(name, suspicion.as_ref()) {
                Some(Ok(reason)) => *deletions.entry(reason).or_default() += 1,
                None if !is_late => return true,
                Some(Err(found)) if !is_late => {
                    suspicion.get_or_insert(found);
                    return true;
                }
                Some(Err(suspicion)) => model
                    .violations
                    .push(format!("deletion without a valid reason: {}", suspicion.message)),
                None if model.may_have_missed_pod(since.elapsed() + LAG) => {
                    let excuse = "created and deleted while the checker's own watch was interrupted";
                    *deletions.entry(excuse).or_default() += 1;
                }
                None => model.violations.push(format!(
                    "Everynode deleted pod {name}, which the checker has never seen"
                )),
            }
            false
        });
        drop(model);
        let (planner, executor) = self.cluster.memory()?;
        self.memory.0.push(planner);
        self.memory.1.push(executor);
        Ok(())
    }

    fn record(&mut self, request: Request) {
        let is_pod_deletion =
            request.verb == "delete" && request.resource == "pods" && (200..300).contains(&request.code);
        if request.user == CONTENDER {
            *self
                .actions
                .entry(format!("{} {}", request.verb, request.resource))
                .or_default() += 1;
            if request.resource == "pods" {
                self.recent_requests.truncate(RECENT_REQUESTS);
                self.recent_requests.push_front(request.clone());
            }
            if is_pod_deletion {
                self.deleted_by_everynode.insert(request.name.clone());
                self.pending.push(PendingDeletion {
                    name: request.name,
                    since: Instant::now(),
                    suspicion: None,
                });
            }
        } else if is_pod_deletion && !self.deleted_by_everynode.contains(&request.name) {
            self.deleted_by_others.insert(request.name);
        }
    }

    /// Everynode's requests for the pods that the violations name, one line per request.
    fn requests_about(&self, violations: &[String]) -> String {
        let is_named = |name: &str| violations.iter().any(|violation| violation.contains(name));
        let lines = self
            .recent_requests
            .iter()
            .filter(|request| is_named(&request.name));
        let lines = lines.map(|request| {
            let Request {
                verb,
                name,
                code,
                received,
                answered,
                ..
            } = request;
            format!("{received} to {answered}: {verb} {name}: {code}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    async fn report(self, settings: &Settings, duration: Duration, violations: Vec<String>) -> Report {
        let leases: Api<Lease> = Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace);
        let lease = leases.get("everynode-executor").await.ok();
        let transitions = lease.and_then(|lease| lease.spec?.lease_transitions);
        Report {
            seed: settings.seed,
            seconds: duration.as_secs(),
            faults: self.faults.counts,
            operations: self.workload.counts,
            actions: self.actions,
            deletions: self.deletions,
            convergence_seconds: self.convergence_seconds,
            terms: transitions.map_or(0, |transitions| {
                u64::try_from(transitions).unwrap_or_default() + 1
            }),
            violations,
            planner_memory: report::by_part(&self.memory.0),
            executor_memory: report::by_part(&self.memory.1),
        }
    }
}
