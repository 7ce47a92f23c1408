//! Child processes that can't outlive this one.
//!
//! A test that panics, a demo that is interrupted, a harness that is killed with `SIGKILL`: in no case may an API server stay
//! behind. So each child runs under a small shell that holds the read end of a pipe. The write end is here and nowhere else;
//! when it closes, because the [`Leash`] is dropped or because this process is gone, the shell ends the child. Nothing has to
//! be running on our side for that to work.

mod home;

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

pub use self::home::Home;
use crate::wait::eventually;

/// The shell that holds the leash: `sh -c SCRIPT sh LOG GRACE PROGRAM [ARG…]`.
///
/// It says the child's process id on its standard output, and then nothing more. The subshell blocks in `read`, which returns
/// when the pipe closes: first the child is asked to go, after GRACE tenths of a second it is made to. When the child ends by
/// itself the subshell is not needed any longer. It is killed with -KILL, because a shell that is waiting for `sleep` would
/// put off a milder signal.
const SCRIPT: &str = r#"
log=$1 grace=$2
shift 2
exec 3<&0
"$@" </dev/null >>"$log" 2>&1 3<&- &
pid=$!
echo "$pid" >"$log.pid"
echo "$pid"
exec >&-
(
    read -r _ <&3
    kill -TERM "$pid"
    while [ "$grace" -gt 0 ] && kill -0 "$pid"; do
        sleep 0.1
        grace=$((grace - 1))
    done
    kill -KILL "$pid"
) 2>/dev/null &
watcher=$!
wait "$pid"
status=$?
kill -KILL "$watcher"
exit "$status"
"#;

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What the process is called in messages.
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// Environment variables on top of the inherited ones.
    pub env: Vec<(String, String)>,
    /// The folder that it works in; ours when not given.
    pub directory: Option<PathBuf>,
    /// Where its output goes; appended, so that the log of a restarted process holds both lives.
    pub log: PathBuf,
    /// How long it may take to end once it was asked to.
    pub grace: Duration,
}

/// A running child, which ends when this value is dropped or when this process ends for whatever reason.
pub struct Leash {
    name: String,
    log: PathBuf,
    grace: Duration,
    pid: Pid,
    shell: Child,
    /// The write end. Taken is let go.
    hold: Option<ChildStdin>,
    status: Option<ExitStatus>,
}

impl Leash {
    /// Starts a program under its leash.
    ///
    /// # Errors
    /// When the shell can't be started or its log can't be written. A program that doesn't exist is a process that ends at once
    /// with status 127 and the shell's words in its log.
    pub fn start(launch: &Launch) -> Result<Self> {
        let name = &launch.name;
        let errors = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&launch.log)
            .with_context(|| format!("opening the log of {name}, {}", launch.log.display()))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(&launch.log)
            .arg(launch.grace.as_millis().div_ceil(100).to_string())
            .arg(&launch.program)
            .args(&launch.args)
            .envs(launch.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // A terminal sends Ctrl-C to the whole foreground group. The children aren't in it: when they go, and in which
            // order, is the harness's to decide.
            .process_group(0);
        if let Some(directory) = &launch.directory {
            command.current_dir(directory);
        }
        let mut shell = command
            .spawn()
            .with_context(|| format!("starting a shell for {name}"))?;
        let hold = shell.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = shell.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .with_context(|| format!("waiting for the start of {name}"))?;
        }
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid =
            pid.with_context(|| format!("the shell for {name} said {line:?} instead of a process id"))?;
        Ok(Self {
            name: name.clone(),
            log: launch.log.clone(),
            grace: launch.grace,
            pid,
            shell,
            hold,
            status: None,
        })
    }

    /// What the process is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id of the program itself, not of the shell that holds its leash.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal to the program itself. A program that has ended already isn't an error.
    pub fn signal(&mut self, signal: Signal) {
        // Once the shell has collected the child its id may belong to another process.
        if self.exit_status().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// How the program ended, or `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.shell.try_wait().ok().flatten();
        }
        self.status
    }

    /// Asks the program to end, without waiting for it.
    pub fn let_go(&mut self) {
        self.hold = None;
    }

    /// Ends the program as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there after ten seconds.
    pub async fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::KILL);
        self.gone(Duration::from_secs(10)).await
    }

    /// Asks the program to end, makes it end after its grace, and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there a good while after its grace.
    pub async fn stop(&mut self) -> Result<()> {
        self.let_go();
        self.gone(self.grace + Duration::from_secs(10)).await
    }

    async fn gone(&mut self, deadline: Duration) -> Result<()> {
        let what = format!("the end of {} (process {})", self.name, self.pid());
        eventually(deadline, what, async || {
            ensure!(self.exit_status().is_some(), "it is still running");
            Ok(())
        })
        .await
    }

    /// The last lines of the program's output.
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// The file that the program's output is in.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.let_go();
        // Ports and files are free for the next one only once the child is gone, so this waits, although it blocks.
        let deadline = Instant::now() + self.grace + Duration::from_secs(5);
        while self.exit_status().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl fmt::Debug for Leash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leash")
            .field("name", &self.name)
            .field("pid", &self.pid())
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// The last lines of a file, or why they can't be had.
pub fn tail(file: &Path, lines: usize) -> String {
    let text = match fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("({} can't be read: {error})", file.display()),
    };
    let skipped = text.lines().count().saturating_sub(lines);
    text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
