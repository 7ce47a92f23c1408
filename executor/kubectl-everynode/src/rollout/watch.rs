//! Waits for the end of a rollout.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use everynode_render::{ErrorChain, text::printable};
use everynode_serving::program::exit::Exit;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::{
    bars::Bars,
    cluster::Cluster,
    progress::{Outcome, Snapshot},
    render, verbs,
};
use crate::{args::RolloutStatusArgs, error::Error, print_message};

/// Interval of the reads.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a new policy has to apply before the command gives up.
const MAX_WAIT_FOR_POLICY: Duration = Duration::from_secs(30);

/// Waits until the rollout ends, and returns the exit code.
///
/// # Errors
/// The first read fails, the `DaemonSet` is deleted, or no policy applies to it.
pub(crate) async fn watch(cluster: &Cluster<'_>, args: &RolloutStatusArgs) -> Result<Exit, Error> {
    let wait = wait(cluster, args.exit_on_wait);
    let Some(limit) = args.timeout else {
        return wait.await;
    };
    if let Ok(exit) = timeout(limit, wait).await {
        return exit;
    }
    let message = format!("the rollout hasn't ended after {} s", limit.as_secs());
    print_message(&message);
    Ok(Exit::TryLater)
}

async fn wait(cluster: &Cluster<'_>, exit_on_wait: bool) -> Result<Exit, Error> {
    let begin = Instant::now();
    let mut display = Display::for_stdout();
    let mut has_begun = false;
    let mut last_reported = None;
    loop {
        let error = match cluster.read().await {
            Ok(snapshot) => {
                has_begun = true;
                last_reported = None;
                if !display.show(&snapshot)? {
                    return Ok(Exit::Success);
                }
                if let Some(exit) = exit_of_end(&snapshot.outcome(), exit_on_wait) {
                    display.finish();
                    if let Some(next) = verbs::next(&cluster.target, &snapshot) {
                        print_message(&format!("next: {next}"));
                    }
                    return Ok(exit);
                }
                None
            }
            Err(error @ Error::NoRollout(_)) if !has_begun && begin.elapsed() < MAX_WAIT_FOR_POLICY => {
                Some(error)
            }
            Err(error) if has_begun && is_transient(&error) => Some(error),
            Err(error) => return Err(error),
        };
        // Print the same error only once until a read succeeds.
        let error = error.map(|error| ErrorChain(&error).to_string());
        if let Some(error) = error.filter(|error| last_reported.as_ref() != Some(error)) {
            print_message(&format!("can't read the rollout; retrying: {error}"));
            last_reported = Some(error);
        }
        sleep(INTERVAL).await;
    }
}

/// Whether the next read may succeed.
fn is_transient(error: &Error) -> bool {
    matches!(
        error,
        Error::Kubectl(_) | Error::ReadRollout { .. } | Error::Unreadable { .. }
    )
}

/// The exit code if a waiting command ends.
pub(crate) fn exit_of_end(outcome: &Outcome, exit_on_wait: bool) -> Option<Exit> {
    match outcome {
        Outcome::Completed => Some(Exit::Success),
        Outcome::Held | Outcome::Failed => Some(Exit::Findings),
        Outcome::WaitsForPerson if exit_on_wait => Some(Exit::Findings),
        Outcome::WaitsForPerson | Outcome::NotObserved | Outcome::UnderWay | Outcome::GoesBack => None,
    }
}

/// The exit code of a command that doesn't wait.
pub(crate) fn exit_now(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Completed => Exit::Success,
        Outcome::Held | Outcome::Failed | Outcome::GoesBack => Exit::Findings,
        Outcome::WaitsForPerson | Outcome::NotObserved | Outcome::UnderWay => Exit::TryLater,
    }
}

/// Shows the progress of the rollout.
#[derive(Debug)]
enum Display {
    /// On a terminal.
    Bars(Bars),
    /// Elsewhere. It remembers the last line, because only changes are printed.
    Lines(String),
}

impl Display {
    fn for_stdout() -> Self {
        if io::stdout().is_terminal() {
            Self::Bars(Bars::on_stdout())
        } else {
            Self::Lines(String::new())
        }
    }

    /// Returns whether anybody reads the output.
    fn show(&mut self, snapshot: &Snapshot) -> Result<bool, Error> {
        match self {
            Self::Bars(bars) => bars.show(snapshot, Timestamp::now()),
            Self::Lines(last) => {
                let line = printable(&render::line(snapshot)).into_owned();
                if *last != line {
                    let is_read = everynode_render::print(&format!("{line}\n"))?;
                    *last = line;
                    return Ok(is_read);
                }
            }
        }
        Ok(true)
    }

    fn finish(&self) {
        if let Self::Bars(bars) = self {
            bars.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_0_or_1_only_when_the_rollout_has_ended_or_is_held() {
        for (outcome, end, end_on_wait, now) in [
            (Outcome::Completed, Some(0), Some(0), 0),
            (Outcome::Held, Some(1), Some(1), 1),
            (Outcome::Failed, Some(1), Some(1), 1),
            (Outcome::GoesBack, None, None, 1),
            (Outcome::WaitsForPerson, None, Some(1), 75),
            (Outcome::UnderWay, None, None, 75),
            (Outcome::NotObserved, None, None, 75),
        ] {
            let ends = [false, true].map(|on_wait| exit_of_end(&outcome, on_wait).map(Exit::code));
            assert_eq!(ends, [end, end_on_wait], "{outcome:?}");
            assert_eq!(exit_now(&outcome).code(), now, "{outcome:?}");
        }
    }
}
