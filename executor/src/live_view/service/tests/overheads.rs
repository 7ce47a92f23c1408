//! The overhead of `DaemonSet`s on a node.

use everynode_proto::facts::{self, raw_struct};

use super::*;

const NODE: &str = "/api/v1/nodes/n1";
const CLASSES: &str = "/apis/node.k8s.io/v1/runtimeclasses";

fn node_json() -> Value {
    json!({
        "metadata": {"name": "n1", "labels": {"zone": "a"}},
        "spec": {"taints": [{"key": "dedicated", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "4", "pods": "110"}, "capacity": {"cpu": "8"}},
    })
}

/// The agent without a `RuntimeClass`, two `DaemonSet`s with the same one, one whose class is missing, and one whose
/// class the executor isn't allowed to read.
async fn with_classes() -> LiveViewRig {
    let class = |name: &str, uid: &str, class: &str| {
        let spec = json!({"template": {"spec": {"runtimeClassName": class}}});
        let change = json!({"metadata": {"name": name, "uid": uid}, "spec": spec});
        read(&with(agent_json(), change))
    };
    let rig = rig();
    rig.list(agent_with(json!({})), &["n1"], &[], &[revision_json("r1", 1)])
        .await;
    for daemon_set in [
        class("b", "ds-2", "gvisor"),
        class("c", "ds-3", "gvisor"),
        class("d", "ds-4", "missing"),
        class("e", "ds-5", "secret"),
    ] {
        rig.report_daemon_set(daemon_set).await;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    LiveViewRig::new(rig).await
}

#[tokio::test(start_paused = true)]
async fn node_and_runtime_classes_are_read_on_request() {
    let mut view = with_classes().await;
    let mut client = view.client.clone();
    let request = GetNodeOverheadRequest {
        node: "n1".to_owned(),
    };
    let pending = tokio::spawn(async move { client.get_node_overhead(request).await });
    view.api.expect("GET", NODE).await.answer(&node_json());
    let gvisor = json!({"metadata": {"name": "gvisor"}, "overhead": {"podFixed": {"cpu": "250m"}}});
    view.api
        .expect("GET", &format!("{CLASSES}/gvisor"))
        .await
        .answer(&gvisor);
    for (name, (code, body)) in [("missing", not_found()), ("secret", forbidden("not yours"))] {
        let call = view.api.expect("GET", &format!("{CLASSES}/{name}")).await;
        call.answer_with(code, &body);
    }
    let answer = soon(pending).await.unwrap().unwrap().into_inner();
    let node = answer.node.unwrap();
    assert_eq!(
        (node.node_template.as_str(), node.daemon_sets.as_slice()),
        ("n1", &["default/agent".to_owned()][..])
    );
    let demands: Vec<_> = answer
        .daemon_sets
        .iter()
        .map(|demand| demand.daemon_set.as_str())
        .collect();
    assert_eq!(demands, ["default/agent"], "only of DaemonSets that run there");
    assert_eq!(answer.allocatable["cpu"], "4");

    let request = view.planner.simulated();
    assert_eq!(request.daemon_sets.len(), 5);
    let read = |objects| raw_struct::expand(objects)[0].clone();
    let node: Value = read(request.nodes).read("Node").unwrap();
    assert_eq!(node["status"]["allocatable"], json!({"cpu": "4", "pods": "110"}));
    let node: facts::Node = serde_json::from_value(node).unwrap();
    assert_eq!(node.clone().into_facts().taints[0].key, "dedicated");
    assert_eq!(request.runtime_classes.len(), 1);
    let class: Value = read(request.runtime_classes).read("RuntimeClass").unwrap();
    assert_eq!(class, gvisor);
}

#[tokio::test(start_paused = true)]
async fn missing_node_is_not_found_with_similar_names() {
    let (mut view, _planned) = LiveViewRig::synced(&["worker-1"], &[]).await;
    for (answer, code, message) in [
        (
            not_found(),
            Code::NotFound,
            "there is no node worker-2; did you mean worker-1?",
        ),
        (
            forbidden("not yours"),
            Code::FailedPrecondition,
            "the API server refuses to show the node worker-2: not yours",
        ),
    ] {
        let mut client = view.client.clone();
        let request = GetNodeOverheadRequest {
            node: "worker-2".to_owned(),
        };
        let pending = tokio::spawn(async move { client.get_node_overhead(request).await });
        let (status, body) = answer;
        view.api
            .expect("GET", "/api/v1/nodes/worker-2")
            .await
            .answer_with(status, &body);
        let refusal = soon(pending).await.unwrap().unwrap_err();
        assert_eq!((refusal.code(), refusal.message()), (code, message));
    }
    assert_eq!(view.overhead("").await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn explanation_sends_the_runtime_classes_that_the_templates_name() {
    let mut view = with_classes().await;
    let gvisor =
        json!({"metadata": {"name": "gvisor"}, "scheduling": {"nodeSelector": {"runtime": "gvisor"}}});
    for (daemon_set, sent) in [("default/agent", 0), ("default/b", 1)] {
        let mut client = view.client.clone();
        let request = ExplainRequest {
            daemon_set: daemon_set.to_owned(),
            node: "n1".to_owned(),
        };
        let pending = tokio::spawn(async move { client.explain(request).await });
        for _ in 0..sent {
            let call = view.api.expect("GET", &format!("{CLASSES}/gvisor")).await;
            call.answer(&gvisor);
        }
        let answer = soon(pending).await.unwrap().unwrap().into_inner();
        assert_eq!(answer.problems, []);
        let classes = raw_struct::expand(view.planner.explained_classes());
        let classes: Vec<Value> = classes
            .iter()
            .map(|class| class.read("RuntimeClass").unwrap())
            .collect();
        assert_eq!(classes, vec![gvisor.clone(); sent]);
    }
}

#[tokio::test(start_paused = true)]
async fn explanation_waits_only_seconds_for_runtime_classes() {
    let mut view = with_classes().await;
    let begun = tokio::time::Instant::now();
    let answer = view.explain("default/b", "n1").await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(answer.placements.len(), 1);
    assert_eq!(
        answer.problems[0].message,
        "can't be read, so nodes that don't meet its conditions aren't named: the API server gave no clear answer \
         within 5 s"
    );
}

#[tokio::test(start_paused = true)]
async fn explanation_reports_a_runtime_class_that_cannot_be_read_for_the_moment() {
    let mut view = with_classes().await;
    let broken = refusal(500, "InternalError", "etcd is down");
    let unread = "can't be read, so nodes that don't meet its conditions aren't named: ";
    for (daemon_set, class, (code, body), problem) in [
        ("default/d", "missing", not_found(), None),
        ("default/e", "secret", forbidden("not yours"), None),
        ("default/b", "gvisor", (500, broken), Some(unread)),
    ] {
        let mut client = view.client.clone();
        let request = ExplainRequest {
            daemon_set: daemon_set.to_owned(),
            node: "n1".to_owned(),
        };
        let pending = tokio::spawn(async move { client.explain(request).await });
        let call = view.api.expect("GET", &format!("{CLASSES}/{class}")).await;
        call.answer_with(code, &body);
        let answer = soon(pending).await.unwrap().unwrap().into_inner();
        assert_eq!(answer.placements.len(), 1);
        let problems: Vec<_> = answer
            .problems
            .iter()
            .map(|found| (found.object.as_str(), found.message.as_str()))
            .collect();
        match problem {
            None => assert!(problems.is_empty(), "{problems:?}"),
            Some(message) => {
                let [(object, found)] = problems[..] else {
                    panic!("{problems:?}")
                };
                assert_eq!(object, "runtimeclass gvisor");
                assert!(found.starts_with(message), "{found}");
            }
        }
    }
}
