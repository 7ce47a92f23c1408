//! Why pods aren't ready, as the service reads it from the API server.

use super::*;

/// A pod of the agent that is meant for this node and isn't bound to it.
fn unbound(name: &str, node: &str) -> Value {
    let named = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let required = json!({"nodeSelectorTerms": [{"matchFields": [named]}]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
    let change = json!({"spec": {"nodeName": "", "affinity": affinity}, "status": {"phase": "Pending"}});
    with(pod_json(name, 3), change)
}

fn gated() -> Value {
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    });
    json!({"status": {"conditions": [condition]}})
}

impl LiveViewRig {
    /// Begins to explain the agent on every node.
    fn begin_explain(&self) -> JoinHandle<Result<Response<ExplainResponse>, Status>> {
        let mut client = self.client.clone();
        tokio::spawn(async move {
            let request = ExplainRequest {
                daemon_set: "default/agent".to_owned(),
                node: String::new(),
            };
            client.explain(request).await
        })
    }
}

async fn answer(pending: JoinHandle<Result<Response<ExplainResponse>, Status>>) -> ExplainResponse {
    soon(pending).await.unwrap().unwrap().into_inner()
}

#[tokio::test(start_paused = true)]
async fn pod_that_is_not_bound_is_explained_in_the_schedulers_words() {
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let ready = with(
        pod_json("p2", 3),
        json!({"spec": {"nodeName": "n2"}, "status": {"conditions": ready}}),
    );
    let (mut view, _planned) = LiveViewRig::synced(&["n1", "n2"], &[unbound("p1", "n1"), ready]).await;
    let pending = view.begin_explain();
    let call = view.api.expect("GET", &format!("{PODS}/p1")).await;
    call.answer(&with(unbound("p1", "n1"), gated()));
    let answer = answer(pending).await;
    assert!(view.api.is_idle().await, "only pods that aren't ready are read");
    let [here, other] = answer.placements.as_slice() else {
        panic!("{answer:?}")
    };
    let said = "Scheduling is blocked due to non-empty scheduling gates";
    assert_eq!(
        here.waits[0].message,
        format!("1 pod isn't bound to its node yet: p1 for n1 (SchedulingGated: {said})")
    );
    let pod = &here.pods[0];
    assert_eq!(
        (pod.reason.as_str(), pod.message.as_str()),
        ("SchedulingGated", said)
    );
    let pod = &other.pods[0];
    assert_eq!((pod.reason.as_str(), pod.message.as_str()), ("", ""));
    assert_eq!(other.waits, []);
}

#[tokio::test(start_paused = true)]
async fn pod_whose_container_fails_is_explained_in_the_kubelets_words() {
    let (mut view, _planned) = LiveViewRig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    let pending = view.begin_explain();
    let container = json!({
        "name": "main", "image": "i", "imageID": "", "ready": false, "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}},
    });
    let crashing = with(
        pod_json("p1", 3),
        json!({"status": {"containerStatuses": [container]}}),
    );
    view.api
        .expect("GET", &format!("{PODS}/p1"))
        .await
        .answer(&crashing);
    let answer = answer(pending).await;
    assert_eq!(
        answer.placements[0].waits[0].message,
        "1 pod isn't ready: p1 on n1 (Running, CrashLoopBackOff: container main: back-off 40s restarting failed \
         container)"
    );
}

#[tokio::test(start_paused = true)]
async fn explanation_does_without_reasons_that_cannot_be_read() {
    let plain = "1 pod isn't bound to its node yet: p1 for n1";
    let another = with(
        with(unbound("p1", "n1"), gated()),
        json!({"metadata": {"uid": "another"}}),
    );
    for (code, body) in [
        not_found(),
        forbidden("not yours"),
        (500, json!("broken")),
        (200, json!(["broken"])),
        (200, another),
    ] {
        let (mut view, _planned) = LiveViewRig::synced(&["n1"], &[unbound("p1", "n1")]).await;
        let pending = view.begin_explain();
        let call = view.api.expect("GET", &format!("{PODS}/p1")).await;
        call.answer_with(code, &body);
        let answer = answer(pending).await;
        assert_eq!(answer.placements[0].waits[0].message, plain, "{code} {body}");
    }
    // An API server that doesn't answer delays the explanation, but not for long.
    let (view, _planned) = LiveViewRig::synced(&["n1"], &[unbound("p1", "n1")]).await;
    let begun = tokio::time::Instant::now();
    let answer = answer(view.begin_explain()).await;
    assert_eq!(answer.placements[0].waits[0].message, plain);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn at_most_fifty_pods_are_read_in_the_order_of_their_nodes() {
    let nodes: Vec<_> = (0..60).map(|number| format!("n{number:02}")).collect();
    let pods: Vec<_> = nodes
        .iter()
        .rev()
        .map(|node| unbound(&format!("pod-{node}"), node))
        .collect();
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let (mut view, _planned) = LiveViewRig::synced(&nodes, &pods).await;
    let pending = view.begin_explain();
    for node in &nodes[..50] {
        let call = view.api.expect("GET", &format!("{PODS}/pod-{node}")).await;
        call.answer(&with(unbound(&format!("pod-{node}"), node), gated()));
    }
    let answer = answer(pending).await;
    assert!(view.api.is_idle().await);
    let explained = answer
        .placements
        .iter()
        .filter(|placement| !placement.pods[0].reason.is_empty());
    assert_eq!((answer.placements.len(), explained.count()), (60, 50));
}
