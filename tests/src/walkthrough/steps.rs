//! The steps of the walkthrough.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::pod_watch::PodWatch;
use super::{DEADLINE, MANIFEST, MASTER, NAME, NEW_NODE, WORKERS, Walkthrough};
use crate::daemonsets::{self, image, target_node};
use crate::nodes::NodeBuilder;
use crate::terminal::Took;
use crate::wait::eventually;

/// Deadline for the garbage collection of a missing node's pod. Kubernetes' pod garbage collector deletes the pods of a
/// missing node after 40 s, and checks every 20 s.
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

/// The nodes that the example runs on before another one is added.
pub(super) fn initial_nodes() -> Vec<&'static str> {
    let mut nodes = vec![MASTER];
    nodes.extend(WORKERS);
    nodes
}

impl Walkthrough<'_> {
    pub(super) async fn create(&mut self) -> Result<()> {
        self.terminal.step("Create a DaemonSet: one pod on every node");
        self.terminal
            .print("The example tolerates the master's taint, so the master gets a pod too.");
        let start = Instant::now();
        self.kubectl(&["create", "-f", MANIFEST]).await?;
        self.wait_placed(&initial_nodes()).await?;
        self.report_done(
            start,
            "One ready pod on each of the four nodes, the master included",
        );
        self.wait_counts(4).await?;
        self.kubectl(&["get", "ds", "-owide"]).await?;
        self.kubectl(&["get", "po", "-owide"]).await?;
        Ok(())
    }

    pub(super) async fn delete_a_pod(&mut self) -> Result<()> {
        self.terminal.step("Delete a pod: its node gets a new one");
        let pods = self.wait_placed(&initial_nodes()).await?;
        let pod = pods
            .iter()
            .find(|pod| target_node(pod) == Some("worker-2"))
            .context("worker-2 has a pod")?;
        let (name, uid) = (pod.name_any(), pod.uid());
        let mut pod_watch = PodWatch::start(&self.client, &self.namespace, NAME).await?;
        let start = Instant::now();
        // kubectl doesn't wait until the pod is gone, because the watch reports the exact time.
        self.kubectl(&["delete", "pod", &name, "--wait=false"]).await?;
        let (gone, created) = pod_watch.wait_replaced(&name, "worker-2", DEADLINE).await?;
        self.measurements.successor = created.saturating_duration_since(gone);
        let pods = self.wait_placed(&initial_nodes()).await?;
        let replacement = pods
            .iter()
            .find(|pod| target_node(pod) == Some("worker-2"))
            .context("worker-2 has a pod")?;
        ensure!(replacement.uid() != uid, "{name} wasn't replaced");
        self.report_done(start, format!("{} runs on worker-2", replacement.name_any()));
        let latency = Took(self.measurements.successor);
        self.terminal.print(&format!(
            "The new pod was created {latency} after the old one was gone."
        ));
        Ok(())
    }

    pub(super) async fn add_a_node(&mut self) -> Result<()> {
        self.terminal.step("Add a node: it gets a pod");
        let mut pod_watch = PodWatch::start(&self.client, &self.namespace, NAME).await?;
        let node = serde_json::to_string(&NodeBuilder::new(NEW_NODE).build())?;
        self.terminal.command("kubectl create -f worker-4.json");
        let start = Instant::now();
        let output = self.kubectl.run_with_input(["create", "-f", "-"], &node).await?;
        self.terminal.output(&output);
        let created = pod_watch.wait_created(NEW_NODE, DEADLINE).await?;
        self.measurements.pod_of_new_node = created.saturating_duration_since(start);
        let nodes = [initial_nodes().as_slice(), &[NEW_NODE]].concat();
        self.wait_placed(&nodes).await?;
        self.wait_counts(5).await?;
        self.report_done(start, "worker-4 runs a pod, and the DaemonSet counts five");
        let latency = Took(self.measurements.pod_of_new_node);
        self.terminal.print(&format!(
            "The pod was created {latency} after the start of the kubectl that created the node."
        ));
        self.kubectl(&["get", "ds"]).await?;
        Ok(())
    }

    pub(super) async fn remove_a_node(&mut self) -> Result<()> {
        self.terminal
            .step("Remove a node: the status changes at once, the pod is deleted later");
        let start = Instant::now();
        self.kubectl(&["delete", "node", NEW_NODE]).await?;
        self.wait_counts(4).await?;
        self.report_done(start, "The DaemonSet counts four again");
        self.kubectl(&["get", "ds"]).await?;
        self.terminal.print(
            "Kubernetes' pod garbage collector deletes the pod of a missing node. It waits for 40 s, because the\n\
             node might return, so this takes up to a minute.",
        );
        daemonsets::wait_placed(
            &self.client,
            &self.namespace,
            NAME,
            &initial_nodes(),
            GARBAGE_COLLECTION,
        )
        .await?;
        self.report_done(start, "The pod is gone, and the other four still run");
        Ok(())
    }

    pub(super) async fn restrict_nodes(&mut self) -> Result<()> {
        self.terminal
            .step("Restrict it with a nodeSelector: the pods on other nodes are deleted");
        let start = Instant::now();
        self.kubectl(&["label", "node", "worker-1", "worker-3", "disk=ssd"])
            .await?;
        let selector = r#"{"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"}}}}}"#;
        self.kubectl(&["patch", "ds", NAME, "-p", selector]).await?;
        self.wait_placed(&["worker-1", "worker-3"]).await?;
        self.wait_counts(2).await?;
        self.report_done(start, "Pods on worker-1 and worker-3 only");
        self.kubectl(&["get", "ds", "-owide"]).await?;
        self.kubectl(&["get", "po", "-owide"]).await?;
        let start = Instant::now();
        let nothing = r#"{"spec":{"template":{"spec":{"nodeSelector":null}}}}"#;
        self.kubectl(&["patch", "ds", NAME, "-p", nothing]).await?;
        self.wait_placed(&initial_nodes()).await?;
        self.wait_counts(4).await?;
        self.report_done(start, "Without the selector, all nodes have a pod again");
        Ok(())
    }

    /// Checks that every pod on the initial nodes runs this image, and waits until the status says so, too.
    pub(super) async fn check_updated(&self, wanted: &str) -> Result<()> {
        let pods = self.wait_placed(&initial_nodes()).await?;
        let old: Vec<_> = pods
            .iter()
            .filter(|pod| image(pod) != Some(wanted))
            .map(ResourceExt::name_any)
            .collect();
        ensure!(
            old.is_empty(),
            "the rollout is complete, but {old:?} have the old image"
        );
        self.wait_counts(pods.len()).await
    }

    pub(super) async fn change_the_image(&mut self) -> Result<()> {
        const IMAGE: &str = "nginx:1.29-alpine";
        self.terminal
            .step("Change the image: a rolling update, one node at a time");
        self.terminal.print(
            "minReadySeconds is 1, so each new pod must be ready for a second before the next old one is \
             deleted.",
        );
        self.kubectl(&["patch", "ds", NAME, "-p", r#"{"spec":{"minReadySeconds":1}}"#])
            .await?;
        // Wait until all pods are available, because a rolling update replaces all unavailable pods at once.
        self.wait_counts(4).await?;
        let start = Instant::now();
        self.kubectl(&["set", "image", "ds", NAME, &format!("nginx={IMAGE}")])
            .await?;
        self.follow(&["rollout", "status", "ds", NAME, "--timeout=60s"])
            .await?;
        self.measurements.rollout = start.elapsed();
        self.check_updated(IMAGE).await?;
        self.report_done(start, format!("All four pods run {IMAGE}"));
        self.kubectl(&["rollout", "history", "ds", NAME]).await?;
        Ok(())
    }

    pub(super) async fn connect(&mut self) -> Result<()> {
        self.terminal
            .step("Reach the pods through a hostPort, a Service and a headless Service");
        let start = Instant::now();
        let ports = json!([{"containerPort": 80, "hostPort": 8080}]);
        let containers = json!([{"name": "nginx", "ports": ports}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}}).to_string();
        self.kubectl(&["patch", "ds", NAME, "-p", &patch]).await?;
        self.follow(&["rollout", "status", "ds", NAME, "--timeout=60s"])
            .await?;
        let pods = self.wait_placed(&initial_nodes()).await?;
        for pod in &pods {
            let name = pod.name_any();
            ensure!(host_port(pod) == Some(8080), "{name} has no hostPort 8080");
        }
        self.report_done(start, "Every pod uses port 8080 of its node");
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
            "several pods have the same address: {addresses:?}"
        );
        for service in ["nginx", "nginx-headless"] {
            self.endpoints(service, &addresses).await?;
        }
        self.report_done(start, "Both Services have the four pods as endpoints");
        self.kubectl(&["get", "svc,endpointslices"]).await?;
        Ok(())
    }

    pub(super) async fn delete(&mut self) -> Result<()> {
        self.terminal.step("Delete the DaemonSet: its pods are deleted");
        let start = Instant::now();
        self.kubectl(&["delete", "ds", NAME]).await?;
        daemonsets::wait_placed(&self.client, &self.namespace, NAME, &[] as &[&str], DEADLINE).await?;
        self.report_done(start, "All pods are gone");
        self.kubectl(&["delete", "svc", "nginx", "nginx-headless"])
            .await?;
        self.kubectl(&["delete", "dsrp", NAME]).await?;
        Ok(())
    }

    /// Waits until the ready addresses of a Service are exactly these.
    async fn endpoints(&self, service: &str, addresses: &BTreeSet<String>) -> Result<()> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        eventually(
            DEADLINE,
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
                ensure!(found == *addresses, "found {found:?}");
                Ok(())
            },
        )
        .await
    }
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
