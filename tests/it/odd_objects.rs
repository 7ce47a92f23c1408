//! Pods that can't run because of a `RuntimeClass`, scheduling gates, a namespace's node selector, a missing image, or
//! a toleration with an operator that Everynode doesn't know. The answers must say why.

use everynode_proto::executor::v1::executor_service_client::ExecutorServiceClient;
use everynode_proto::executor::v1::{
    ExplainRequest, ExplainResponse, GetNodeOverheadRequest, GetNodeOverheadResponse, ListDaemonSetsRequest,
    Placement, WaitCode,
};
use everynode_proto::planner::v1::Verdict;
use everynode_tests::control_plane::{Component, ControlPlane, Options};
use everynode_tests::daemonsets::{self, DaemonSetBuilder, image, is_ready, target_node};
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::start_both;
use everynode_tests::wait::eventually;
use k8s_openapi::api::core::v1::{Event, Pod, ServiceAccount};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tonic::transport::Channel;

use crate::world::{DEADLINE, World, identities};

/// A caller of the executor, and a namespace.
struct View {
    client: ExecutorServiceClient<Channel>,
    namespace: String,
}

impl View {
    async fn connect(url: String, namespace: &str) -> Self {
        Self {
            client: ExecutorServiceClient::connect(url).await.unwrap(),
            namespace: namespace.to_owned(),
        }
    }

    async fn of(world: &World) -> Self {
        Self::connect(world.executor.url(), &world.namespace).await
    }

    async fn explain(&mut self, name: &str) -> anyhow::Result<ExplainResponse> {
        let request = ExplainRequest {
            daemon_set: format!("{}/{name}", self.namespace),
            node: String::new(),
        };
        Ok(self.client.explain(request).await?.into_inner())
    }

    /// Waits until a pod for the node has this reason, and until a wait with this code names it. Returns the placement.
    async fn wait_reason(&mut self, name: &str, node: &str, code: WaitCode, reason: &str) -> Placement {
        let what = format!("the pod of {name} for {node} to wait with the reason {reason}");
        let found = eventually(DEADLINE, what, async || {
            let answer = self.explain(name).await?;
            let placement = on_node(&answer, node);
            let has_reason = placement.pods.iter().any(|pod| pod.reason == reason);
            let has_wait = placement
                .waits
                .iter()
                .any(|wait| wait.code() == code && wait.message.contains(reason));
            anyhow::ensure!(has_reason && has_wait, "{placement:#?}");
            Ok(placement.clone())
        });
        found.await.unwrap()
    }

    async fn overhead(&mut self, node: &str) -> GetNodeOverheadResponse {
        let request = GetNodeOverheadRequest {
            node: node.to_owned(),
        };
        self.client.get_node_overhead(request).await.unwrap().into_inner()
    }
}

#[track_caller]
fn on_node<'a>(answer: &'a ExplainResponse, node: &str) -> &'a Placement {
    let is_there = |placement: &&Placement| {
        placement
            .verdict
            .as_ref()
            .is_some_and(|verdict| verdict.node == node)
    };
    answer
        .placements
        .iter()
        .find(is_there)
        .unwrap_or_else(|| panic!("no placement on {node}: {answer:#?}"))
}

/// The only pod on a node, or meant for it.
#[track_caller]
fn pod_on<'p>(pods: &'p [Pod], node: &str) -> &'p Pod {
    let found: Vec<_> = pods.iter().filter(|pod| target_node(pod) == Some(node)).collect();
    let [pod] = found[..] else {
        panic!("{} pods are on {node}", found.len())
    };
    pod
}

async fn remove_gates(client: &Client, namespace: &str, pod: &Pod) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let open = Patch::Merge(json!({"spec": {"schedulingGates": null}}));
    pods.patch(&pod.name_any(), &PatchParams::default(), &open)
        .await
        .unwrap();
}

