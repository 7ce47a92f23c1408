//! Makes things go wrong: processes die or freeze, and connections break, lag, corrupt data or go silent.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use rustix::process::Signal;
use tokio::time::Instant;

use super::stage::{LIVES_ON, SEATS, Stage, address};
use crate::proxy::line::{Line, Traffic, Weather};
use crate::service::{Role, Service};

/// The longest time that a fault lasts, in milliseconds. Back-offs must stay short enough for the cluster to come to
/// rest in time.
const LONGEST_MILLIS: u64 = 8_000;

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

/// The report's name for connecting an executor to a planner as it was at the last release. To that planner, the
/// executor also looks like one of the last release.
const OLDER: &str = "planner of the last release";

/// The source of trouble.
pub(super) struct Trouble {
    random: Rng,
    /// The repairs that are due, each with its time.
    due: Vec<(Instant, Remedy)>,
    /// How often each kind of fault was caused.
    pub(super) done: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Executor(usize),
    Planner(usize),
    WayToPlanner(usize),
    WayToApi(usize),
}

impl Trouble {
    pub(super) fn new(random: Rng) -> Self {
        Self {
            random,
            due: Vec::new(),
            done: BTreeMap::new(),
        }
    }

    /// Repairs what has been wrong for long enough.
    pub(super) fn put_right(&mut self, stage: &mut Stage) -> Result<()> {
        let now = Instant::now();
        let (due, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|(when, _)| *when <= now);
        self.due = left;
        for (_, remedy) in due {
            match remedy {
                Remedy::Executor(which) => revive(&mut stage.seat(which)?.executor)?,
                Remedy::Planner(which) => revive(stage.planner(which)?)?,
                Remedy::WayToPlanner(which) => stage.seat(which)?.to_planner.set(Weather::default()),
                Remedy::WayToApi(which) => stage.seat(which)?.to_api.set(Weather::default()),
            }
        }
        Ok(())
    }

    /// Discards all pending repairs, because the stage was mended.
    pub(super) fn forget(&mut self) {
        self.due.clear();
    }

    fn note(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    fn later(&mut self, remedy: Remedy) {
        let after = Duration::from_millis(self.random.u64(50..LONGEST_MILLIS));
        self.due.push((Instant::now() + after, remedy));
    }

    /// Causes one fault.
    pub(super) async fn make(&mut self, stage: &mut Stage) -> Result<()> {
        let which = self.random.usize(..SEATS);
        match self.random.u8(..12) {
            0..3 => {
                let executor = &mut stage.seat(which)?.executor;
                self.hurt(executor, EXECUTOR, which).await?;
                self.later(Remedy::Executor(which));
            }
            3..5 => {
                let planner = stage.planner(which)?;
                self.hurt(planner, PLANNER, which).await?;
                self.later(Remedy::Planner(which));
            }
            5..9 => {
                // A name that resolves to several planners leads to a different one now and then. In the middle of an
                // upgrade, that one may be of another release.
                let next = self.random.usize(..SEATS);
                let planner = if self.random.bool() {
                    self.note(OLDER);
                    stage.older_planner(next)?
                } else {
                    address(stage.planner(next)?)?
                };
                let line = &stage.seat(which)?.to_planner;
                line.aim(planner);
                self.worsen(line, TO_PLANNER);
                self.later(Remedy::WayToPlanner(which));
            }
            _ => {
                self.worsen(&stage.seat(which)?.to_api, TO_API);
                self.later(Remedy::WayToApi(which));
            }
        }
        Ok(())
    }

    /// Kills, stops or freezes a running program. The programs that must live on are only frozen.
    async fn hurt<R: Role>(
        &mut self,
        program: &mut Service<R>,
        kinds: [&'static str; 3],
        which: usize,
    ) -> Result<()> {
        if !program.is_running() {
            return Ok(());
        }
        let [killed, stopped, frozen] = kinds;
        let how = if which == LIVES_ON { 2 } else { self.random.u8(..3) };
        match how {
            0 => {
                self.note(killed);
                program.kill9().await
            }
            1 => {
                self.note(stopped);
                program.signal(Signal::CONT);
                program.stop().await
            }
            _ => {
                self.note(frozen);
                program.signal(Signal::STOP);
                Ok(())
            }
        }
    }

    /// Disturbs a connection.
    fn worsen(&mut self, line: &Line, kinds: [&'static str; 6]) {
        let [cut, slow, noise, silence, refused, stranded] = kinds;
        match self.random.u8(..6) {
            0 => {
                self.note(cut);
                line.cut();
            }
            1 => {
                self.note(slow);
                line.set(Weather {
                    delay: Duration::from_millis(self.random.u64(20..400)),
                    ..Weather::default()
                });
            }
            2 => {
                self.note(noise);
                line.set_traffic(Traffic::Noise);
            }
            3 => {
                self.note(silence);
                line.set_traffic(Traffic::Silent);
            }
            4 => {
                self.note(refused);
                line.set_traffic(Traffic::Refused);
                line.cut();
            }
            _ => {
                self.note(stranded);
                line.strand();
            }
        }
    }
}

/// Makes a program run again, whatever was done to it.
pub(super) fn revive<R: Role>(program: &mut Service<R>) -> Result<()> {
    if program.is_running() {
        program.signal(Signal::CONT);
        Ok(())
    } else {
        program.launch()
    }
}
