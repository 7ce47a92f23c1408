//! A soak of any length: simulated users change a cluster while everything that can go wrong does, and a checker
//! watches.
//!
//! - `stage` runs a real control plane, two planners, two executors, and connections between them that can be
//!   disturbed;
//! - `life` simulates what users do and `trouble` what goes wrong, both from a seed;
//! - the checker uses none of Everynode's code: `eye` watches the cluster, `picture`, made of `views`, finds violations
//!   at once, with the API server's audit log to tell who deleted what, `placement` decides where pods belong, and
//!   `quiet` checks a cluster at rest;
//! - `report` holds the results.

mod eye;
mod life;
mod picture;
mod placement;
mod quiet;
mod report;
mod stage;
mod trouble;
mod views;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::time::{Instant, sleep};

use self::eye::{Eye, Shared};
use self::life::Life;
use self::picture::{Doubt, LAG};
pub use self::report::{Memory, Report};
use self::stage::Stage;
use self::trouble::Trouble;
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

/// How long each phase of trouble lasts before the cluster is left in peace.
const STORM: Duration = Duration::from_secs(40);
/// How long the cluster may take to come to rest.
const REST: Duration = Duration::from_secs(30);
/// How often the checker reads the audit log.
const LOOK: Duration = Duration::from_millis(250);
/// How many lines of each log to show after a violation.
const LOG_LINES: usize = 500;
/// How many of Everynode's last requests for pods are kept.
const TRAIL: usize = 2_000;
/// The API server is restarted once in this many storms.
const RESTART_EVERY: u64 = 6;

/// Runs a soak until its time is up or the checker finds a violation, and returns the results. `say` receives progress
/// messages.
///
/// # Errors
/// When the control plane or a program can't be started or doesn't recover by itself.
pub async fn run(settings: &Settings, mut say: impl FnMut(String)) -> Result<Report> {
    let mut random = Rng::with_seed(settings.seed);
    let stage = Stage::start().await?;
    let picture = Shared::default();
    let eye = Eye::open(&stage.client, &stage.namespace, &picture);
    let life = Life::new(
        stage.client.clone(),
        &stage.namespace,
        picture.clone(),
        random.fork(),
    );
    let trouble = Trouble::new(random.fork());
    let mut soak = Soak {
        _eye: eye,
        audit: stage.audit_log.read(),
        life,
        trouble,
        picture,
        stage,
        random,
        pending: Vec::new(),
        trail: VecDeque::new(),
        by_us: HashSet::new(),
        by_others: HashSet::new(),
        actions: BTreeMap::new(),
        deletions: BTreeMap::new(),
        memory: (Vec::new(), Vec::new()),
        rests: Vec::new(),
    };
    soak.life.begin().await?;
    let begun = Instant::now();
    let mut violations = soak.come_to_rest().await?;
    let mut storms = 0;
    while violations.is_empty() && begun.elapsed().as_secs_f64() < settings.minutes * 60.0 {
        storms += 1;
        soak.storm(storms % RESTART_EVERY == 0).await?;
        violations = soak.come_to_rest().await?;
        say(format!(
            "{:>5.1} min: storm {storms}, at rest after {:.1} s; {} faults, {} operations, {} deletions judged",
            begun.elapsed().as_secs_f64() / 60.0,
            soak.rests.last().copied().unwrap_or_default(),
            soak.trouble.done.values().sum::<u64>(),
            soak.life.done.values().sum::<u64>(),
            soak.deletions.values().sum::<u64>(),
        ));
    }
    if !violations.is_empty() {
        say(soak.stage.logs(LOG_LINES));
        say(soak.life.said().join(
            "
",
        ));
        say(soak.trail_of(&violations));
    }
    Ok(soak.report(settings, begun.elapsed(), violations).await)
}

struct Soak {
    _eye: Eye,
    audit: Audit,
    life: Life,
    trouble: Trouble,
    picture: Shared,
    stage: Stage,
    random: Rng,
    /// Everynode's deletions that are still to be judged.
    pending: Vec<Pending>,
    /// Everynode's last requests for pods, the newest first.
    trail: VecDeque<Request>,
    /// The names of pods whose deletion Everynode has requested.
    by_us: HashSet<String>,
    /// The names of pods whose deletion somebody else requested first.
    by_others: HashSet<String>,
    actions: BTreeMap<String, u64>,
    deletions: BTreeMap<&'static str, u64>,
    memory: (Vec<u64>, Vec<u64>),
    rests: Vec<f64>,
}

/// A deletion by Everynode that is still to be judged.
struct Pending {
    /// The name of the deleted pod.
    name: String,
    since: Instant,
    /// Why it seemed wrong when it was first judged.
    doubt: Option<Doubt>,
}

