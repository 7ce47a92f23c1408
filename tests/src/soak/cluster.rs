//! The control plane, two planners, two executors, and the proxies on the connections between them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::faults::ensure_running;
use crate::audit::AuditLog;
use crate::bench::meter::usage;
use crate::control_plane::{ControlPlane, Options};
use crate::nodes;
use crate::programs::{Profile, Programs};
use crate::proxy::LastReleaseProxy;
use crate::proxy::tcp::{ConnectionFaults, TcpProxy};
use crate::service::{Executor, Planner, ServiceOptions};
use crate::shared::fresh_namespace;
use crate::wait::eventually;

/// The API server's audit policy: it records what Everynode does and who else deletes pods.
const POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [contender]
  verbs: [create, delete, patch, update]
- level: Metadata
  verbs: [delete, deletecollection]
  resources:
  - {group: "", resources: [pods]}
- level: None
"#;

/// A shorter lease than usual, so that there are more leadership terms.
const ELECTION_FLAGS: [&str; 5] = [
    "--leader-elect=true",
    "--leader-elect-lease-duration=4s",
    "--leader-elect-renew-deadline=3s",
    "--leader-elect-retry-period=500ms",
    "--log=info",
];

/// How long an executor's requests may be in flight: the lease duration minus the renew deadline. The executor sets
/// that as its TCP timeout. Its TCP connections end at the proxies, so the proxies must apply the timeout instead.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// How long nodes may take to become ready again after an outage of the API server, before the harness changes them.
const RECOVERY: Duration = Duration::from_secs(20);
/// After this many such waits, the soak fails.
const MAX_RECOVERIES: u32 = 9;
/// The number of planners, and also of executors.
pub(super) const REPLICAS: usize = 2;
/// The index of the planner and the executor that are never killed or stopped, so that their memory shows leaks.
pub(super) const NEVER_RESTARTED: usize = 1;

/// An executor and its connections to its planner and to the API server.
#[derive(Debug)]
pub(super) struct ExecutorReplica {
    pub(super) executor: Executor,
    pub(super) to_planner: TcpProxy,
    pub(super) to_api: TcpProxy,
}

/// Everything that runs. The fields are dropped in this order.
pub(super) struct SoakCluster {
    pub(super) replicas: Vec<ExecutorReplica>,
    pub(super) planners: Vec<Planner>,
    /// For each planner, a proxy that makes it behave like the last release.
    last_release_proxies: Vec<LastReleaseProxy>,
    pub(super) control_plane: ControlPlane,
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) audit_log: AuditLog,
}

impl SoakCluster {
    pub(super) async fn start() -> Result<Self> {
        let audit_log = AuditLog::new(POLICY)?;
        let options = Options {
            flags: audit_log.flags(),
            ..Options::default()
        };
        let control_plane = ControlPlane::start(options).await?;
        let client = control_plane.client().await?;
        let namespace = fresh_namespace(&client).await?;
        let programs = Programs::built(Profile::Dev).await?;
        let (mut planners, mut last_release_proxies) = (Vec::new(), Vec::new());
        for _ in 0..REPLICAS {
            let planner = Planner::start(&programs, ServiceOptions::default()).await?;
            last_release_proxies.push(LastReleaseProxy::start(planner.url()).await?);
            planners.push(planner);
        }
        let mut replicas = Vec::new();
        for (number, planner) in planners.iter().enumerate() {
            let to_planner = TcpProxy::start(address(planner)?).await?;
            let to_api = TcpProxy::start(control_plane.api_server_address().into()).await?;
            to_api.set_user_timeout(REQUEST_TIMEOUT);
            let kubeconfig = kubeconfig(&control_plane, to_api.address())?;
            let mut flags: Vec<_> = ELECTION_FLAGS.map(str::to_owned).into();
            flags.push(format!("--identity=executor-{number}"));
            flags.push(format!("--leader-elect-resource-namespace={namespace}"));
            let options = ServiceOptions {
                flags,
                ..ServiceOptions::default()
            };
            let planner = format!("http://{}", to_planner.address());
            let executor = Executor::start(&programs, &planner, &kubeconfig, options).await?;
            replicas.push(ExecutorReplica {
                executor,
                to_planner,
                to_api,
            });
        }
        Ok(Self {
            replicas,
            planners,
            last_release_proxies,
            control_plane,
            client,
            namespace,
            audit_log,
        })
    }

