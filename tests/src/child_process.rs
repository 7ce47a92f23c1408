//! Child processes that can't outlive this one.
//!
//! Even if a test panics, a demo is interrupted, or a harness is killed with `SIGKILL`, no API server may keep running.
//! So each child runs under a small shell that holds the read end of a pipe. This process holds the only write end.
//! When the write end closes, because the [`ChildProcess`] is dropped or because this process has ended, the shell ends
//! the child. This works even if this process can't run any more code.

mod work_dir;

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

pub use self::work_dir::WorkDir;
use crate::wait::eventually;

/// The script of the shell: `sh -c SCRIPT sh LOG GRACE PROGRAM [ARG…]`.
///
/// The shell prints the child's process id on its standard output, and nothing after that. Its subshell blocks in
/// `read`, which returns when the pipe closes. The subshell then sends the child SIGTERM and, if the child is still
/// running after GRACE tenths of a second, SIGKILL. When the child ends by itself, the subshell is no longer needed.
/// The shell kills it with SIGKILL, which ends it immediately, even while it waits for `sleep`.
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

/// Describes the process to start.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// The name of the process in messages.
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// The arguments, without the program's name.
    pub args: Vec<String>,
    /// Environment variables in addition to the inherited ones.
    pub env: Vec<(String, String)>,
    /// The working directory. By default, this process's own.
    pub directory: Option<PathBuf>,
    /// The log file for its output. The output is appended, so the log of a restarted process holds both runs.
    pub log: PathBuf,
    /// How long it may take to end after SIGTERM before it is killed.
    pub grace: Duration,
}

/// A running child process. It is stopped when this value is dropped or when this process ends, even if this process is
/// killed.
pub struct ChildProcess {
    name: String,
    log: PathBuf,
    grace: Duration,
    pid: Pid,
    shell: Child,
    /// The write end of the pipe. Dropping it asks the program to end.
    stop_pipe: Option<ChildStdin>,
    status: Option<ExitStatus>,
}

impl ChildProcess {
    /// Starts a program under a shell, which ends the program when the returned value is dropped.
    ///
    /// # Errors
    /// When the shell can't be started or the log can't be written. A missing program isn't an error here. It
    /// counts as a process that ended at once with status 127, and the log holds the shell's message.
    pub fn start(options: &ProcessOptions) -> Result<Self> {
        let name = &options.name;
        let errors = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&options.log)
            .with_context(|| format!("opening the log of {name}, {}", options.log.display()))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(&options.log)
            .arg(options.grace.as_millis().div_ceil(100).to_string())
            .arg(&options.program)
            .args(&options.args)
            .envs(options.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // A terminal sends Ctrl-C to the whole foreground process group. The children are in a group of their own,
            // so the harness decides when they end, and in which order.
            .process_group(0);
        if let Some(directory) = &options.directory {
            command.current_dir(directory);
        }
        let mut shell = command
            .spawn()
            .with_context(|| format!("starting a shell for {name}"))?;
        let stop_pipe = shell.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = shell.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .with_context(|| format!("waiting for the start of {name}"))?;
        }
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid =
            pid.with_context(|| format!("the shell for {name} printed {line:?} instead of a process id"))?;
        Ok(Self {
            name: name.clone(),
            log: options.log.clone(),
            grace: options.grace,
            pid,
            shell,
            stop_pipe,
            status: None,
        })
    }

    /// The name of the process in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id of the program itself, not of the shell above it.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal to the program itself. It isn't an error if the program has already ended.
    pub fn signal(&mut self, signal: Signal) {
        // Once the shell has reaped the child, its process id may belong to another process.
        if self.exit_status().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// The exit status of the program, or `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.shell.try_wait().ok().flatten();
        }
        self.status
    }

    /// Asks the program to end, without waiting for it.
    pub fn request_stop(&mut self) {
        self.stop_pipe = None;
    }

    /// Kills the program with `SIGKILL` to simulate a crash, and waits until it is gone.
    ///
    /// # Errors
    /// When it is still running after ten seconds.
    pub async fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::KILL);
        self.wait_exit(Duration::from_secs(10)).await
    }

    /// Asks the program to end, kills it when its grace period is over, and waits until it is gone.
    ///
    /// # Errors
    /// When it is still running ten seconds after its grace period.
    pub async fn stop(&mut self) -> Result<()> {
        self.request_stop();
        self.wait_exit(self.grace + Duration::from_secs(10)).await
    }

    async fn wait_exit(&mut self, deadline: Duration) -> Result<()> {
        let what = format!("the end of {} (process {})", self.name, self.pid());
        eventually(deadline, what, async || {
            ensure!(self.exit_status().is_some(), "still running");
            Ok(())
        })
        .await
    }

    /// The last lines of the program's output.
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// The log file with the program's output.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.request_stop();
        // Dropping blocks until the child is gone, because the next process may need its ports and files. It waits at
        // most five seconds longer than the grace period.
        let deadline = Instant::now() + self.grace + Duration::from_secs(5);
        while self.exit_status().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl fmt::Debug for ChildProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildProcess")
            .field("name", &self.name)
            .field("pid", &self.pid())
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// Returns the last lines of a file, or the reason why it can't be read.
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