#[tokio::test]
async fn node_that_a_runtime_class_excludes_is_explained_and_has_no_overhead() {
    let world = World::new(0).await;
    let bare = NodeBuilder::new("bare").label("runtime", "kata");
    let tainted = NodeBuilder::new("tainted")
        .label("runtime", "kata")
        .taint("kata", "yes", "NoSchedule");
    let builders = vec![bare, NodeBuilder::new("plain"), tainted];
    nodes::create_ready(&world.client, builders).await.unwrap();
    let classes: Api<RuntimeClass> = Api::all(world.client.clone());
    let class = json!({
        "metadata": {"name": "kata"},
        "handler": "kata",
        "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {
            "nodeSelector": {"runtime": "kata"}, "tolerations": [{"key": "kata", "operator": "Exists"}],
        },
    });
    let class = serde_json::from_value(class).unwrap();
    classes.create(&PostParams::default(), &class).await.unwrap();
    let daemon_set = DaemonSetBuilder::new("k")
        .requests(&json!({"cpu": "100m"}))
        .pod_spec(&json!({"runtimeClassName": "kata"}));
    world.create(daemon_set).await;
    world
        .wait_status("k", "one of two pods available", |status| {
            status.desired_number_scheduled == 2
                && status.current_number_scheduled == 2
                && status.number_available == Some(1)
        })
        .await;

    let mut view = View::of(&world).await;
    let placement = view
        .wait_reason("k", "plain", WaitCode::Scheduling, "Unschedulable")
        .await;
    let verdict = placement.verdict.unwrap();
    assert_eq!(verdict.verdict(), Verdict::Run);
    let names_the_class = verdict
        .reasons
        .iter()
        .any(|reason| reason.message.contains("RuntimeClass") && reason.message.contains("kata"));
    assert!(names_the_class, "{verdict:#?}");
    let answer = view.explain("k").await.unwrap();
    let bare = on_node(&answer, "bare");
    assert_eq!(bare.verdict.as_ref().unwrap().verdict(), Verdict::Run);
    assert!(bare.waits.is_empty() && bare.pods[0].is_ready, "{bare:#?}");
    let tainted = on_node(&answer, "tainted");
    assert_eq!(tainted.verdict.as_ref().unwrap().verdict(), Verdict::Keep);
    assert_eq!(tainted.pods, []);

    let bare = view.overhead("bare").await.node.unwrap();
    assert_eq!(bare.requests["cpu"], "350m", "{bare:#?}");
    let plain = view.overhead("plain").await.node.unwrap();
    assert!(
        plain.daemon_sets.is_empty() && !plain.requests.contains_key("cpu"),
        "{plain:#?}"
    );
}

#[tokio::test]
async fn gated_pods_wait_for_their_gate_and_are_replaced_first_in_an_update() {
    let world = World::new(2).await;
    let gates = json!({"schedulingGates": [{"name": "example.com/wait"}]});
    world
        .create(DaemonSetBuilder::new("agent").pod_spec(&gates))
        .await;
    let before = world.wait_one_pod_per_node("agent").await;
    let mut view = View::of(&world).await;
    for node in ["node-01", "node-02"] {
        let placement = view
            .wait_reason("agent", node, WaitCode::Scheduling, "SchedulingGated")
            .await;
        assert!(placement.pods[0].message.contains("gate"), "{placement:#?}");
    }

    let first = pod_on(&before, "node-01");
    remove_gates(&world.client, &world.namespace, first).await;
    world
        .wait_status("agent", "one pod available", |status| {
            status.number_available == Some(1)
        })
        .await;
    let opened = world.wait_one_pod_per_node("agent").await;
    assert_eq!(identities(&opened), identities(&before), "no pod was replaced");

    world.set_image("example/daemon:2").await;
    let waiting = pod_on(&before, "node-02").uid();
    let replaced = eventually(DEADLINE, "the gated pod to be replaced", async || {
        let pods = daemonsets::pods(&world.client, &world.namespace, "agent").await?;
        let pod = pods
            .iter()
            .find(|pod| target_node(pod) == Some("node-02") && pod.uid() != waiting);
        Ok(pod.ok_or_else(|| anyhow::anyhow!("it is still there"))?.clone())
    });
    let replaced = replaced.await.unwrap();
    assert_eq!(image(&replaced), Some("example/daemon:2"));
    // While the new pod waits for its gate, the budget is used up.
    view.wait_reason("agent", "node-02", WaitCode::Scheduling, "SchedulingGated")
        .await;
    let pods = world.wait_one_pod_per_node("agent").await;
    assert_eq!(pod_on(&pods, "node-01").uid(), first.uid());
    remove_gates(&world.client, &world.namespace, &replaced).await;
    let updated = eventually(DEADLINE, "the other pod to be replaced", async || {
        let pods = daemonsets::pods(&world.client, &world.namespace, "agent").await?;
        anyhow::ensure!(
            pods.len() == 2 && pods.iter().all(|pod| image(pod) == Some("example/daemon:2")),
            "{:?}",
            identities(&pods)
        );
        Ok(())
    });
    updated.await.unwrap();
}

#[tokio::test]
async fn pod_without_its_image_is_explained_in_the_kubelets_words() {
    let world = World::new(1).await;
    world
        .create(DaemonSetBuilder::new("agent").image("example/nonexistent:1"))
        .await;
    world.wait_one_pod_per_node("agent").await;
    let mut view = View::of(&world).await;
    view.wait_reason("agent", "node-01", WaitCode::Readiness, "ImagePullBackOff")
        .await;
}

