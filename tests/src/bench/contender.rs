//! The two contenders of the benchmark.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Settings;
use crate::child_process::{ChildProcess, ProcessOptions, WorkDir};
use crate::control_plane::ControlPlane;
use crate::programs::Programs;
use crate::service::{Executor, Planner, ServiceOptions};
use crate::toolbox::Tool;

/// A program that does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// kube-controller-manager with only its `DaemonSet` controller.
    Peer,
    /// Everynode's planner and executor.
    Everynode,
}

impl Contender {
    /// The contender's name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "kube-controller-manager",
            Self::Everynode => "Everynode",
        }
    }
}

/// A contender's processes. Dropping it stops them.
#[derive(Debug)]
pub enum RunningContender {
    /// The process of [`Contender::Peer`].
    Peer {
        /// The process.
        process: ChildProcess,
        /// The folder of its log. Declared after the process, which writes there.
        _work_dir: WorkDir,
    },
    /// The processes of [`Contender::Everynode`].
    Everynode {
        /// The executor, which acts. Declared before the planner, so that it is dropped first.
        executor: Box<Executor>,
        /// The planner, which decides.
        planner: Box<Planner>,
    },
}

impl RunningContender {
    /// Starts a contender without waiting until it is ready.
    ///
    /// # Errors
    /// When it can't be built or started.
    pub async fn start(
        contender: Contender,
        control_plane: &ControlPlane,
        kubeconfig: &Path,
        settings: &Settings,
    ) -> Result<Self> {
        match contender {
            Contender::Peer => Self::peer(control_plane, kubeconfig, settings),
            Contender::Everynode => {
                let programs = Programs::built(settings.profile).await?;
                let planner = Planner::spawn(&programs, ServiceOptions::default())?;
                let options = ServiceOptions::default();
                let executor = Executor::spawn(&programs, &planner.url(), kubeconfig, options)?;
                Ok(Self::Everynode {
                    executor: Box::new(executor),
                    planner: Box::new(planner),
                })
            }
        }
    }

    fn peer(control_plane: &ControlPlane, kubeconfig: &Path, settings: &Settings) -> Result<Self> {
        let work_dir = WorkDir::new("peer")?;
        let mut args = vec![
            "--controllers=daemonset-controller".to_owned(),
            "--leader-elect=false".to_owned(),
            "--use-service-account-credentials=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--profiling=false".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
        ];
        if let Some(qps) = settings.peer_qps {
            args.push(format!("--kube-api-qps={qps}"));
            args.push(format!("--kube-api-burst={}", u64::from(qps) * 2));
        }
        let process = ChildProcess::start(&ProcessOptions {
            name: Contender::Peer.name().to_owned(),
            program: control_plane.toolbox().path(Tool::ControllerManager)?,
            args,
            env: Vec::new(),
            directory: None,
            log: work_dir.log(Contender::Peer.name())?,
            grace: Duration::from_secs(5),
        })?;
        Ok(Self::Peer {
            process,
            _work_dir: work_dir,
        })
    }

    /// The name and id of each process.
    ///
    /// # Errors
    /// When a process has ended.
    pub fn processes(&self) -> Result<Vec<(&'static str, i32)>> {
        Ok(match self {
            Self::Peer { process, .. } => vec![(Contender::Peer.name(), process.pid())],
            Self::Everynode { executor, planner } => vec![
                ("executor", executor.pid().context("the executor has ended")?),
                ("planner", planner.pid().context("the planner has ended")?),
            ],
        })
    }

    /// The last lines of each process's log.
    pub fn log_tail(&self, lines: usize) -> String {
        match self {
            Self::Peer { process, .. } => process.tail(lines),
            Self::Everynode { executor, planner } => format!(
                "executor:\n{}\nplanner:\n{}",
                executor.log_tail(lines),
                planner.log_tail(lines)
            ),
        }
    }

    /// Stops the contender and waits until its processes have ended.
    ///
    /// # Errors
    /// When a process doesn't end.
    pub async fn stop(self) -> Result<()> {
        match self {
            Self::Peer {
                mut process,
                _work_dir,
            } => process.stop().await,
            Self::Everynode {
                mut executor,
                mut planner,
            } => {
                executor.stop().await?;
                planner.stop().await
            }
        }
    }
}
