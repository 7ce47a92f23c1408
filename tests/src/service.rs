//! Runs the planner and the executor under test as processes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::certificates::CertificateMount;
use crate::child_process::{ChildProcess, ProcessOptions, WorkDir, tail};
use crate::http_client;
use crate::ports::Port;
use crate::programs::Programs;
use crate::wait::{GiveUp, eventually};

/// How long a program may take to report that it is ready.
const READY: Duration = Duration::from_secs(30);
/// How long a program may take to drain. The planner and the executor need much less, so a test of draining notices a
/// hang.
const GRACE: Duration = Duration::from_secs(20);

/// The planner, as a process.
pub type Planner = Service<PlannerRole>;
/// The executor, as a process.
pub type Executor = Service<ExecutorRole>;

/// Options that differ from one process to another.
#[derive(Debug, Clone, Default)]
pub struct ServiceOptions {
    /// The folder with TLS certificates. Without it, the program uses plain text.
    pub certificates: Option<CertificateMount>,
    /// Flags in addition to the usual ones.
    pub flags: Vec<String>,
    /// Environment variables. `RUST_LOG` is `info` unless it is set here or in the harness's own environment.
    pub env: Vec<(String, String)>,
}

/// The name and the flags of a program.
pub trait Role: fmt::Debug {
    /// The name of the program and of its log.
    const NAME: &str;

    /// The flags that depend on the role, without those of the admin port.
    fn flags(&self) -> Vec<String>;

    /// The port that it serves gRPC on.
    fn port(&self) -> &Port;
}

/// The role of the planner.
#[derive(Debug)]
pub struct PlannerRole {
    listen: Port,
}

impl Role for PlannerRole {
    const NAME: &str = "everynode-planner";

    fn flags(&self) -> Vec<String> {
        vec![format!("--listen={}", self.listen.address())]
    }

    fn port(&self) -> &Port {
        &self.listen
    }
}

/// The role of the executor.
#[derive(Debug)]
pub struct ExecutorRole {
    listen: Port,
    planner: String,
    kubeconfig: PathBuf,
}

impl Role for ExecutorRole {
    const NAME: &str = "everynode-executor";

    fn flags(&self) -> Vec<String> {
        vec![
            format!("--listen={}", self.listen.address()),
            format!("--planner={}", self.planner),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            // With election, an executor that was killed and restarted would wait for its own Lease to expire. If a
            // flag is given twice, the last one counts, so tests can turn election on.
            "--leader-elect=false".to_owned(),
        ]
    }

    fn port(&self) -> &Port {
        &self.listen
    }
}

/// A running program. It keeps its ports when it is restarted. Dropping it ends the program.
#[derive(Debug)]
pub struct Service<R: Role> {
    process: Option<ChildProcess>,
    role: R,
    program: PathBuf,
    options: ServiceOptions,
    admin: Port,
    log: PathBuf,
    _work_dir: WorkDir,
}

/// Starts a planner, and an executor that uses it to manage this cluster. Waits until both are ready. Drop the executor
/// first.
///
/// # Errors
/// When one doesn't become ready. The error contains the last lines of its log.
pub async fn start_both(programs: &Programs, kubeconfig: &Path) -> Result<(Planner, Executor)> {
    let planner = Planner::start(programs, ServiceOptions::default()).await?;
    let executor = Executor::start(programs, &planner.url(), kubeconfig, ServiceOptions::default()).await?;
    Ok((planner, executor))
}

impl Planner {
    /// Starts a planner and waits until it is ready.
    ///
    /// # Errors
    /// When it doesn't become ready. The error contains the last lines of its log.
    pub async fn start(programs: &Programs, options: ServiceOptions) -> Result<Self> {
        let mut planner = Self::spawn(programs, options)?;
        planner.wait_ready().await?;
        Ok(planner)
    }

    /// Starts a planner without waiting.
    ///
    /// # Errors
    /// When the process can't be started.
    pub fn spawn(programs: &Programs, options: ServiceOptions) -> Result<Self> {
        let role = PlannerRole {
            listen: Port::claim()?,
        };
        Self::start_process(role, &programs.planner, options)
    }
}

impl Executor {
    /// Starts an executor and waits until it is ready.
    ///
    /// # Errors
    /// When it doesn't become ready. The error contains the last lines of its log.
    pub async fn start(
        programs: &Programs,
        planner: &str,
        kubeconfig: &Path,
        options: ServiceOptions,
    ) -> Result<Self> {
        let mut executor = Self::spawn(programs, planner, kubeconfig, options)?;
        executor.wait_ready().await?;
        Ok(executor)
    }

