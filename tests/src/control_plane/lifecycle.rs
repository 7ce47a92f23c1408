//! Starting and stopping the components of a running control plane.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};

use super::{Component, ControlPlane};
use crate::child_process::{ChildProcess, ProcessOptions};
use crate::wait::{GiveUp, eventually};

/// How long a component may take to become ready. It normally takes seconds; the limit is long because machines can be
/// busy.
const READY: Duration = Duration::from_mins(1);

impl ControlPlane {
    /// Starts a component that isn't running, and waits until it is ready.
    async fn start_component(&mut self, component: Component) -> Result<()> {
        self.launch(component)?;
        self.wait_ready(component).await
    }

    /// Stops a component and waits until it has ended. Does nothing when it isn't running.
    ///
    /// # Errors
    /// When the process doesn't end.
    pub async fn stop_component(&mut self, component: Component) -> Result<()> {
        self.mark_disturbed(component);
        match self.slot(component)?.take() {
            Some(mut process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Stops the API server, waits until it has ended, starts it again on the same port and store, and waits until it
    /// is ready.
    ///
    /// # Errors
    /// When the component doesn't end or doesn't become ready.
    pub async fn restart_apiserver(&mut self) -> Result<()> {
        self.stop_apiserver().await?;
        self.start_apiserver().await
    }

    /// Begins an outage: stops the API server and waits until it has ended.
    ///
    /// # Errors
    /// When the process doesn't end.
    pub async fn stop_apiserver(&mut self) -> Result<()> {
        self.stop_component(Component::ApiServer).await
    }

    /// Ends an outage: starts the API server and waits until it is ready.
    ///
    /// # Errors
    /// When the API server doesn't become ready.
    pub async fn start_apiserver(&mut self) -> Result<()> {
        self.start_component(Component::ApiServer).await
    }

    /// Switches kube-controller-manager's own `DaemonSet` controller on or off. Restarts kube-controller-manager if the
    /// setting changes.
    ///
    /// # Errors
    /// When the component doesn't end or doesn't become ready.
    pub async fn set_daemonset_controller(&mut self, on: bool) -> Result<()> {
        if self.options.daemonset_controller == on {
            return Ok(());
        }
        self.stop_component(Component::ControllerManager).await?;
        self.options.daemonset_controller = on;
        self.start_component(Component::ControllerManager).await
    }

    /// Starts every component that should be running and isn't, so that the control plane matches its options again.
    ///
    /// # Errors
    /// When a component doesn't become ready.
    pub async fn ensure_running(&mut self) -> Result<()> {
        for component in Component::ALL {
            if !self.options.without.contains(&component) && !self.is_running(component) {
                self.start_component(component).await?;
            }
        }
        Ok(())
    }

    /// Whether any component other than kube-controller-manager has been stopped since the start. Afterwards, clients
    /// that watch the API server can need more than half a minute to recover.
    pub fn is_disturbed(&self) -> bool {
        self.disturbed
    }

    fn mark_disturbed(&mut self, component: Component) {
        self.disturbed |= component != Component::ControllerManager;
    }

    /// Whether the component's process is running.
    pub fn is_running(&mut self, component: Component) -> bool {
        let slot = self.slot(component).ok().and_then(Option::as_mut);
        slot.is_some_and(|process| process.exit_status().is_none())
    }

    /// The process id of a running component.
    pub fn pid(&self, component: Component) -> Option<i32> {
        self.running
            .iter()
            .find(|(known, _)| *known == component)?
            .1
            .as_ref()
            .map(ChildProcess::pid)
    }

    fn slot(&mut self, component: Component) -> Result<&mut Option<ChildProcess>> {
        let slot = self.running.iter_mut().find(|(known, _)| *known == component);
        Ok(&mut slot.context("every component has an entry")?.1)
    }

    pub(super) fn launch_enabled(&mut self, components: &[Component]) -> Result<()> {
        for component in components {
            if !self.options.without.contains(component) {
                self.launch(*component)?;
            }
        }
        Ok(())
    }

    fn launch(&mut self, component: Component) -> Result<()> {
        ensure!(
            !self.is_running(component),
            "{} is running already",
            component.name()
        );
        let process = ChildProcess::start(&ProcessOptions {
            name: component.name().to_owned(),
            program: self.toolbox.path(component.tool())?,
            args: component.flags(self.work_dir.path(), &self.ports, &self.identity, &self.options),
            env: Vec::new(),
            directory: Some(self.work_dir.path().to_owned()),
            log: self.work_dir.log(component.name())?,
            grace: component.grace(),
        })?;
        *self.slot(component)? = Some(process);
        Ok(())
    }

    pub(super) async fn wait_ready(&mut self, component: Component) -> Result<()> {
        let client = match component {
            // These two need no check: the API server isn't ready without etcd, and tests wait for the nodes that kwok
            // makes ready.
            Component::Etcd | Component::Kwok => return Ok(()),
            Component::Scheduler => {
                let mut config = self.config().await?;
                config.cluster_url = format!("https://{}", self.ports.scheduler.address())
                    .parse()
                    .context("parsing the scheduler's URL")?;
                Client::try_from(config).context("creating a client of the scheduler")?
            }
            Component::ApiServer | Component::ControllerManager => self.client().await?,
        };
        let what = format!("{} to be ready", component.name());
        let ready = eventually(READY, what, async || {
            // On the first start, the API server waits a long time for etcd. So this wait ends early if etcd has ended.
            for needed in [Component::Etcd, component] {
                if !self.is_running(needed) {
                    return Err(GiveUp::because(format!("{} has ended", needed.name())));
                }
            }
            if component == Component::ControllerManager {
                let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
                accounts
                    .get("default")
                    .await
                    .context("getting the default service account")?;
            } else {
                let request = http::Request::get("/readyz").body(Vec::new())?;
                client.request_text(request).await?;
            }
            Ok(())
        });
        let ready = ready.await;
        ready.with_context(|| {
            let name = component.name();
            let etcd = if self.is_running(Component::Etcd) {
                String::new()
            } else {
                format!(
                    "\nthe last lines of etcd's log:\n{}",
                    self.log_tail(Component::Etcd, 20)
                )
            };
            format!(
                "{name} did not become ready; the last lines of its log:\n{}{etcd}",
                self.log_tail(component, 20)
            )
        })
    }
}
