//! Work that uses the executor's rights that the walkthrough doesn't use.

use everynode_executor::{apiserver::objects, pods::pod, rollouts::kinds::DaemonSetRollout};
use everynode_proto::executor::v1::GetNodeOverheadRequest;
use everynode_proto::executor::v1::executor_service_client::ExecutorServiceClient;
use everynode_tests::audit::{self, Audit};
use everynode_tests::certificates::CertificateMount;
use everynode_tests::daemonsets::{self, DaemonSetBuilder, target_node};
use everynode_tests::kubectl::Kubectl;
use everynode_tests::service::Executor;
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tonic::Request;

use super::manifests::NAMESPACE;
use crate::tls::connect;
use crate::world::DEADLINE;

/// The walkthrough's worker nodes, on which all pods run.
const NODES: [&str; 3] = ["worker-1", "worker-2", "worker-3"];

const RUNTIME_CLASS: &str =
    "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: plain}\nhandler: plain\n";

/// The executor's requests to the API server.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) audit: Audit,
    pub(super) user: String,
    pub(super) all: Vec<audit::Request>,
}

impl Requests {
    /// Reads the requests that have arrived since the last read.
    pub(super) fn read(&mut self) {
        let requests = self.audit.read().unwrap();
        self.all
            .extend(requests.into_iter().filter(|request| request.user == self.user));
    }

    /// Waits until the executor has made this request.
    async fn wait_for(&mut self, verb: &str, resource: &str) {
        let what = format!("the executor to {verb} {resource}");
        let seen = eventually(DEADLINE, what, async || {
            self.read();
            let is_wanted = |request: &audit::Request| request.verb == verb && request.resource == resource;
            anyhow::ensure!(self.all.iter().any(is_wanted), "no such request yet");
            Ok(())
        });
        seen.await.unwrap();
    }
}

/// What the work uses: clients, the namespace and the executor.
pub(super) struct Work<'a> {
    pub(super) client: Client,
    /// kubectl in the namespace of the work.
    pub(super) kubectl: Kubectl,
    pub(super) namespace: String,
    pub(super) executor: &'a mut Executor,
    /// The certificates of a caller of the executor.
    pub(super) caller: &'a CertificateMount,
    pub(super) requests: &'a mut Requests,
}

