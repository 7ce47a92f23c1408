//! The terminal output of the demo and the benchmark: steps, commands, their output, and how long each outcome took.
//! [`run_until_interrupted`] also sets the exit codes of these programs.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// Prints the progress of the demo or the benchmark. It uses colors only on a terminal, and never if `NO_COLOR` is set
/// and nonempty.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    colors: bool,
    steps: u32,
}

/// ANSI codes for the kinds of text.
#[derive(Clone, Copy)]
enum Style {
    Heading = 1,
    Quiet = 2,
    Bad = 31,
    Good = 32,
    Command = 36,
}

impl Terminal {
    /// Writes to standard output.
    pub fn stdout() -> Self {
        let colors =
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            out: Box::new(io::stdout()),
            colors,
            steps: 0,
        }
    }

    /// Writes plain text to a writer.
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            colors: false,
            steps: 0,
        }
    }

    /// Starts a step and writes its heading.
    pub fn step(&mut self, title: &str) {
        self.steps += 1;
        let heading = self.paint(Style::Heading, &format!("{}. {title}", self.steps));
        self.line(&format!("\n{heading}"));
    }

    /// Prints indented text.
    pub fn print(&mut self, text: &str) {
        for line in text.lines() {
            self.line(format!("   {line}").trim_end());
        }
    }

    /// Shows a command line.
    pub fn command(&mut self, line: &str) {
        let line = self.paint(Style::Command, &format!("$ {line}"));
        self.line(&format!("   {line}"));
    }

    /// Shows a command's output.
    pub fn output(&mut self, text: &str) {
        for line in text.trim_end().lines() {
            let line = self.paint(Style::Quiet, line.trim_end());
            self.line(&format!("     {line}"));
        }
    }

    /// Reports that the expected outcome occurred, and how long that took.
    pub fn done(&mut self, text: &str, took: Duration) {
        let (mark, took) = (
            self.paint(Style::Good, "✓"),
            self.paint(Style::Quiet, &format!("({})", Took(took))),
        );
        self.line(&format!("   {mark} {text} {took}"));
    }

    /// Reports a failure.
    pub fn failed(&mut self, text: &str) {
        let mark = self.paint(Style::Bad, "✗");
        self.line(&format!("\n{mark} {text}"));
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colors && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", style as u8)
        } else {
            text.to_owned()
        }
    }

    /// Ignores write errors, such as those after the reader has ended (`| head`). The program continues, because its
    /// exit code still matters.
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
        let _ = self.out.flush();
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("colors", &self.colors)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

/// Runs a program's work and reports the outcome. The exit code is 0 on success, 1 after an error (which is shown), 130
/// after Ctrl-C, and 143 after `SIGTERM`.
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
            // Everything that the work holds is dropped here, including every process that it has started.
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
    // Don't wait for the thread of an interrupted build. The Go compiler that it started is a supervised child and ends
    // with this process.
    runtime.shutdown_background();
    code
}

/// Waits for Ctrl-C or `SIGTERM`, and returns the exit code that a shell would give.
async fn interrupted() -> ExitCode {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers, the signals end this process, and the supervisors of the child processes end everything
        // else.
        return std::future::pending().await;
    };
    let code = tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    };
    let _ = writeln!(io::stderr(), "\nStopping everything.");
    ExitCode::from(code)
}

/// A duration for people: in milliseconds below a second, otherwise in seconds with one decimal.
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
    fn steps_are_plain_text_without_a_terminal() {
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
