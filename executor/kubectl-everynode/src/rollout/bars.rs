//! Progress bars on a terminal: one for all nodes, and one for each stage.

use everynode_render::text::printable;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::{
    progress::{Snapshot, Stage, StageState},
    render,
};

/// The parts into which the bar of a stage is divided if its length isn't a number of nodes.
const PARTS: u64 = 1000;
const TEMPLATE: &str = "{prefix:<16} [{bar:30}] {msg}";

/// Progress bars that are drawn again with each change.
#[derive(Debug)]
pub(crate) struct Bars {
    all: MultiProgress,
    nodes: ProgressBar,
    stages: Vec<ProgressBar>,
}

impl Bars {
    /// Creates bars on standard output.
    pub(crate) fn on_stdout() -> Self {
        Self::new(ProgressDrawTarget::stdout())
    }

    fn new(draw_target: ProgressDrawTarget) -> Self {
        let all = MultiProgress::with_draw_target(draw_target);
        let nodes = all.add(bar("all nodes"));
        Self {
            all,
            nodes,
            stages: Vec::new(),
        }
    }

    /// Shows the state of the rollout.
    pub(crate) fn show(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let status = &snapshot.rollout.status;
        self.nodes.set_length(status.desired.max(1));
        self.nodes.set_position(status.updated_available);
        self.nodes
            .set_message(printable(&render::line(snapshot)).into_owned());
        let stages = snapshot.stages(now);
        while self.stages.len() < stages.len() {
            self.stages.push(self.all.add(bar("")));
        }
        for extra in self.stages.drain(stages.len()..) {
            self.all.remove(&extra);
        }
        for (bar, stage) in self.stages.iter().zip(&stages) {
            let (position, length) = progress(stage, now);
            bar.set_prefix(printable(stage.display_name()).into_owned());
            bar.set_length(length);
            bar.set_position(position);
            bar.set_message(render::state(stage, now));
        }
    }

    /// Leaves the bars as they are on the terminal.
    pub(crate) fn finish(&self) {
        for bar in self.stages.iter().chain([&self.nodes]) {
            bar.abandon();
        }
    }
}

fn bar(prefix: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    // The bars draw into the target of the MultiProgress to which they are added.
    ProgressBar::with_draw_target(Some(PARTS), ProgressDrawTarget::hidden())
        .with_style(style.progress_chars("=> "))
        .with_prefix(prefix)
}

/// The position and the length of a stage's bar: its nodes while they are updated, and then its soak.
fn progress(stage: &Stage, now: Timestamp) -> (u64, u64) {
    match stage.state {
        StageState::NotOpen => (0, PARTS),
        StageState::Open => match (stage.updated_available, stage.desired) {
            (Some(updated), Some(desired)) if desired > 0 => (updated.min(desired), desired),
            _ => (0, PARTS),
        },
        StageState::Soaking => (soaked(stage, now).unwrap_or(0), PARTS),
        StageState::Updated | StageState::Done => (PARTS, PARTS),
    }
}

/// How many of the parts of the soak are over.
fn soaked(stage: &Stage, now: Timestamp) -> Option<u64> {
    let (begin, end) = (stage.updated_at?, stage.soaks_until?);
    let millis =
        |from: Timestamp, until: Timestamp| u64::try_from(until.duration_since(from).as_millis()).ok();
    let (over, all) = (millis(begin, now)?, millis(begin, end)?);
    Some(over.saturating_mul(PARTS).checked_div(all)?.min(PARTS))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;
    use crate::rollout::progress::tests::snapshot;

    #[test]
    fn bar_of_a_stage_shows_its_nodes_and_then_its_soak() {
        let now = Timestamp::UNIX_EPOCH;
        let mut stage = Stage {
            name: "canary".to_owned(),
            state: StageState::Open,
            opened_at: Some(now),
            updated_at: None,
            soaks_until: None,
            done_at: None,
            desired: Some(4),
            updated_available: Some(3),
            nodes: Vec::new(),
        };
        assert_eq!(progress(&stage, now), (3, 4));
        stage.state = StageState::Soaking;
        stage.updated_at = Some(now - 30.seconds());
        stage.soaks_until = Some(now + 90.seconds());
        assert_eq!(progress(&stage, now), (250, PARTS));
        stage.state = StageState::Done;
        assert_eq!(progress(&stage, now), (PARTS, PARTS));
        stage.state = StageState::NotOpen;
        assert_eq!(progress(&stage, now), (0, PARTS));
    }

    #[test]
    fn bars_follow_the_stages() {
        let mut bars = Bars::new(ProgressDrawTarget::hidden());
        let mut shown = snapshot();
        bars.show(&shown, Timestamp::UNIX_EPOCH);
        assert_eq!(bars.stages.len(), 3);
        assert_eq!(bars.stages[0].prefix(), "canary");
        shown.rollout.status.state = crate::rollout::objects::State::GoingBack;
        bars.show(&shown, Timestamp::UNIX_EPOCH);
        assert!(bars.stages.is_empty());
        bars.finish();
    }
}