impl Work<'_> {
    pub(super) async fn run(mut self) {
        self.call_with_token().await;
        self.change_templates().await;
        self.adopt_and_release().await;
        self.repeat_event().await;
        self.take_revision_name().await;
        self.take_pod_name().await;
        self.roll_out_under_policies().await;
        self.conflict_with_rollout().await;
        self.write_lease().await;
    }

    fn agent() -> DaemonSetBuilder {
        DaemonSetBuilder::new("agent")
            .pod_spec(&json!({"runtimeClassName": "plain"}))
            .with(&json!({"spec": {"revisionHistoryLimit": 1}}))
    }

    async fn create(&self, daemon_set: DaemonSetBuilder) {
        daemon_set.create(&self.client, &self.namespace).await.unwrap();
    }

    async fn wait_placed(&self, name: &str) -> Vec<Pod> {
        let placed = daemonsets::wait_placed(&self.client, &self.namespace, name, &NODES, DEADLINE).await;
        placed.unwrap_or_else(|error| panic!("{error:#}\n{}", self.executor.log_tail(30)))
    }

    async fn run_kubectl(&self, args: &[&str]) -> String {
        self.kubectl.run(args).await.unwrap()
    }

    /// Asks for the daemons' overhead on a node, as a caller with a token.
    async fn call_with_token(&mut self) {
        self.kubectl
            .run_with_input(["create", "-f", "-"], RUNTIME_CLASS)
            .await
            .unwrap();
        self.create(Self::agent()).await;
        self.wait_placed("agent").await;
        self.run_kubectl(&["create", "serviceaccount", "reader"]).await;
        let account = format!("--serviceaccount={}:reader", self.namespace);
        self.run_kubectl(&[
            "create",
            "clusterrolebinding",
            "reader",
            "--clusterrole=view",
            &account,
        ])
        .await;
        // The role `view` includes DaemonSets but not nodes.
        self.run_kubectl(&["create", "clusterrole", "nodes", "--verb=get", "--resource=nodes"])
            .await;
        self.run_kubectl(&[
            "create",
            "clusterrolebinding",
            "nodes",
            "--clusterrole=nodes",
            &account,
        ])
        .await;
        let token = self.run_kubectl(&["create", "token", "reader"]).await;
        let channel = connect(self.caller, &self.executor.url()).await.unwrap();
        let mut view = ExecutorServiceClient::new(channel);
        let mut request = Request::new(GetNodeOverheadRequest {
            node: NODES[0].to_owned(),
        });
        let bearer = format!("Bearer {}", token.trim()).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let overhead = view.get_node_overhead(request).await.unwrap().into_inner();
        assert_eq!(overhead.problems, []);
        assert_eq!(overhead.daemon_sets.len(), 1);
    }

    /// Changes a template back and forth, so that revisions are created, deleted and renumbered.
    async fn change_templates(&mut self) {
        for image in [2, 3, 2] {
            let image = format!("main=example/daemon:{image}");
            self.run_kubectl(&["set", "image", "ds/agent", &image]).await;
            self.run_kubectl(&["rollout", "status", "ds/agent", "--timeout=30s"])
                .await;
        }
        self.requests.wait_for("delete", "controllerrevisions").await;
        self.requests.wait_for("patch", "controllerrevisions").await;
    }

    /// Lets Everynode adopt orphaned pods, and release one.
    async fn adopt_and_release(&mut self) {
        let before = self.wait_placed("agent").await;
        self.run_kubectl(&["delete", "ds/agent", "--cascade=orphan"])
            .await;
        self.create(Self::agent().image("example/daemon:2")).await;
        self.requests.wait_for("get", "daemonsets").await;
        self.requests.wait_for("patch", "pods").await;
        self.run_kubectl(&["rollout", "status", "ds/agent", "--timeout=30s"])
            .await;
        let after = self.wait_placed("agent").await;
        let names = |pods: &[Pod]| pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before));
        self.run_kubectl(&["label", "pod", &before[0].name_any(), "app=debug", "--overwrite"])
            .await;
        self.wait_placed("agent").await;
        self.run_kubectl(&["delete", "pod", &before[0].name_any()]).await;
    }

    /// Makes the same error happen twice. The second error only increases the count of the first one's event.
    async fn repeat_event(&mut self) {
        self.run_kubectl(&["create", "quota", "few", "--hard=pods=3"])
            .await;
        let in_force = ["wait", "quota/few", "--for=jsonpath={.status.hard.pods}=3"];
        self.run_kubectl(&in_force).await;
        self.create(DaemonSetBuilder::new("more")).await;
        self.requests.wait_for("patch", "events").await;
        self.run_kubectl(&["delete", "ds/more", "quota/few"]).await;
    }

    /// Gives the name of a revision to another object.
    async fn take_revision_name(&mut self) {
        self.create(DaemonSetBuilder::new("other")).await;
        self.wait_placed("other").await;
        let selector = ["get", "controllerrevisions", "-lapp=other", "-oname"];
        let revision = self.run_kubectl(&selector).await.trim().to_owned();
        self.run_kubectl(&["delete", "ds/other"]).await;
        self.run_kubectl(&["wait", "--for=delete", &revision, "--timeout=30s"])
            .await;
        let (_, name) = revision.split_once('/').unwrap();
        let foreign = json!({
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {"name": name},
            "revision": 1,
            "data": {"other": true},
        });
        self.kubectl
            .run_with_input(["create", "-f", "-"], &foreign.to_string())
            .await
            .unwrap();
        self.create(DaemonSetBuilder::new("other")).await;
        self.wait_placed("other").await;
        self.requests.wait_for("get", "controllerrevisions").await;
    }

    /// Gives the name of a pod to another pod.
    async fn take_pod_name(&mut self) {
        let pods = self.wait_placed("agent").await;
        self.executor.stop().await.unwrap();
        let pod = pods
            .iter()
            .find(|pod| target_node(pod) == Some(NODES[0]))
            .unwrap();
        self.run_kubectl(&["delete", "pod", &pod.name_any(), "--now"])
            .await;
        let sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), &self.namespace);
        let agent = serde_json::to_string(&sets.get("agent").await.unwrap()).unwrap();
        let agent: objects::DaemonSet = serde_json::from_str(&agent).unwrap();
        let revision = &pod.labels()["controller-revision-hash"];
        // A newly started executor doesn't know which pod the new one succeeds.
        let name = pod::name(&agent, NODES[0], revision, "", 0);
        self.run_kubectl(&["run", &name, "--image=stranger"]).await;
        self.executor.launch().unwrap();
        self.executor.wait_ready().await.unwrap();
        self.wait_placed("agent").await;
        self.requests.wait_for("get", "pods").await;
    }

    /// Rolls a `DaemonSet` out under a policy of its namespace, beside a policy of the cluster.
    async fn roll_out_under_policies(&mut self) {
        self.create(DaemonSetBuilder::new("staged")).await;
        self.wait_placed("staged").await;
        let policy = json!({
            "apiVersion": "everynode.io/v1alpha1",
            "kind": "DaemonSetRolloutPolicy",
            "metadata": {"name": "staged"},
            "spec": {"targetRefs": [{"name": "staged"}], "stages": [{"name": "canary", "nodes": 1}]},
        });
        let namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": self.namespace}});
        let policy_of_cluster = json!({
            "apiVersion": "everynode.io/v1alpha1",
            "kind": "ClusterDaemonSetRolloutPolicy",
            "metadata": {"name": "all"},
            "spec": {"namespaceSelector": namespace},
        });
        for object in [policy, policy_of_cluster] {
            self.kubectl
                .run_with_input(["create", "-f", "-"], &object.to_string())
                .await
                .unwrap();
        }
        self.wait_rollout("{.status.phase}=Completed").await;
        let image = ["set", "image", "ds/staged", "main=example/daemon:2"];
        self.run_kubectl(&image).await;
        self.wait_rollout("{.status.rollout}=1").await;
        self.wait_rollout("{.status.phase}=Completed").await;
        for kind in [
            "daemonsetrollouts",
            "daemonsetrolloutpolicies",
            "clusterdaemonsetrolloutpolicies",
        ] {
            self.requests.wait_for("update", &format!("{kind}/status")).await;
        }
    }

    /// Waits until the rollout of the `DaemonSet` `staged` has this value of a field.
    async fn wait_rollout(&self, field: &str) {
        let condition = format!("--for=jsonpath={field}");
        eventually(DEADLINE, format!("the rollout to have {field}"), async || {
            let wait = ["wait", "daemonsetrollouts/staged", &condition, "--timeout=30s"];
            // kubectl fails as long as there is no such object.
            self.kubectl.run(wait).await.map(drop)
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.executor.log_tail(30)));
    }

    /// Writes to a rollout until one of the executor's writes conflicts, so that the executor reads the rollout.
    async fn conflict_with_rollout(&mut self) {
        let rollouts: Api<DaemonSetRollout> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = PatchParams::default();
        let mut is_paused = false;
        let seen = eventually(DEADLINE, "the executor to get daemonsetrollouts", async || {
            // The executor writes what this changes in the status at most 2 s later. Meanwhile the version changes.
            is_paused = !is_paused;
            let pause = Patch::Merge(json!({"spec": {"paused": is_paused}}));
            rollouts.patch("staged", &params, &pause).await?;
            for count in 0..500 {
                let annotations = json!({"touched": count.to_string()});
                let touch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
                rollouts.patch("staged", &params, &touch).await?;
            }
            self.requests.read();
            let mut requests = self.requests.all.iter();
            let is_wanted =
                |request: &audit::Request| request.verb == "get" && request.resource == "daemonsetrollouts";
            anyhow::ensure!(requests.any(is_wanted), "no conflict yet");
            Ok(())
        });
        seen.await.unwrap();
    }

    /// Writes to the Lease from outside, so that the leader must check whether it still leads.
    async fn write_lease(&mut self) {
        let annotate = ["annotate", "lease/everynode-executor", "touched=yes"];
        let system = self.kubectl.in_namespace(NAMESPACE);
        system.run(annotate).await.unwrap();
        self.requests.wait_for("get", "leases").await;
    }
}
