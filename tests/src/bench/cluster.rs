//! The control plane that a contender works on. It runs only the components that the scenario needs, and logs every
//! request.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Client;

use super::Settings;
use super::contender::{Contender, RunningContender};
use super::population::{self, Expected, create_daemon_sets, create_nodes, node_name, pod, post_pods};
use super::relay::Relay;
use crate::audit::{Audit, AuditLog};
use crate::child_process::WorkDir;
use crate::control_plane::{Component, ControlPlane, Options};
use crate::wait::eventually_every;

/// Audit policy of the API server: it logs every request of the contender, and the benchmark's own changes to nodes and
/// `DaemonSet`s.
const POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [contender]
- level: Metadata
  users: [admin]
  verbs: [create, patch]
  resources:
  - {group: "", resources: [nodes]}
  - {group: apps, resources: [daemonsets]}
- level: None
"#;

/// A running control plane, and the contender's connection to it.
pub(crate) struct BenchCluster {
    pub(crate) control_plane: ControlPlane,
    /// The benchmark's own client.
    pub(crate) client: Client,
    /// Relay for every byte that the contender receives.
    pub(crate) relay: Relay,
    /// The contender's kubeconfig.
    pub(crate) kubeconfig: PathBuf,
    audit_log: AuditLog,
}

impl fmt::Debug for BenchCluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BenchCluster")
            .field("control_plane", &self.control_plane)
            .finish_non_exhaustive()
    }
}

impl BenchCluster {
    /// Starts a control plane with an API server, its store, and the given components.
    ///
    /// # Errors
    /// When a component doesn't become ready.
    pub(crate) async fn start(with: &[Component], store: Option<&Path>) -> Result<Self> {
        let audit_log = AuditLog::new(POLICY)?;
        let optional = [
            Component::ControllerManager,
            Component::Scheduler,
            Component::Kwok,
        ];
        let mut flags = audit_log.flags();
        flags.extend([
            // Both plugins need other controllers: one that creates service accounts, and one that removes taints.
            (
                Component::ApiServer,
                "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition".to_owned(),
            ),
            // In bytes. Hundreds of thousands of changes don't fit into the default of 2 GB.
            (Component::Etcd, "--quota-backend-bytes=8000000000".to_owned()),
        ]);
        let options = Options {
            without: optional
                .into_iter()
                .filter(|component| !with.contains(component))
                .collect(),
            flags,
            store: store.map(Path::to_owned),
            ..Options::default()
        };
        let control_plane = ControlPlane::start(options).await?;
        let client = control_plane.client().await?;
        let relay = Relay::start(control_plane.api_server_address().into()).await?;
        let kubeconfig = control_plane.contender_kubeconfig(&relay.url())?;
        Ok(Self {
            control_plane,
            client,
            relay,
            kubeconfig,
            audit_log,
        })
    }

    /// Reads the audit log from its beginning.
    pub(crate) fn audit(&self) -> Audit {
        self.audit_log.read()
    }
}

/// Prepares the store of a cluster where every `DaemonSet` has a ready pod on every node. In scenarios that start at
/// rest, both contenders start from a copy of this store. Everynode creates the revisions and writes the statuses; the
/// benchmark itself creates the pods.
///
/// # Errors
/// When the cluster doesn't reach that state.
pub(crate) async fn prepare(settings: &Settings) -> Result<WorkDir> {
    let cluster = BenchCluster::start(&[], None).await?;
    let daemon_sets = create_daemon_sets(&cluster.client, settings).await?;
    let start = async || {
        RunningContender::start(
            Contender::Everynode,
            &cluster.control_plane,
            &cluster.kubeconfig,
            settings,
        )
        .await
    };
    let everynode = start().await?;
    let revisions = eventually_every(
        Duration::from_millis(200),
        Duration::from_mins(1),
        "each DaemonSet's revision",
        async || {
            let revisions = population::revisions(&cluster.client).await?;
            ensure!(
                revisions.len() == daemon_sets.len(),
                "found {} revisions",
                revisions.len()
            );
            Ok(revisions)
        },
    )
    .await
    .with_context(|| everynode.log_tail(20))?;
    everynode.stop().await?;
    create_nodes(&cluster.client, (0..settings.nodes).map(node_name)).await?;
    for daemon_set in &daemon_sets {
        let name = daemon_set.metadata.name.as_deref().unwrap_or_default();
        let revision = revisions.get(name).context("the DaemonSet has no revision")?;
        let bodies: Result<Vec<_>> = (0..settings.nodes)
            .map(|node| pod(daemon_set, revision, &node_name(node), true))
            .collect();
        post_pods(&cluster.client, bodies?, population::CONCURRENCY).await?;
    }
    population::mark_pods_ready(&cluster.client).await?;
    let everynode = start().await?;
    let expected = Expected::everywhere(settings, true);
    eventually_every(
        Duration::from_millis(200),
        Duration::from_mins(2),
        "the prepared statuses",
        async || population::check_statuses(&cluster.client, expected).await,
    )
    .await
    .with_context(|| everynode.log_tail(20))?;
    everynode.stop().await?;
    let store = WorkDir::new("store")?;
    cluster
        .control_plane
        .stop_keeping_store(&store.file("etcd"))
        .await?;
    Ok(store)
}
