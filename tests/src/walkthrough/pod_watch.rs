//! A watch of pods that records when each event arrived.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::daemonsets::target_node;

/// A watch that starts before the events of interest. It reads events even while nobody waits for them, for instance
/// while kubectl runs. So it records when each event arrived, not when a caller waited for it.
pub(super) struct PodWatch {
    events: UnboundedReceiver<(Instant, kube::Result<WatchEvent<Pod>>)>,
}

impl PodWatch {
    /// Starts watching the pods with the label `app=NAME`.
    pub(super) async fn start(client: &Client, namespace: &str, name: &str) -> Result<Self> {
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

    /// Waits for a pod to be created for `node`, and returns when its event arrived.
    pub(super) async fn wait_created(&mut self, node: &str, deadline: Duration) -> Result<Instant> {
        let mut created = None;
        self.wait_until(deadline, &format!("a new pod for {node}"), |time, event| {
            if matches!(event, WatchEvent::Added(pod) if target_node(pod) == Some(node)) {
                created = Some(time);
            }
            created.is_some()
        })
        .await?;
        created.context("the pod was created")
    }

    /// Waits for the pod `name` to be gone and for another one to be created for its node, in either order. Returns
    /// when each event arrived.
    pub(super) async fn wait_replaced(
        &mut self,
        name: &str,
        node: &str,
        deadline: Duration,
    ) -> Result<(Instant, Instant)> {
        let (mut gone, mut created) = (None, None);
        self.wait_until(
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
        gone.zip(created).context("the pod was replaced")
    }

    async fn wait_until(
        &mut self,
        deadline: Duration,
        what: &str,
        mut is_done: impl FnMut(Instant, &WatchEvent<Pod>) -> bool,
    ) -> Result<()> {
        let matched = async {
            while let Some((time, event)) = self.events.recv().await {
                if is_done(time, &event.context("watching pods")?) {
                    return Ok(());
                }
            }
            bail!("the watch ended")
        };
        timeout(deadline, matched)
            .await
            .unwrap_or_else(|_| Err(anyhow!("no such event within {} s", deadline.as_secs())))
            .with_context(|| format!("waiting for {what}"))
    }
}