    /// Removes the faults of all connections, and makes every process run.
    pub(super) fn repair_all(&mut self) -> Result<()> {
        for replica in &mut self.replicas {
            replica.to_planner.set_faults(ConnectionFaults::default());
            replica.to_api.set_faults(ConnectionFaults::default());
            ensure_running(&mut replica.executor)?;
        }
        self.planners.iter_mut().try_for_each(ensure_running)
    }

    /// An executor and its connections.
    pub(super) fn replica(&mut self, index: usize) -> Result<&mut ExecutorReplica> {
        self.replicas.get_mut(index).context("there is no such executor")
    }

    pub(super) fn planner(&mut self, index: usize) -> Result<&mut Planner> {
        self.planners.get_mut(index).context("there is no such planner")
    }

    /// The address at which a planner behaves like the last release.
    pub(super) fn last_release_planner(&self, index: usize) -> Result<SocketAddr> {
        let proxy = self
            .last_release_proxies
            .get(index)
            .context("there is no such planner")?;
        Ok(proxy.address())
    }

    /// Resident bytes of the planner and the executor that are never restarted.
    pub(super) fn memory(&self) -> Result<(u64, u64)> {
        let planner = self.planners.get(NEVER_RESTARTED).and_then(Planner::pid);
        let executor = self
            .replicas
            .get(NEVER_RESTARTED)
            .and_then(|replica| replica.executor.pid());
        let bytes = |pid: Option<i32>| Ok::<_, anyhow::Error>(usage(pid.context("not running")?)?.rss_bytes);
        Ok((
            bytes(planner).context("reading the planner's memory")?,
            bytes(executor).context("reading the executor's memory")?,
        ))
    }

    /// The last lines of all logs.
    pub(super) fn logs(&self, lines: usize) -> String {
        let mut logs = String::new();
        let planners = self
            .planners
            .iter()
            .map(|planner| ("planner", planner.log_tail(lines)));
        let executors = self
            .replicas
            .iter()
            .map(|replica| ("executor", replica.executor.log_tail(lines)));
        for (name, tail) in planners.chain(executors) {
            let _ = writeln!(logs, "--- {name}\n{tail}");
        }
        logs
    }

    /// Waits until the API server answers and all existing nodes are ready.
    pub(super) async fn wait_healthy(&mut self) -> Result<()> {
        self.control_plane.ensure_running().await?;
        let mut tries = 0;
        loop {
            let recovered = eventually(RECOVERY, "all nodes to be ready", async || {
                let unready = self.unready().await?;
                ensure!(unready.is_empty(), "not ready: {unready:?}");
                Ok(())
            });
            let Err(error) = recovered.await else {
                return Ok(());
            };
            tries += 1;
            ensure!(tries < MAX_RECOVERIES, error);
            // kube-controller-manager tries only once to remove the taint from a node that has become ready. If the API
            // server was down at that moment, it waits for the next change of the node. So make one.
            for name in self.unready().await? {
                let change = json!({"metadata": {"annotations": {"soak/tries": tries.to_string()}}});
                nodes::patch(&self.client, &name, &change).await?;
            }
        }
    }

    async fn unready(&self) -> Result<Vec<String>> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let nodes = nodes.list(&ListParams::default()).await?;
        let unready = nodes.iter().filter(|node| !nodes::is_ready(node));
        Ok(unready.map(ResourceExt::name_any).collect())
    }
}

/// The address that a planner serves on.
pub(super) fn address(planner: &Planner) -> Result<SocketAddr> {
    planner.address().parse().context("parsing the planner's address")
}

fn kubeconfig(control_plane: &ControlPlane, server: SocketAddr) -> Result<PathBuf> {
    let written = control_plane.contender_kubeconfig(&format!("https://{server}"))?;
    // Each executor has its own connection to the API server, so it needs its own kubeconfig file.
    let own = written.with_extension(format!("{}.kubeconfig", server.port()));
    std::fs::copy(&written, &own).context("copying a kubeconfig")?;
    Ok(own)
}
