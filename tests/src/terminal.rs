//! How the demo and the benchmark speak and end: steps, commands, their output, and how long it took until what was expected came.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// Where a story is told. With colours only for people, and only for those who haven't asked for none (`NO_COLOR`).
pub struct Terminal {
    out: Box<dyn Write + Send>,
    colours: bool,
    steps: u32,
}

/// ANSI codes for what the words are.
#[derive(Clone, Copy)]
enum Style {
    Heading = 1,
    Quiet = 2,
    Bad = 31,
    Good = 32,
    Command = 36,
}

impl Terminal {
    /// Tells it on standard output.
    pub fn stdout() -> Self {
        let colours =
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            out: Box::new(io::stdout()),
            colours,
            steps: 0,
        }
    }

    /// Tells it to a writer, in plain text.
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            colours: false,
            steps: 0,
        }
    }

    /// Begins a step.
    pub fn step(&mut self, title: &str) {
        self.steps += 1;
        let heading = self.paint(Style::Heading, &format!("{}. {title}", self.steps));
        self.line(&format!("\n{heading}"));
    }

    /// Explains.
    pub fn say(&mut self, text: &str) {
        for line in text.lines() {
            self.line(format!("   {line}").trim_end());
        }
    }

    /// Shows a command line.
    pub fn command(&mut self, line: &str) {
        let line = self.paint(Style::Command, &format!("$ {line}"));
        self.line(&format!("   {line}"));
    }

    /// Shows what a command has printed.
    pub fn output(&mut self, text: &str) {
        for line in text.trim_end().lines() {
            let line = self.paint(Style::Quiet, line.trim_end());
            self.line(&format!("     {line}"));
        }
    }

    /// Says that what was expected has come, and after how long.
    pub fn done(&mut self, text: &str, took: Duration) {
        let (mark, took) = (
            self.paint(Style::Good, "✓"),
            self.paint(Style::Quiet, &format!("({})", Took(took))),
        );
        self.line(&format!("   {mark} {text} {took}"));
    }

    /// Says that it hasn't.
    pub fn failed(&mut self, text: &str) {
        let mark = self.paint(Style::Bad, "✗");
        self.line(&format!("\n{mark} {text}"));
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colours && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", style as u8)
        } else {
            text.to_owned()
        }
    }

    /// A reader that has gone away (`| head`) is no reason to fail: the walk is worth doing for its exit code alone.
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
        let _ = self.out.flush();
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("colours", &self.colours)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

/// Runs a program's work, and says what came of it: the exit code is 0, 1 after an error, which is shown, and 130 or 143 when
/// Ctrl-C or `SIGTERM` put an end to it.
pub fn run_until_interrupted(work: impl AsyncFnOnce(&mut Terminal) -> Result<()>) -> ExitCode {
    let mut terminal = Terminal::stdout();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.failed(&format!("starting the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let outcome = tokio::select! {
            outcome = work(&mut terminal) => outcome,
            // Everything that the work holds is dropped here, and with it every process that it has started.
            code = interrupted() => return code,
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                terminal.failed(&format!("{error:#}"));
                ExitCode::FAILURE
            }
        }
    });
    // A build that was interrupted goes on in a thread which nobody should wait for. Its compiler is on a leash.
    runtime.shutdown_background();
    code
}

/// Waits for Ctrl-C or `SIGTERM`, and gives the exit code that a shell would give.
async fn interrupted() -> ExitCode {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end the process, and the leashes everything else.
        return std::future::pending().await;
    };
    let code = tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    };
    let _ = writeln!(io::stderr(), "\nStopping everything.");
    ExitCode::from(code)
}

/// A duration for people: milliseconds below a second, tenths of a second above.
#[derive(Debug, Clone, Copy)]
pub struct Took(pub Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{:.1} s", self.0.as_secs_f32())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .map_err(|_| io::Error::other("poisoned"))?
                .write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_step_reads_as_a_story_and_is_plain_where_nobody_looks() {
        let paper = Paper::default();
        let mut terminal = Terminal::plain(paper.clone());
        terminal.step("Delete a pod");
        terminal.command("kubectl delete pod x");
        terminal.output("pod \"x\" deleted\n");
        terminal.done("It is back", Duration::from_millis(1_234));
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let lines = [
            "",
            "1. Delete a pod",
            "   $ kubectl delete pod x",
            "     pod \"x\" deleted",
            "   ✓ It is back (1.2 s)",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }
}
