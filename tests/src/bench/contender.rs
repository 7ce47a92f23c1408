//! The two that are compared.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Settings;
use crate::control_plane::ControlPlane;
use crate::leash::{Home, Launch, Leash};
use crate::programs::Programs;
use crate::service::{Executor, Planner, ServiceOptions};
use crate::toolbox::Tool;

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// kube-controller-manager with its `DaemonSet` controller and no other.
    Peer,
    /// Planner and executor.
    Everynode,
}

impl Contender {
    /// What it is called in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "kube-controller-manager",
            Self::Everynode => "Everynode",
        }
    }
}

/// A contender's processes. They end when this value is dropped.
#[derive(Debug)]
pub enum Running {
    /// Of [`Contender::Peer`].
    Peer {
        /// The process.
        leash: Leash,
        /// Where its log is. After the process, which writes there.
        _home: Home,
    },
    /// Of [`Contender::Everynode`].
    Everynode {
        /// Who acts. Before the planner, so that it goes first.
        executor: Box<Executor>,
        /// Who decides.
        planner: Box<Planner>,
    },
}

impl Running {
    /// Starts a contender, without waiting for it to be ready.
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
        let home = Home::new("peer")?;
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
        let leash = Leash::start(&Launch {
            name: Contender::Peer.name().to_owned(),
            program: control_plane.toolbox().path(Tool::ControllerManager)?,
            args,
            env: Vec::new(),
            directory: None,
            log: home.log(Contender::Peer.name())?,
            grace: Duration::from_secs(5),
        })?;
        Ok(Self::Peer { leash, _home: home })
    }

    /// What each process is called, and its id.
    ///
    /// # Errors
    /// When one has ended.
    pub fn processes(&self) -> Result<Vec<(&'static str, i32)>> {
        Ok(match self {
            Self::Peer { leash, .. } => vec![(Contender::Peer.name(), leash.pid())],
            Self::Everynode { executor, planner } => vec![
                ("executor", executor.pid().context("the executor has ended")?),
                ("planner", planner.pid().context("the planner has ended")?),
            ],
        })
    }

    /// The last lines that it has logged.
    pub fn log_tail(&self, lines: usize) -> String {
        match self {
            Self::Peer { leash, .. } => leash.tail(lines),
            Self::Everynode { executor, planner } => format!(
                "executor:\n{}\nplanner:\n{}",
                executor.log_tail(lines),
                planner.log_tail(lines)
            ),
        }
    }

    /// Stops it and waits for its end.
    ///
    /// # Errors
    /// When a process doesn't end.
    pub async fn stop(self) -> Result<()> {
        match self {
            Self::Peer { mut leash, _home } => leash.stop().await,
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