impl Soak {
    /// Runs trouble and life for a while.
    async fn storm(&mut self, with_restart: bool) -> Result<()> {
        let end = Instant::now() + STORM;
        let mut next_trouble = Instant::now();
        let mut restart = with_restart.then(|| Instant::now() + STORM / 2);
        while Instant::now() < end && self.picture.lock().violations.is_empty() {
            // Users whose request is refused try something else.
            let _ = self.life.go_on().await;
            self.trouble.put_right(&mut self.stage)?;
            if Instant::now() >= next_trouble {
                self.trouble.make(&mut self.stage).await?;
                next_trouble = Instant::now() + Duration::from_millis(self.random.u64(300..4_000));
            }
            if restart.is_some_and(|when| when <= Instant::now()) {
                restart = None;
                *self.trouble.done.entry("API server restarted").or_default() += 1;
                self.stage.control_plane.restart_apiserver().await?;
                self.stage.healthy().await?;
            }
            self.look()?;
            sleep(Duration::from_millis(self.random.u64(20..600))).await;
        }
        Ok(())
    }

    /// Leaves the cluster in peace and waits for it to come to rest. Returns the violations found, and what is still
    /// wrong if that takes too long.
    async fn come_to_rest(&mut self) -> Result<Vec<String>> {
        self.stage.mend()?;
        self.trouble.forget();
        self.stage.healthy().await?;
        self.life.calm().await?;
        let begun = Instant::now();
        loop {
            self.look()?;
            let found = std::mem::take(&mut self.picture.lock().violations);
            if !found.is_empty() {
                return Ok(found);
            }
            let faults = quiet::faults(&self.picture.lock());
            let is_judged = self.pending.is_empty() && !self.picture.lock().has_doubts();
            if faults.is_empty() && is_judged {
                self.rests.push(begun.elapsed().as_secs_f64());
                return Ok(Vec::new());
            }
            if !faults.is_empty() && begun.elapsed() >= REST {
                return Ok(faults
                    .into_iter()
                    .map(|fault| format!("not at rest after 30 s: {fault}"))
                    .collect());
            }
            sleep(LOOK).await;
        }
    }

    /// Reads new entries of the audit log, and judges Everynode's deletions.
    fn look(&mut self) -> Result<()> {
        for request in self.audit.read()? {
            self.note(request);
        }
        let mut picture = self.picture.lock();
        let (deletions, by_others) = (&mut self.deletions, &self.by_others);
        picture.judge_crowds();
        self.pending.retain_mut(|pending| {
            let Pending { name, since, doubt } = pending;
            if by_others.contains(name) {
                *deletions.entry("already deleted by somebody else").or_default() += 1;
                return false;
            }
            let is_late = since.elapsed() >= LAG;
            match picture.judge_deletion(name, doubt.as_ref()) {
                Some(Ok(reason)) => *deletions.entry(reason).or_default() += 1,
                None if !is_late => return true,
                Some(Err(found)) if !is_late => {
                    doubt.get_or_insert(found);
                    return true;
                }
                Some(Err(doubt)) => picture
                    .violations
                    .push(format!("a deletion without a reason: {}", doubt.words)),
                None if picture.may_have_missed_a_pod(since.elapsed() + LAG) => {
                    let excuse = "made and deleted while the checker's own watch was interrupted";
                    *deletions.entry(excuse).or_default() += 1;
                }
                None => picture
                    .violations
                    .push(format!("a pod {name} was deleted that nobody has ever seen")),
            }
            false
        });
        drop(picture);
        let (planner, executor) = self.stage.memory()?;
        self.memory.0.push(planner);
        self.memory.1.push(executor);
        Ok(())
    }

    fn note(&mut self, request: Request) {
        let deletes =
            request.verb == "delete" && request.resource == "pods" && (200..300).contains(&request.code);
        if request.user == CONTENDER {
            *self
                .actions
                .entry(format!("{} {}", request.verb, request.resource))
                .or_default() += 1;
            if request.resource == "pods" {
                self.trail.truncate(TRAIL);
                self.trail.push_front(request.clone());
            }
            if deletes {
                self.by_us.insert(request.name.clone());
                self.pending.push(Pending {
                    name: request.name,
                    since: Instant::now(),
                    doubt: None,
                });
            }
        } else if deletes && !self.by_us.contains(&request.name) {
            self.by_others.insert(request.name);
        }
    }

    /// Everynode's requests for the pods that the violations name, one line per request.
    fn trail_of(&self, violations: &[String]) -> String {
        let is_named = |name: &str| violations.iter().any(|violation| violation.contains(name));
        let lines = self.trail.iter().filter(|request| is_named(&request.name));
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

    async fn report(self, settings: &Settings, took: Duration, violations: Vec<String>) -> Report {
        let leases: Api<Lease> = Api::namespaced(self.stage.client.clone(), &self.stage.namespace);
        let lease = leases.get("everynode-executor").await.ok();
        let transitions = lease.and_then(|lease| lease.spec?.lease_transitions);
        Report {
            seed: settings.seed,
            seconds: took.as_secs(),
            faults: self.trouble.done,
            operations: self.life.done,
            actions: self.actions,
            deletions: self.deletions,
            rests: self.rests,
            terms: transitions.map_or(0, |transitions| {
                u64::try_from(transitions).unwrap_or_default() + 1
            }),
            violations,
            planner_memory: report::by_part(&self.memory.0),
            executor_memory: report::by_part(&self.memory.1),
        }
    }
}