/// Starts a control plane with the admission plugin `PodNodeSelector` and with tolerations that compare numbers.
async fn unusual_control_plane() -> ControlPlane {
    let gate = "--feature-gates=TaintTolerationComparisonOperators=true";
    let gated = [
        Component::ApiServer,
        Component::ControllerManager,
        Component::Scheduler,
    ];
    let mut flags: Vec<_> = gated.map(|component| (component, gate.to_owned())).into();
    let plugin = "--enable-admission-plugins=PodNodeSelector";
    flags.push((Component::ApiServer, plugin.to_owned()));
    let options = Options {
        flags,
        ..Options::default()
    };
    ControlPlane::start(options).await.unwrap()
}

/// Creates a namespace whose pods the API server restricts to nodes with the label `region=x`.
async fn create_pinned_namespace(control_plane: &ControlPlane, client: &Client, name: &str) {
    let namespace = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  annotations:\n    \
         scheduler.alpha.kubernetes.io/node-selector: region=x\n"
    );
    let kubectl = control_plane.kubectl().unwrap();
    kubectl
        .run_with_input(["create", "-f", "-"], &namespace)
        .await
        .unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    let account = eventually(DEADLINE, "the service account of the namespace", async || {
        Ok(accounts.get("default").await?)
    });
    account.await.unwrap();
}

/// Both cases share a control plane, because one takes seconds to start.
#[tokio::test]
async fn admission_plugins_and_newer_operators_that_hold_pods_back_are_reported() {
    let control_plane = unusual_control_plane().await;
    let client = control_plane.client().await.unwrap();
    let sla = |name: &str, value: &str| NodeBuilder::new(name).taint("example.com/sla", value, "NoSchedule");
    let builders = vec![
        NodeBuilder::new("a").label("region", "x"),
        NodeBuilder::new("b"),
        NodeBuilder::new("c"),
        sla("n850", "850"),
        sla("n950", "950"),
    ];
    nodes::create_ready(&client, builders).await.unwrap();
    create_pinned_namespace(&control_plane, &client, "pinned").await;
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let (_planner, executor) = start_both(&programs, control_plane.kubeconfig()).await.unwrap();

    DaemonSetBuilder::new("inner")
        .create(&client, "pinned")
        .await
        .unwrap();
    let counted = daemonsets::wait_status(&client, "pinned", "inner", DEADLINE, "one available", |status| {
        status.desired_number_scheduled == 3
            && status.current_number_scheduled == 3
            && status.number_available == Some(1)
            && status.number_unavailable == Some(2)
    });
    counted
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", executor.log_tail(40)));
    let before = daemonsets::pods(&client, "pinned", "inner").await.unwrap();
    assert!(is_ready(pod_on(&before, "a")));
    let mut view = View::connect(executor.url(), "pinned").await;
    for node in ["b", "c"] {
        let placement = view
            .wait_reason("inner", node, WaitCode::Scheduling, "Unschedulable")
            .await;
        let said = &placement.pods[0].message;
        assert!(said.contains("node affinity/selector"), "{said}");
    }

    let namespace = everynode_tests::shared::fresh_namespace(&client).await.unwrap();
    let toleration =
        json!({"key": "example.com/sla", "operator": "Gt", "value": "900", "effect": "NoSchedule"});
    DaemonSetBuilder::new("sla")
        .tolerate(&toleration)
        .create(&client, &namespace)
        .await
        .unwrap();
    // Everynode doesn't know the operator. So the toleration tolerates nothing, and an event and a problem report that.
    daemonsets::wait_placed(&client, &namespace, "sla", &["a", "b", "c"], DEADLINE)
        .await
        .unwrap();
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
    let reported = eventually(DEADLINE, "an event about the operator", async || {
        let fields = ListParams::default().fields("involvedObject.name=sla,type=Warning");
        let events = events.list(&fields).await?;
        let messages: Vec<_> = events.iter().filter_map(|event| event.message.clone()).collect();
        let is_reported = messages
            .iter()
            .any(|message| message.contains("tolerations[0].operator") && message.contains("Gt"));
        anyhow::ensure!(is_reported, "the events are {messages:?}");
        Ok(())
    });
    reported.await.unwrap();
    let request = ListDaemonSetsRequest {
        namespace: namespace.clone(),
        name: "sla".to_owned(),
    };
    let listed = view.client.list_daemon_sets(request).await.unwrap().into_inner();
    let problems = &listed.daemon_sets[0].problems;
    assert!(
        problems
            .iter()
            .any(|problem| problem.field.ends_with("tolerations[0].operator")),
        "{problems:#?}"
    );
    view.namespace.clone_from(&namespace);
    let answer = view.explain("sla").await.unwrap();
    assert_eq!(
        on_node(&answer, "n950").verdict.as_ref().unwrap().verdict(),
        Verdict::Keep
    );
    assert!(!answer.problems.is_empty(), "{answer:#?}");

    let after = daemonsets::pods(&client, "pinned", "inner").await.unwrap();
    assert_eq!(identities(&after), identities(&before), "no pod was replaced");
    drop(executor);
    control_plane.stop().await.unwrap();
}
