//! The control plane that a contender works on: as small as the scenario allows, and with an account of every request.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Client;

use super::Settings;
use super::audit::{self, Audit};
use super::contender::{Contender, Running};
use super::population::{self, Expected, create_daemon_sets, create_nodes, node_name, pod, post_pods};
use super::relay::Relay;
use crate::control_plane::{Component, ControlPlane, Options};
use crate::leash::Home;
use crate::wait::eventually_every;

/// A running control plane with the contender's way to it.
pub struct Stage {
    /// The control plane.
    pub control_plane: ControlPlane,
    /// The benchmark's own client.
    pub client: Client,
    /// Every byte that the contender gets goes through it.
    pub relay: Relay,
    /// The contender's kubeconfig.
    pub kubeconfig: PathBuf,
    audit_log: PathBuf,
    _files: Home,
}

impl fmt::Debug for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stage")
            .field("control_plane", &self.control_plane)
            .finish_non_exhaustive()
    }
}

impl Stage {
    /// Starts a control plane with an API server, its store, and the given components.
    ///
    /// # Errors
    /// When one doesn't become ready.
    pub async fn start(with: &[Component], store: Option<&Path>) -> Result<Self> {
        let files = Home::new("bench")?;
        let policy = files.write("audit-policy.yaml", audit::POLICY)?;
        let audit_log = files.file("audit.log");
        let flag = |component, flag: String| (component, flag);
        let optional = [
            Component::ControllerManager,
            Component::Scheduler,
            Component::Kwok,
        ];
        let options = Options {
            without: optional
                .into_iter()
                .filter(|component| !with.contains(component))
                .collect(),
            flags: vec![
                // Both would need other controllers to run: one that makes service accounts, one that takes taints away.
                flag(
                    Component::ApiServer,
                    "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition".to_owned(),
                ),
                flag(
                    Component::ApiServer,
                    format!("--audit-policy-file={}", policy.display()),
                ),
                flag(
                    Component::ApiServer,
                    format!("--audit-log-path={}", audit_log.display()),
                ),
                // In MB. The log must stay one file.
                flag(Component::ApiServer, "--audit-log-maxsize=100000".to_owned()),
                // In bytes. Hundreds of thousands of changes are more than the usual 2 GB hold.
                flag(Component::Etcd, "--quota-backend-bytes=8000000000".to_owned()),
            ],
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
            _files: files,
        })
    }

    /// The account of the requests.
    pub fn audit(&self) -> Audit {
        Audit::new(&self.audit_log)
    }
}

/// The store of a cluster where every `DaemonSet` has its pod on every node and all of them are ready: what both contenders start
/// from in scenarios about a cluster at rest. Everynode makes the revisions and writes the statuses; the pods are made without it.
///
/// # Errors
/// When the cluster doesn't come to that.
pub async fn prepare(settings: &Settings) -> Result<Home> {
    let stage = Stage::start(&[], None).await?;
    let daemon_sets = create_daemon_sets(&stage.client, settings).await?;
    let start = async || {
        Running::start(
            Contender::Everynode,
            &stage.control_plane,
            &stage.kubeconfig,
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
            let revisions = population::revisions(&stage.client).await?;
            ensure!(
                revisions.len() == daemon_sets.len(),
                "{} are there",
                revisions.len()
            );
            Ok(revisions)
        },
    )
    .await
    .with_context(|| everynode.log_tail(20))?;
    everynode.stop().await?;
    create_nodes(&stage.client, (0..settings.nodes).map(node_name)).await?;
    for daemon_set in &daemon_sets {
        let name = daemon_set.metadata.name.as_deref().unwrap_or_default();
        let revision = revisions.get(name).context("it has a revision")?;
        let bodies: Result<Vec<_>> = (0..settings.nodes)
            .map(|node| pod(daemon_set, revision, &node_name(node), true))
            .collect();
        post_pods(&stage.client, bodies?, population::CONCURRENCY).await?;
    }
    population::have_pods_ready(&stage.client).await?;
    let everynode = start().await?;
    let expected = Expected::everywhere(settings, true);
    eventually_every(
        Duration::from_millis(200),
        Duration::from_mins(2),
        "the prepared statuses",
        async || population::check_statuses(&stage.client, expected).await,
    )
    .await
    .with_context(|| everynode.log_tail(20))?;
    everynode.stop().await?;
    let store = Home::new("store")?;
    stage
        .control_plane
        .stop_keeping_store(&store.file("etcd"))
        .await?;
    Ok(store)
}
