//! Injects faults: processes are killed, stopped or frozen, and connections are cut, delayed, corrupted or stalled.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use rustix::process::Signal;
use tokio::time::Instant;

use super::cluster::{NEVER_RESTARTED, REPLICAS, SoakCluster, address};
use crate::proxy::tcp::{ConnectionFaults, TcpProxy, Traffic};
use crate::service::{Role, Service};

/// The longest time that a fault lasts, in milliseconds. Back-offs must stay short enough for the cluster to
/// converge in time.
const MAX_MILLIS: u64 = 8_000;

/// The report's names for faults of programs and of connections.
const EXECUTOR: [&str; 3] = ["executor killed", "executor stopped", "executor frozen"];
const PLANNER: [&str; 3] = ["planner killed", "planner stopped", "planner frozen"];
const TO_PLANNER: [&str; 6] = [
    "planner: connections cut",
    "planner: connections slow",
    "planner: data corrupted",
    "planner: connections silent",
    "planner: connections refused",
    "planner: connections half-open",
];
const TO_API: [&str; 6] = [
    "API server: connections cut",
    "API server: connections slow",
    "API server: data corrupted",
    "API server: connections silent",
    "API server: connections refused",
    "API server: connections half-open",
];

/// The report's name for connecting an executor to a planner that behaves like the last release. To that planner, the
/// executor behaves like the last release, too.
const LAST_RELEASE: &str = "planner of the last release";

/// Injects random faults, and repairs them after some time.
pub(super) struct FaultInjector {
    random: Rng,
    /// The scheduled repairs, each with its time.
    repairs: Vec<(Instant, Repair)>,
    /// How often each kind of fault was injected.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    Executor(usize),
    Planner(usize),
    PlannerConnection(usize),
    ApiConnection(usize),
}

impl FaultInjector {
    pub(super) fn new(random: Rng) -> Self {
        Self {
            random,
            repairs: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Carries out the repairs whose time has come.
    pub(super) fn repair_due(&mut self, cluster: &mut SoakCluster) -> Result<()> {
        let now = Instant::now();
        let (due, pending): (Vec<_>, Vec<_>) = std::mem::take(&mut self.repairs)
            .into_iter()
            .partition(|(when, _)| *when <= now);
        self.repairs = pending;
        for (_, repair) in due {
            match repair {
                Repair::Executor(index) => ensure_running(&mut cluster.replica(index)?.executor)?,
                Repair::Planner(index) => ensure_running(cluster.planner(index)?)?,
                Repair::PlannerConnection(index) => cluster
                    .replica(index)?
                    .to_planner
                    .set_faults(ConnectionFaults::default()),
                Repair::ApiConnection(index) => cluster
                    .replica(index)?
                    .to_api
                    .set_faults(ConnectionFaults::default()),
            }
        }
        Ok(())
    }

    /// Discards all scheduled repairs, because the whole cluster was repaired.
    pub(super) fn clear_repairs(&mut self) {
        self.repairs.clear();
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn schedule_repair(&mut self, repair: Repair) {
        let after = Duration::from_millis(self.random.u64(50..MAX_MILLIS));
        self.repairs.push((Instant::now() + after, repair));
    }

    /// Injects one fault.
    pub(super) async fn inject(&mut self, cluster: &mut SoakCluster) -> Result<()> {
        let index = self.random.usize(..REPLICAS);
        match self.random.u8(..12) {
            0..3 => {
                let executor = &mut cluster.replica(index)?.executor;
                self.disturb_program(executor, EXECUTOR, index).await?;
                self.schedule_repair(Repair::Executor(index));
            }
            3..5 => {
                let planner = cluster.planner(index)?;
                self.disturb_program(planner, PLANNER, index).await?;
                self.schedule_repair(Repair::Planner(index));
            }
            5..9 => {
                // Sometimes switch to another planner, as happens with a name that resolves to several planners. During
                // an upgrade, the other planner may be of another release.
                let next = self.random.usize(..REPLICAS);
                let planner = if self.random.bool() {
                    self.count(LAST_RELEASE);
                    cluster.last_release_planner(next)?
                } else {
                    address(cluster.planner(next)?)?
                };
                let proxy = &cluster.replica(index)?.to_planner;
                proxy.set_server(planner);
                self.disturb_connection(proxy, TO_PLANNER);
                self.schedule_repair(Repair::PlannerConnection(index));
            }
            _ => {
                self.disturb_connection(&cluster.replica(index)?.to_api, TO_API);
                self.schedule_repair(Repair::ApiConnection(index));
            }
        }
        Ok(())
    }

    /// Kills, stops or freezes a running program. The programs that are never restarted are only frozen.
    async fn disturb_program<R: Role>(
        &mut self,
        program: &mut Service<R>,
        kinds: [&'static str; 3],
        index: usize,
    ) -> Result<()> {
        if !program.is_running() {
            return Ok(());
        }
        let [killed, stopped, frozen] = kinds;
        let how = if index == NEVER_RESTARTED {
            2
        } else {
            self.random.u8(..3)
        };
        match how {
            0 => {
                self.count(killed);
                program.kill9().await
            }
            1 => {
                self.count(stopped);
                program.signal(Signal::CONT);
                program.stop().await
            }
            _ => {
                self.count(frozen);
                program.signal(Signal::STOP);
                Ok(())
            }
        }
    }

    /// Disturbs a connection.
    fn disturb_connection(&mut self, proxy: &TcpProxy, kinds: [&'static str; 6]) {
        let [cut, slow, corrupted, stalled, refused, half_open] = kinds;
        match self.random.u8(..6) {
            0 => {
                self.count(cut);
                proxy.cut();
            }
            1 => {
                self.count(slow);
                proxy.set_faults(ConnectionFaults {
                    delay: Duration::from_millis(self.random.u64(20..400)),
                    ..ConnectionFaults::default()
                });
            }
            2 => {
                self.count(corrupted);
                proxy.set_traffic(Traffic::Corrupted);
            }
            3 => {
                self.count(stalled);
                proxy.set_traffic(Traffic::Stalled);
            }
            4 => {
                self.count(refused);
                proxy.set_traffic(Traffic::Refused);
                proxy.cut();
            }
            _ => {
                self.count(half_open);
                proxy.leave_half_open();
            }
        }
    }
}

/// Resumes or restarts a program, whichever it needs.
pub(super) fn ensure_running<R: Role>(program: &mut Service<R>) -> Result<()> {
    if program.is_running() {
        program.signal(Signal::CONT);
        Ok(())
    } else {
        program.launch()
    }
}
