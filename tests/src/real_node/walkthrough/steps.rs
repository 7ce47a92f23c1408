//! The steps of the walkthrough.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use rustix::process::{Pid, Signal, kill_process};

use super::super::WEB as IMAGE;
use super::super::machine::NODE;
use super::{EVERYNODE, NAME, NAMESPACE, OVERLAY, SOON, WEB, Walkthrough};
use crate::http_client;
use crate::wait::eventually;

/// The web server's port.
const PORT: u16 = 8080;
/// The node's port that is mapped to the web server's port.
const HOST_PORT: u16 = 18080;

fn manifest(push_to: &str) -> String {
    format!(
        "\
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: {WEB}}}
spec:
  selector: {{matchLabels: {{app: {WEB}}}}}
  template:
    metadata: {{labels: {{app: {WEB}}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: {WEB}
          image: {IMAGE}
          imagePullPolicy: Never
          ports: [{{containerPort: {PORT}, hostPort: {HOST_PORT}}}]
          readinessProbe: {{httpGet: {{path: /, port: {PORT}}}, periodSeconds: 1}}
          env:
            - {{name: VERSION, value: \"1\"}}
            - {{name: PUSH_TO, value: \"{push_to}\"}}
            - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
            - {{name: NODE_NAME, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {WEB}}}
spec:
  selector: {{app: {WEB}}}
  ports: [{{port: 80, targetPort: {PORT}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: {WEB}-headless}}
spec:
  clusterIP: None
  selector: {{app: {WEB}}}
  ports: [{{port: {PORT}}}]
"
    )
}

impl Walkthrough<'_> {
    pub(super) async fn deploy(&mut self) -> Result<()> {
        self.terminal.step("Deploy Everynode, as pods");
        let start = Instant::now();
        self.node.install_everynode().await?;
        self.done(
            start,
            "Built both images without a network, and imported them into containerd",
        );
        let start = Instant::now();
        self.kubectl(&["apply", "-k", OVERLAY]).await?;
        for deployment in ["deployment/everynode-planner", "deployment/everynode-executor"] {
            let status = ["rollout", "status", "-n", EVERYNODE, deployment, "--timeout=60s"];
            if let Err(error) = self.kubectl(&status).await {
                let events = self.kubectl.run(["get", "events", "-n", EVERYNODE]).await;
                return Err(error.context(events.unwrap_or_default()));
            }
        }
        self.done(start, "The planner and the executor pass kubelet's probes");
        self.kubectl(&["get", "pods", "-n", EVERYNODE, "-owide"]).await?;
        Ok(())
    }

    pub(super) async fn create(&mut self) -> Result<()> {
        self.terminal
            .step("Create a DaemonSet, and reach its pod in every way");
        let manifest = manifest(&self.mailbox.url());
        let start = Instant::now();
        self.terminal.command("kubectl apply -f web.yaml");
        let output = self
            .kubectl
            .run_with_input(["apply", "-f", "-"], &manifest)
            .await?;
        self.terminal.output(&output);
        let pod = self.pod().await?;
        self.done(
            start,
            format!("{} is ready, according to its HTTP probe", pod.name_any()),
        );
        self.kubectl(&["get", "ds,po", "-owide"]).await?;
        self.check_answers(&pod, "version=1").await
    }

    pub(super) async fn run_plugin(&mut self) -> Result<()> {
        self.terminal
            .step("Query the executor with kubectl's plugin, through kubelet's port-forward");
        let start = Instant::now();
        let shown = self.kubectl(&["everynode", "status", "ds/web"]).await?;
        ensure!(shown.contains(WEB), "{WEB} isn't shown: {shown}");
        self.done(start, "The executor answered, and nothing is left to do");
        Ok(())
    }

    pub(super) async fn delete_pod(&mut self) -> Result<()> {
        self.terminal.step("Delete the pod: it is recreated");
        let pod = self.pod().await?;
        let start = Instant::now();
        self.kubectl(&["delete", "pod", &pod.name_any(), "--wait=false"])
            .await?;
        let successor = self.successor(&pod).await?;
        self.done(start, format!("{} is ready", successor.name_any()));
        self.check_answers(&successor, "version=1").await
    }

    pub(super) async fn update(&mut self) -> Result<()> {
        self.terminal.step("Update it: the new version answers");
        let pod = self.pod().await?;
        let start = Instant::now();
        self.kubectl(&["set", "env", "ds/web", "VERSION=2"]).await?;
        self.kubectl(&["rollout", "status", "ds/web", "--timeout=60s"])
            .await?;
        let successor = self.successor(&pod).await?;
        self.done(start, format!("{} is ready", successor.name_any()));
        self.check_answers(&successor, "version=2").await
    }

    pub(super) async fn kill(&mut self, program: &str) -> Result<()> {
        self.terminal.step(&format!(
            "Kill the {program}: it restarts, and the work continues"
        ));
        let name = format!("everynode-{program}");
        let before = restarts(&self.everynode(&name).await?);
        let pod = self.pod().await?;
        let start = Instant::now();
        self.terminal.command(&format!("kill -9 $(pidof {name})"));
        kill_process(process_of(&Path::new("/").join(&name))?, Signal::KILL)
            .context("killing the program")?;
        self.kubectl(&["delete", "pod", &pod.name_any(), "--wait=false"])
            .await?;
        let again = eventually(SOON, format!("{name} to run again"), async || {
            let pod = self.everynode(&name).await?;
            ensure!(restarts(&pod) > before, "kubelet has not restarted it");
            ensure!(crate::daemonsets::is_ready(&pod), "it isn't ready");
            Ok(())
        });
        again.await?;
        self.done(start, format!("kubelet restarted the {program}, and it is ready"));
        let successor = self.successor(&pod).await?;
        self.done(
            start,
            format!(
                "{} replaces the pod that was deleted meanwhile",
                successor.name_any()
            ),
        );
        self.check_answers(&successor, "version=2").await
    }

    pub(super) async fn delete(&mut self) -> Result<()> {
        self.terminal.step("Delete everything");
        let start = Instant::now();
        self.kubectl(&["delete", "ds/web", "svc/web", "svc/web-headless", "--timeout=60s"])
            .await?;
        let pods: Api<Pod> = Api::all(self.client.clone());
        let gone = async |what: &str, selector: &str| {
            let list = ListParams::default().labels(selector);
            eventually(SOON, format!("{what} to be gone"), async || {
                let left = pods.list(&list).await?.items;
                ensure!(left.is_empty(), "{} pods are left", left.len());
                Ok(())
            })
            .await
        };
        gone("the DaemonSet's pod", &format!("app={WEB}")).await?;
        self.done(start, "The DaemonSet's pod is gone");
        let start = Instant::now();
        self.kubectl(&["delete", "-k", OVERLAY, "--wait=false"]).await?;
        gone("Everynode's pods", "app.kubernetes.io/part-of=everynode").await?;
        self.done(start, "Everynode's pods are gone");
        Ok(())
    }

    /// Sends requests to the pod in each way, from outside the node and from inside, and checks the answers.
    async fn check_answers(&mut self, pod: &Pod, version: &str) -> Result<()> {
        let start = Instant::now();
        let ip: Ipv4Addr = pod
            .status
            .as_ref()
            .and_then(|status| status.pod_ip.as_deref())
            .context("the running pod has no address")?
            .parse()
            .context("parsing the pod's address")?;
        let services: Api<Service> = Api::namespaced(self.client.clone(), NAMESPACE);
        let service = services.get(WEB).await.context("getting the Service")?;
        let cluster_ip = service.spec.and_then(|spec| spec.cluster_ip);
        let cluster_ip = cluster_ip.context("the Service has no address")?;
        let direct = SocketAddrV4::new(ip, PORT);
        let inside = |url: &str| (direct, format!("/?ask={url}"));
        let headless = format!("http://{WEB}-headless.{NAMESPACE}.svc.cluster.local:{PORT}/");
        let ways = [
            ("the pod's IP", (direct, "/".to_owned())),
            (
                "the node's port",
                (SocketAddrV4::new(NODE, HOST_PORT), "/".to_owned()),
            ),
            ("the Service's IP", inside(&format!("http://{cluster_ip}/"))),
            ("the Service's name", inside(&format!("http://{WEB}/"))),
            ("the headless Service's name", inside(&headless)),
        ];
        let name = pod.name_any();
        let wanted = format!("{version} pod={name} node={NAME}");
        for (way, (address, path)) in &ways {
            // The endpoints, and so kube-proxy and CoreDNS, lag slightly behind the pod's readiness.
            let answered = eventually(SOON, format!("an answer by {way}"), async || {
                let (status, body) = http_client::get(*address, path).await?;
                ensure!(
                    status == 200 && body.trim() == wanted,
                    "{status}: {}",
                    body.trim()
                );
                Ok(())
            });
            answered.await?;
        }
        self.mailbox.receive(&wanted, SOON).await?;
        self.terminal.output(&wanted);
        let ways: Vec<_> = ways.iter().map(|(way, _)| *way).collect();
        self.done(
            start,
            format!(
                "The pod answers by {}, and reached a server outside of the cluster",
                ways.join(", ")
            ),
        );
        Ok(())
    }

    /// The only pod of one of Everynode's Deployments.
    async fn everynode(&self, name: &str) -> Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), EVERYNODE);
        let list = ListParams::default().labels(&format!("app.kubernetes.io/name={name}"));
        let pods = pods.list(&list).await.context("listing pods")?.items;
        let count = pods.len();
        ensure!(count == 1, "there are {count} pods of {name}");
        pods.into_iter().next().context("there is no pod")
    }
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses.map_or(0, |statuses| {
        statuses.iter().map(|status| status.restart_count).sum()
    })
}

/// The process whose executable has this path. This machine has no such file outside of containers, so it is a
/// container's process.
fn process_of(path: &Path) -> Result<Pid> {
    let processes = procfs::process::all_processes().context("listing processes")?;
    let found = processes
        .flatten()
        .find(|process| process.exe().is_ok_and(|exe| exe == path));
    let found = found.and_then(|process| Pid::from_raw(process.pid()));
    found.with_context(|| format!("no process runs {}", path.display()))
}