    /// Starts an executor without waiting. Use it for one that can't become ready yet because there is no planner or
    /// another executor leads.
    ///
    /// # Errors
    /// When the process can't be started.
    pub fn spawn(
        programs: &Programs,
        planner: &str,
        kubeconfig: &Path,
        options: ServiceOptions,
    ) -> Result<Self> {
        let role = ExecutorRole {
            listen: Port::claim()?,
            planner: planner.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
        };
        Self::start_process(role, &programs.executor, options)
    }
}

impl<R: Role> Service<R> {
    fn start_process(role: R, program: &Path, options: ServiceOptions) -> Result<Self> {
        let work_dir = WorkDir::new(R::NAME.trim_start_matches("everynode-"))?;
        let mut this = Self {
            process: None,
            role,
            program: program.to_owned(),
            options,
            admin: Port::claim()?,
            log: work_dir.log(R::NAME)?,
            _work_dir: work_dir,
        };
        this.launch()?;
        Ok(this)
    }

    /// Starts the program again after it was stopped or killed. Doesn't wait for it to be ready.
    ///
    /// # Errors
    /// When it is already running or can't be started.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(!self.is_running(), "{} is running already", R::NAME);
        let mut env = self.options.env.clone();
        if std::env::var_os("RUST_LOG").is_none() && !env.iter().any(|(name, _)| name == "RUST_LOG") {
            env.push(("RUST_LOG".to_owned(), "info".to_owned()));
        }
        let mut args = self.role.flags();
        args.push(format!("--admin-listen={}", self.admin.address()));
        match &self.options.certificates {
            Some(mount) => args.extend(mount.flags()),
            None => args.push("--plaintext".to_owned()),
        }
        args.extend(self.options.flags.iter().cloned());
        self.process = Some(ChildProcess::start(&ProcessOptions {
            name: R::NAME.to_owned(),
            program: self.program.clone(),
            args,
            env,
            directory: None,
            log: self.log.clone(),
            grace: GRACE,
        })?);
        Ok(())
    }

    /// Waits until the program reports that it is ready and accepts connections.
    ///
    /// # Errors
    /// When it doesn't within 30 s, or when it ends. The error contains the last lines of its log.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let outcome = eventually(READY, format!("{} to be ready", R::NAME), async || {
            if !self.is_running() {
                return Err(GiveUp::because(format!("{} has ended", R::NAME)));
            }
            let (status, body) = self.get("/readyz").await?;
            ensure!(status == 200, "/readyz returned {status}: {}", body.trim());
            TcpStream::connect(self.role.port().address())
                .await
                .context("connecting to its port")?;
            Ok(())
        });
        let outcome = outcome.await;
        outcome.with_context(|| format!("the last lines of {}'s log:\n{}", R::NAME, self.log_tail(20)))
    }

    /// Kills the program (`SIGKILL`), as a crash would, and waits for its end.
    ///
    /// # Errors
    /// When it doesn't end.
    pub async fn kill9(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill9().await,
            None => Ok(()),
        }
    }

    /// Shuts the program down gracefully (`SIGTERM`), and waits for its end.
    ///
    /// # Errors
    /// When it doesn't end.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Stops the program if it is running, starts it again on the same ports, and waits until it is ready.
    ///
    /// # Errors
    /// When it doesn't end or doesn't become ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch()?;
        self.wait_ready().await
    }

    /// Sends a signal, for instance `SIGSTOP` to make it hang.
    pub fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process {
            process.signal(signal);
        }
    }

    /// Whether the process is running.
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.exit_status().is_none())
    }

    /// The process ID while it is running.
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(ChildProcess::pid)
    }

    /// The address that it serves gRPC on, as `HOST:PORT`.
    pub fn address(&self) -> String {
        self.role.port().address().to_string()
    }

    /// The URL that it serves gRPC on.
    pub fn url(&self) -> String {
        let scheme = if self.options.certificates.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address())
    }

    /// The address of the admin port, as `HOST:PORT`.
    pub fn admin_address(&self) -> String {
        self.admin.address().to_string()
    }

    /// Sends a GET request for a path to the admin port, and returns the status and the body of the answer.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        http_client::get(self.admin.address(), path).await
    }

    /// The sum of a metric over all series, or over the series whose labels contain `labels` (such as `outcome="ok"`).
    /// Zero when there is no such series.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let (_, body) = self.get("/metrics").await?;
        let series = body.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, found_labels) = series.split_once('{').unwrap_or((series, ""));
            (found == name && found_labels.contains(labels)).then(|| value.parse::<f64>().ok())?
        });
        Ok(series.sum())
    }

    /// The last lines of its log, across restarts.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// The file that it logs to.
    pub fn log(&self) -> &Path {
        &self.log
    }
}
