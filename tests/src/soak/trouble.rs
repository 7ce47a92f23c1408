//! What goes wrong: processes that die or freeze, and connections that break, lag, lie or go silent.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use rustix::process::Signal;
use tokio::time::Instant;

use super::stage::{Stage, address};
use crate::proxy::line::{Line, Traffic, Weather};

/// The longest that something stays wrong. The waits between tries have to stay short enough for the cluster to come to rest in time.
const LONGEST_MILLIS: u64 = 8_000;

/// Who makes trouble.
pub(super) struct Trouble {
    random: Rng,
    /// What is to be put right again, and when.
    due: Vec<(Instant, Remedy)>,
    /// What was done, by kind.
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

    /// Puts right what has been wrong for long enough.
    pub(super) fn put_right(&mut self, stage: &mut Stage) -> Result<()> {
        let now = Instant::now();
        let (due, left) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|(when, _)| *when <= now);
        self.due = left;
        let due: Vec<(Instant, Remedy)> = due;
        for (_, remedy) in due {
            match remedy {
                Remedy::Executor(which) => {
                    let executor = &mut stage.seats[which].executor;
                    if executor.is_running() {
                        executor.signal(Signal::CONT);
                    } else {
                        executor.launch()?;
                    }
                }
                Remedy::Planner(which) => {
                    let planner = &mut stage.planners[which];
                    if planner.is_running() {
                        planner.signal(Signal::CONT);
                    } else {
                        planner.launch()?;
                    }
                }
                Remedy::WayToPlanner(which) => stage.seats[which].to_planner.set(Weather::default()),
                Remedy::WayToApi(which) => stage.seats[which].to_api.set(Weather::default()),
            }
        }
        Ok(())
    }

    /// Nothing is left to be put right: the stage was mended.
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

    /// Makes trouble once.
    pub(super) async fn make(&mut self, stage: &mut Stage) -> Result<()> {
        let which = self.random.usize(..stage.seats.len());
        match self.random.u8(..12) {
            0..3 => self.hurt_executor(stage, which).await,
            3..5 => self.hurt_planner(stage, which).await,
            5..9 => {
                let other = self.random.usize(..stage.planners.len());
                let seat = &stage.seats[which];
                // A name that leads to several planners leads to another one now and then.
                seat.to_planner.aim(address(&stage.planners[other])?);
                if self.worsen(
                    &stage.seats[which].to_planner,
                    [
                        "cut from the planner",
                        "slow to the planner",
                        "noise from the planner",
                        "silence of the planner",
                        "refused by the planner",
                        "stranded by the planner",
                    ],
                ) {
                    self.later(Remedy::WayToPlanner(which));
                }
                Ok(())
            }
            _ => {
                if self.worsen(
                    &stage.seats[which].to_api,
                    [
                        "cut from the API server",
                        "slow to the API server",
                        "noise from the API server",
                        "silence of the API server",
                        "refused by the API server",
                        "stranded by the API server",
                    ],
                ) {
                    self.later(Remedy::WayToApi(which));
                }
                Ok(())
            }
        }
    }

    async fn hurt_executor(&mut self, stage: &mut Stage, which: usize) -> Result<()> {
        let executor = &mut stage.seats[which].executor;
        if !executor.is_running() {
            return Ok(());
        }
        match self.random.u8(..3) {
            0 => {
                self.note("executor killed");
                executor.kill9().await?;
            }
            1 => {
                self.note("executor stopped");
                executor.signal(Signal::CONT);
                executor.stop().await?;
            }
            _ => {
                self.note("executor frozen");
                executor.signal(Signal::STOP);
            }
        }
        self.later(Remedy::Executor(which));
        Ok(())
    }

    async fn hurt_planner(&mut self, stage: &mut Stage, which: usize) -> Result<()> {
        let planner = &mut stage.planners[which];
        if !planner.is_running() {
            return Ok(());
        }
        match self.random.u8(..3) {
            0 => {
                self.note("planner killed");
                planner.kill9().await?;
            }
            1 => {
                self.note("planner stopped");
                planner.signal(Signal::CONT);
                planner.stop().await?;
            }
            _ => {
                self.note("planner frozen");
                planner.signal(Signal::STOP);
            }
        }
        self.later(Remedy::Planner(which));
        Ok(())
    }

    /// Makes a way worse, by one of these kinds. Says whether it has to be put right.
    fn worsen(&mut self, line: &Line, kinds: [&'static str; 6]) -> bool {
        let kind = self.random.usize(..kinds.len());
        self.note(kinds[kind]);
        match kind {
            0 => line.cut(),
            5 => line.strand(),
            1 => line.set(Weather {
                delay: Duration::from_millis(self.random.u64(20..400)),
                ..Weather::default()
            }),
            2 => line.set_traffic(Traffic::Noise),
            3 => line.set_traffic(Traffic::Silent),
            _ => {
                line.set_traffic(Traffic::Refused);
                line.cut();
            }
        }
        !matches!(kind, 0 | 5)
    }
}
