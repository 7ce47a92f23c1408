//! The steps of the walk.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::births::Births;
use super::{MANIFEST, MASTER, NAME, NEWCOMER, SOON, WORKERS, Walk};
use crate::daemonsets::{self, target_node};
use crate::nodes::NodeBuilder;
use crate::terminal::Took;
use crate::wait::eventually;

/// Kubernetes' pod garbage collector leaves the pods of a missing node alone for 40 s, and checks every 20 s.
const GARBAGE_COLLECTION: Duration = Duration::from_secs(100);

const SERVICES: &str = "\
apiVersion: v1
kind: Service
metadata: {name: nginx}
spec:
  selector: {app: nginx-ds}
  ports: [{port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: nginx-headless}
spec:
  clusterIP: None
  selector: {app: nginx-ds}
  ports: [{port: 80}]
";

/// All nodes that the example runs on, without the newcomer.
fn everywhere() -> Vec<&'static str> {
    let mut nodes = vec![MASTER];
    nodes.extend(WORKERS);
    nodes
}

impl Walk<'_> {
    pub(super) async fn create(&mut self) -> Result<()> {
        self.terminal.step("Create a DaemonSet: one pod on every node");
        self.terminal
            .say("The example tolerates the master's taint, so the master gets a pod too.");
        let start = Instant::now();
        self.kubectl(&["create", "-f", MANIFEST]).await?;
        self.placed(&everywhere()).await?;
        self.done(
            start,
            "One ready pod on each of the four nodes, the master included",
        );
        self.counted(4).await?;
        self.kubectl(&["get", "ds", "-owide"]).await?;
        self.kubectl(&["get", "po", "-owide"]).await?;
        Ok(())
    }

    pub(super) async fn delete_a_pod(&mut self) -> Result<()> {
        self.terminal.step("Delete a pod: it comes back on its node");
        let pods = self.placed(&everywhere()).await?;
        let pod = pods
            .iter()
            .find(|pod| target_node(pod) == Some("worker-2"))
            .context("worker-2 has a pod")?;
        let (name, uid) = (pod.name_any(), pod.uid());
        let mut births = Births::watch(&self.client, &self.namespace, NAME).await?;
        let start = Instant::now();
        // Doesn't wait: the watch sees the pod's end to the millisecond.
        self.kubectl(&["delete", "pod", &name, "--wait=false"]).await?;
        let (gone, created) = births.succession(&name, "worker-2", SOON).await?;
        self.findings.successor = created.saturating_duration_since(gone);
        let pods = self.placed(&everywhere()).await?;
        let successor = pods
            .iter()
            .find(|pod| target_node(pod) == Some("worker-2"))
            .context("worker-2 has a pod")?;
        ensure!(successor.uid() != uid, "{name} is still the old pod");
        self.done(start, format!("{} runs on worker-2", successor.name_any()));
        let latency = Took(self.findings.successor);
        self.terminal.say(&format!(
            "Its successor was created {latency} after the pod was gone."
        ));
        Ok(())
    }

    pub(super) async fn add_a_node(&mut self) -> Result<()> {
        self.terminal.step("Add a node: it gets its pod");
        let mut births = Births::watch(&self.client, &self.namespace, NAME).await?;
        let node = serde_json::to_string(&NodeBuilder::new(NEWCOMER).build())?;
        self.terminal.command("kubectl create -f worker-4.json");
        let start = Instant::now();
        let output = self.kubectl.run_with_input(["create", "-f", "-"], &node).await?;
        self.terminal.output(&output);
        let created = births.created_for(NEWCOMER, SOON).await?;
        self.findings.pod_of_new_node = created.saturating_duration_since(start);
        let nodes = [everywhere().as_slice(), &[NEWCOMER]].concat();
        self.placed(&nodes).await?;
        self.counted(5).await?;
        self.done(start, "worker-4 runs a pod, and the DaemonSet counts five");
        let latency = Took(self.findings.pod_of_new_node);
        self.terminal.say(&format!(
            "The pod was created {latency} after kubectl was started to create the node."
        ));
        self.kubectl(&["get", "ds"]).await?;
        Ok(())
    }

    pub(super) async fn remove_a_node(&mut self) -> Result<()> {
        self.terminal
            .step("Remove a node: the counters follow, and then the pod");
        let start = Instant::now();
        self.kubectl(&["delete", "node", NEWCOMER]).await?;
        self.counted(4).await?;
        self.done(start, "The DaemonSet counts four again");
        self.kubectl(&["get", "ds"]).await?;
        self.terminal.say(
            "The pod of a node that is gone is the pod garbage collector's. It waits for 40 s, as the node might come back;\n\
             so this takes up to a minute.",
        );
        daemonsets::wait_placed(
            &self.client,
            &self.namespace,
            NAME,
            &everywhere(),
            GARBAGE_COLLECTION,
        )
        .await?;
        self.done(start, "The pod is gone, and the other four run as before");
        Ok(())
    }

    pub(super) async fn narrow(&mut self) -> Result<()> {
        self.terminal
            .step("Narrow it with a nodeSelector: the pods go from the other nodes");
        let start = Instant::now();
        self.kubectl(&["label", "node", "worker-1", "worker-3", "disk=ssd"])
            .await?;
        let selector = r#"{"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"}}}}}"#;
        self.kubectl(&["patch", "ds", NAME, "-p", selector]).await?;
        self.placed(&["worker-1", "worker-3"]).await?;
        self.counted(2).await?;
        self.done(start, "Pods on worker-1 and worker-3 only");
        self.kubectl(&["get", "ds", "-owide"]).await?;
        self.kubectl(&["get", "po", "-owide"]).await?;
        let start = Instant::now();
        let nothing = r#"{"spec":{"template":{"spec":{"nodeSelector":null}}}}"#;
        self.kubectl(&["patch", "ds", NAME, "-p", nothing]).await?;
        self.placed(&everywhere()).await?;
        self.counted(4).await?;
        self.done(start, "Without the selector they are back on all nodes");
        Ok(())
    }

    pub(super) async fn change_the_image(&mut self) -> Result<()> {
        const IMAGE: &str = "nginx:1.29-alpine";
        self.terminal
            .step("Change the image: a rolling update, one node after the other");
        self.terminal.say("So that there is something to see, each pod has to be ready for a second before the next one goes.");
        self.kubectl(&["patch", "ds", NAME, "-p", r#"{"spec":{"minReadySeconds":1}}"#])
            .await?;
        // Otherwise all pods that aren't available yet would be replaced at once.
        self.counted(4).await?;
        let start = Instant::now();
        self.kubectl(&["set", "image", "ds", NAME, &format!("nginx={IMAGE}")])
            .await?;
        self.follow(&["rollout", "status", "ds", NAME, "--timeout=60s"])
            .await?;
        self.findings.rollout = start.elapsed();
        let pods = self.placed(&everywhere()).await?;
        let old: Vec<_> = pods
            .iter()
            .filter(|pod| image(pod) != Some(IMAGE))
            .map(ResourceExt::name_any)
            .collect();
        ensure!(
            old.is_empty(),
            "the rollout is said to be over, and {old:?} have the old image"
        );
        self.counted(4).await?;
        self.done(start, format!("All four pods run {IMAGE}"));
        self.kubectl(&["rollout", "history", "ds", NAME]).await?;
        Ok(())
    }

    pub(super) async fn connect(&mut self) -> Result<()> {
        self.terminal
            .step("Reach the pods: a hostPort, a Service, a headless Service");
        let start = Instant::now();
        let ports = r#"{"spec":{"template":{"spec":{"containers":[{"name":"nginx","ports":[{"containerPort":80,"hostPort":8080}]}]}}}}"#;
        self.kubectl(&["patch", "ds", NAME, "-p", ports]).await?;
        self.follow(&["rollout", "status", "ds", NAME, "--timeout=60s"])
            .await?;
        let pods = self.placed(&everywhere()).await?;
        for pod in &pods {
            let name = pod.name_any();
            ensure!(host_port(pod) == Some(8080), "{name} has no hostPort 8080");
        }
        self.done(start, "Every pod has port 8080 of its node");
        let columns = "-ocustom-columns=POD:.metadata.name,NODE:.spec.nodeName,NODE-IP:.status.hostIP,\
                       HOST-PORT:.spec.containers[0].ports[0].hostPort";
        self.kubectl(&["get", "po", columns]).await?;

        let start = Instant::now();
        self.kubectl_with_input(&["create", "-f", "-"], SERVICES).await?;
        let addresses: BTreeSet<String> = pods
            .iter()
            .filter_map(|pod| pod.status.as_ref()?.pod_ip.clone())
            .collect();
        ensure!(
            addresses.len() == pods.len(),
            "the pods have the addresses {addresses:?}"
        );
        for service in ["nginx", "nginx-headless"] {
            self.endpoints(service, &addresses).await?;
        }
        self.done(start, "The endpoints of both are the four daemon pods");
        self.kubectl(&["get", "svc,endpointslices"]).await?;
        Ok(())
    }

    pub(super) async fn delete(&mut self) -> Result<()> {
        self.terminal.step("Delete the DaemonSet: its pods go");
        let start = Instant::now();
        self.kubectl(&["delete", "ds", NAME]).await?;
        daemonsets::wait_placed(&self.client, &self.namespace, NAME, &[] as &[&str], SOON).await?;
        self.done(start, "No pod is left");
        self.kubectl(&["delete", "svc", "nginx", "nginx-headless"])
            .await?;
        Ok(())
    }

    /// Waits until the ready addresses of a Service are exactly these.
    async fn endpoints(&self, service: &str, addresses: &BTreeSet<String>) -> Result<()> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        eventually(
            SOON,
            format!("the endpoints of {service} to be {addresses:?}"),
            async || {
                let slices = slices.list(&params).await?;
                let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
                let ready = endpoints.filter(|endpoint| {
                    endpoint
                        .conditions
                        .as_ref()
                        .is_some_and(|conditions| conditions.ready == Some(true))
                });
                let found: BTreeSet<String> = ready
                    .flat_map(|endpoint| endpoint.addresses.iter().cloned())
                    .collect();
                ensure!(found == *addresses, "they are {found:?}");
                Ok(())
            },
        )
        .await
    }
}

fn image(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.containers.first()?.image.as_deref()
}

fn host_port(pod: &Pod) -> Option<i32> {
    pod.spec
        .as_ref()?
        .containers
        .first()?
        .ports
        .as_ref()?
        .first()?
        .host_port
}
