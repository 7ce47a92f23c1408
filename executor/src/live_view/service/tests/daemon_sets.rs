//! Listing and explaining `DaemonSet`s.

use everynode_proto::{executor::v1::Wait, planner::v1::Verdict};

use super::*;

fn messages(waits: &[Wait]) -> Vec<&str> {
    waits.iter().map(|wait| wait.message.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn only_info_is_available_before_the_cluster_is_listed() {
    let mut view = LiveViewRig::new(rig()).await;
    let info = view.info().await;
    assert_eq!((info.identity.as_str(), info.leader.as_str()), ("me", "me"));
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    assert!(!info.cluster_is_listed && info.planner.is_none());
    for refusal in [
        view.list("", "").await.unwrap_err(),
        view.explain("default/agent", "").await.unwrap_err(),
        view.overhead("n1").await.unwrap_err(),
        view.client
            .watch_plans(WatchPlansRequest::default())
            .await
            .unwrap_err(),
    ] {
        assert_eq!(refusal.code(), Code::Unavailable);
        assert!(refusal.message().contains("has not been listed yet"), "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn info_names_the_planner_and_the_leader() {
    let (mut view, _planned) = LiveViewRig::synced(&["n1"], &[]).await;
    let planner = PlannerInfo {
        version: "0.1.0".to_owned(),
        rules_version: "1".to_owned(),
        is_synced: true,
    };
    let info = view.info().await;
    assert!(info.cluster_is_listed);
    assert_eq!(info.planner, Some(planner));
    view.set_leader("other");
    assert_eq!(view.info().await.leader, "other");
}

#[tokio::test(start_paused = true)]
async fn daemon_set_is_listed_with_its_waits() {
    let (mut view, _planned) = LiveViewRig::synced(&["n1"], &[pod_json("p1", 3)]).await;
    let answer = view.list("", "").await.unwrap();
    assert_eq!(answer.ask_leader, "");
    let [listed] = answer.daemon_sets.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (listed.namespace.as_str(), listed.name.as_str()),
        ("default", "agent")
    );
    assert_eq!(messages(&listed.waits), ["1 pod isn't ready: p1 on n1 (Running)"]);
    for (namespace, name, count) in [("default", "agent", 1), ("other", "", 0), ("", "agents", 0)] {
        let found = view.list(namespace, name).await.unwrap().daemon_sets;
        assert_eq!(found.len(), count, "{namespace}/{name}");
    }
    let refusal = view.list("no namespace", "").await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn standby_lists_daemon_sets_and_names_the_leader() {
    let (mut view, planned) = LiveViewRig::synced(&["n1"], &[]).await;
    view.rig.lose_planner(planned).await;
    view.set_leader("other");
    let answer = view.list("", "").await.unwrap();
    assert_eq!(answer.ask_leader, "other");
    assert_eq!(answer.daemon_sets[0].waits, []);
    let answer = view.explain("default/agent", "n1").await.unwrap();
    let waits = messages(&answer.placements[0].waits);
    assert_eq!(
        waits,
        ["there is no pod; only the leader, other, knows the actions in progress"]
    );
}

#[tokio::test(start_paused = true)]
async fn daemon_set_is_explained_on_every_node_with_its_pods() {
    let pods = [
        pod_json("p1", 3),
        with(pod_json("p2", 4), json!({"spec": {"nodeName": "k1"}})),
        with(pod_json("p0", 5), json!({"spec": {"nodeName": "k1"}})),
    ];
    let (mut view, _planned) = LiveViewRig::synced(&["x1", "n1", "k1"], &pods).await;
    let answer = view.explain("default/agent", "").await.unwrap();
    let placed: Vec<_> = answer
        .placements
        .iter()
        .map(|placement| {
            let verdict = placement.verdict.as_ref().unwrap();
            let pods: Vec<_> = placement.pods.iter().map(|pod| pod.name.as_str()).collect();
            (verdict.node.as_str(), verdict.verdict(), pods)
        })
        .collect();
    assert_eq!(
        placed,
        [
            ("k1", Verdict::Keep, vec!["p0", "p2"]),
            ("n1", Verdict::Run, vec!["p1"]),
            ("x1", Verdict::Exclude, vec![]),
        ]
    );
    let summary = &answer.summaries[0];
    let counts = (summary.run_nodes, summary.keep_nodes, summary.exclude_nodes);
    assert_eq!(counts, (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn every_daemon_set_is_explained_on_a_node() {
    let (mut view, _planned) = LiveViewRig::synced(&["n1", "n2"], &[]).await;
    let answer = view.explain("", "n2").await.unwrap();
    let [placement] = answer.placements.as_slice() else {
        panic!("{answer:?}")
    };
    let verdict = placement.verdict.as_ref().unwrap();
    assert_eq!(
        (verdict.daemon_set.as_str(), verdict.node.as_str()),
        ("default/agent", "n2")
    );
}

#[tokio::test(start_paused = true)]
async fn missing_pod_is_explained_by_the_servers_refusal() {
    let (mut view, mut planned) = LiveViewRig::synced(&["n1"], &[]).await;
    planned.send_actions(vec![create(1, "n1")]).await;
    let (code, body) = forbidden("exceeded quota: few");
    view.rig.api.expect("POST", PODS).await.answer_with(code, &body);
    let answer = view.explain("default/agent", "n1").await.unwrap();
    let [wait] = answer.placements[0].waits.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!(wait.code(), WaitCode::Refused);
    let message = "there is no pod, because the API server refuses: exceeded quota: few; next retry in ";
    assert!(wait.message.starts_with(message), "{}", wait.message);
}

#[tokio::test(start_paused = true)]
async fn missing_objects_are_not_found_with_similar_names() {
    let (mut view, _planned) = LiveViewRig::synced(&["worker-1", "worker-2"], &[]).await;
    let refusal = view.explain("default/agnt", "").await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
    let message = "there is no DaemonSet default/agnt; did you mean default/agent?";
    assert_eq!(refusal.message(), message);
    let refusal = view.explain("", "worker-3").await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
    assert_eq!(
        refusal.message(),
        "there is no node worker-3; did you mean worker-1 or worker-2?"
    );
    assert_eq!(
        view.explain("", "").await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(view.planner.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_nodes_are_explained_in_several_calls() {
    let names: Vec<_> = (0..2_500).map(|number| format!("n{number:04}")).collect();
    let nodes: Vec<_> = names.iter().map(String::as_str).collect();
    let rig = rig();
    rig.list(agent(), &nodes, &[], &[revision_json("r1", 1)]).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut view = LiveViewRig::new(rig).await;
    let answer = view.explain("default/agent", "").await.unwrap();
    assert_eq!(view.planner.calls(), 2);
    let found = answer
        .placements
        .iter()
        .map(|placement| placement.verdict.as_ref().unwrap().node.as_str());
    assert!(found.eq(nodes.iter().copied()), "in the order of their names");
    assert_eq!(answer.summaries.len(), 1);
    assert_eq!(answer.summaries[0].run_nodes, 2_500);
}

#[tokio::test(start_paused = true)]
async fn list_works_and_explain_fails_without_a_planner() {
    let (mut view, _planned) = LiveViewRig::synced(&["n1"], &[]).await;
    view.planner.refuse(Status::unavailable("connection refused"));
    view.list("", "").await.unwrap();
    let refusal = view.explain("default/agent", "n1").await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable);
    let message = "no planner answers, and only a planner can give verdicts: connection refused";
    assert_eq!(refusal.message(), message);
}

#[tokio::test(start_paused = true)]
async fn calls_fail_as_unavailable_after_the_loop_has_ended() {
    let (mut view, planned) = LiveViewRig::synced(&["n1"], &[]).await;
    drop(planned);
    view.rig.stop().await;
    let refusal = view.list("", "").await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable, "{refusal}");
}
