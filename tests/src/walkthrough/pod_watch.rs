//! Watches pods come and go, and records when it saw each event.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::daemonsets::target_node;

/// A watch that starts before the events of interest. It keeps reading while nobody waits for it (while kubectl runs,
/// for instance), so that its times are those of the events.
pub(super) struct Births {
    events: UnboundedReceiver<(Instant, kube::Result<WatchEvent<Pod>>)>,
}

impl Births {
    /// Starts watching the pods with the label `app=NAME`.
    pub(super) async fn watch(client: &Client, namespace: &str, name: &str) -> Result<Self> {
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let selector = format!("app={name}");
        let listed = api
            .list_metadata(&ListParams::default().labels(&selector))
            .await
            .context("listing pods")?;
        let version = listed.metadata.resource_version.unwrap_or_default();
        let params = WatchParams::default().labels(&selector);
        let mut watch = api
            .watch(&params, &version)
            .await
            .context("watching pods")?
            .boxed();
        let (sender, events) = unbounded_channel();
        tokio::spawn(async move {
            // Ends with the watch, or with the first event after the receiver is gone.
            while let Some(event) = watch.next().await {
                if sender.send((Instant::now(), event)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { events })
    }

    /// Waits for a pod to be created for `node`, and returns when that was seen.
    pub(super) async fn created_for(&mut self, node: &str, deadline: Duration) -> Result<Instant> {
        let mut created = None;
        self.until(deadline, &format!("a new pod for {node}"), |time, event| {
            if matches!(event, WatchEvent::Added(pod) if target_node(pod) == Some(node)) {
                created = Some(time);
            }
            created.is_some()
        })
        .await?;
        created.context("it has been seen")
    }

    /// Waits for the pod `name` to be gone and for another one to be created for its node, in either order. Returns
    /// when each was seen.
    pub(super) async fn succession(
        &mut self,
        name: &str,
        node: &str,
        deadline: Duration,
    ) -> Result<(Instant, Instant)> {
        let (mut gone, mut created) = (None, None);
        self.until(
            deadline,
            &format!("the end of {name} and a new pod for {node}"),
            |time, event| {
                match event {
                    WatchEvent::Deleted(pod) if pod.metadata.name.as_deref() == Some(name) => {
                        gone = Some(time);
                    }
                    WatchEvent::Added(pod) if target_node(pod) == Some(node) => created = Some(time),
                    _ => {}
                }
                gone.is_some() && created.is_some()
            },
        )
        .await?;
        gone.zip(created).context("both have been seen")
    }

    async fn until(
        &mut self,
        deadline: Duration,
        what: &str,
        mut enough: impl FnMut(Instant, &WatchEvent<Pod>) -> bool,
    ) -> Result<()> {
        let seen = async {
            while let Some((time, event)) = self.events.recv().await {
                if enough(time, &event.context("watching pods")?) {
                    return Ok(());
                }
            }
            bail!("the watch ended")
        };
        timeout(deadline, seen)
            .await
            .unwrap_or_else(|_| Err(anyhow!("it didn't come within {} s", deadline.as_secs())))
            .with_context(|| format!("watching for {what}"))
    }
}
