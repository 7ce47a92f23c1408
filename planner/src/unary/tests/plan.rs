//! `Plan` against pods and `ControllerRevision`s of a cluster.

use everynode_proto::planner::v1::{Action, PlanRequest, PlanResponse, ProblemCode, action::Action as Kind};
use everynode_serving::serve::Work;
use serde_json::{Value, json};

use super::{
    super::plan,
    objects::{daemon_set, node, raw_structs},
};

/// The `DaemonSet` sys/d as a cluster has it.
fn live() -> Value {
    let mut object = daemon_set("d", &json!({"containers": [{"name": "c", "image": "x/y:2"}]}));
    object["metadata"]["uid"] = json!("u-1");
    object
}

/// The same `DaemonSet` as a manifest.
fn manifest() -> Value {
    daemon_set("d", &json!({"containers": [{"name": "c", "image": "x/y:2"}]}))
}

fn pod(node: &str, revision: &str) -> Value {
    let name = format!("d-{node}");
    json!({
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "sys",
            "uid": format!("{name}-uid"),
            "creationTimestamp": "2026-11-01T00:00:10Z",
            "labels": {"app": "d", "controller-revision-hash": revision},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u-1", "controller": true},
            ],
        },
        "spec": {"nodeName": node},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T00:01:00Z"}],
        },
    })
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

/// A revision of sys/d whose template has this image.
fn revision(hash: &str, number: i64, image: &str) -> Value {
    let template = daemon_set("d", &json!({"containers": [{"name": "c", "image": image}]}));
    let mut template = template["spec"]["template"].clone();
    template["$patch"] = json!("replace");
    // A default of the API server.
    template["spec"]["dnsPolicy"] = json!("ClusterFirst");
    json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": format!("d-{hash}"),
            "namespace": "sys",
            "labels": {"app": "d", "controller-revision-hash": hash},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u-1", "controller": true},
            ],
        },
        "data": {"spec": {"template": template}},
        "revision": number,
    })
}

/// Plans for the nodes a and b.
fn planned(daemon_set: &Value, pods: &[Value], revisions: &[Value], explicit: Option<&str>) -> PlanResponse {
    let nodes = ["a", "b"].map(|name| node(name, &json!({}), &json!([])));
    let request = PlanRequest {
        daemon_set: raw_structs(std::slice::from_ref(daemon_set)).pop(),
        nodes: raw_structs(&nodes),
        pods: raw_structs(pods),
        controller_revisions: raw_structs(revisions),
        update_revision: explicit.map(str::to_owned),
        ..PlanRequest::default()
    };
    plan(request, &Work::unbounded()).unwrap()
}

fn brief(answer: &PlanResponse) -> Vec<String> {
    let text = |action: &Action| match action.action.as_ref().unwrap() {
        Kind::Create(create) => format!("create {} at {:?}", create.node, create.revision),
        Kind::Delete(delete) => format!("delete {}", delete.pod),
    };
    answer.actions.iter().map(text).collect()
}

#[test]
fn manifest_without_a_uid_owns_pods_by_the_name_in_their_controller_reference() {
    let selecting = with(
        manifest(),
        "/spec/template/spec",
        json!({"nodeName": "a", "containers": []}),
    );
    let answer = planned(&selecting, &[pod("a", "r1"), pod("b", "r1")], &[], None);
    assert_eq!(brief(&answer), ["delete d-b"]);
    assert_eq!(
        answer.notes,
        ["the DaemonSet has no uid, so it owns 2 pods whose controller reference names a DaemonSet sys/d"]
    );
    assert_eq!(answer.status.unwrap().current_number_scheduled, 1);
}

#[test]
fn pods_of_another_uid_are_skipped_with_a_note() {
    let other = with(pod("a", "r1"), "/metadata/ownerReferences/0/uid", json!("u-0"));
    let answer = planned(&live(), &[other, pod("b", "r1")], &[], Some("r1"));
    assert_eq!(brief(&answer), ["create a at \"r1\""]);
    assert_eq!(
        answer.notes,
        ["1 pod is skipped, because its controller is a DaemonSet sys/d with another uid"]
    );
}

#[test]
fn a1_a2_pods_are_adopted_and_released_as_the_executor_would() {
    let orphan = with(pod("a", "r1"), "/metadata/ownerReferences", json!([]));
    let isolated = with(pod("b", "r1"), "/metadata/labels/app", json!("isolated"));
    let answer = planned(&live(), &[orphan, isolated], &[], Some("r1"));
    assert_eq!(brief(&answer), ["create b at \"r1\""]);
    let pods = |pods: &[everynode_proto::planner::v1::PodReference]| -> Vec<(String, String)> {
        pods.iter()
            .map(|pod| (pod.pod.clone(), pod.node.clone()))
            .collect()
    };
    let pair = |pod: &str, node: &str| (pod.to_owned(), node.to_owned());
    assert_eq!(pods(&answer.adopt), [pair("d-a", "a")]);
    assert_eq!(pods(&answer.release), [pair("d-b", "b")]);
    let status = answer.status.unwrap();
    assert_eq!((status.current_number_scheduled, status.number_ready), (1, 1));
}

#[test]
fn a4_daemon_set_that_is_being_deleted_adopts_and_plans_nothing() {
    let mut deleting = live();
    deleting["metadata"]["deletionTimestamp"] = json!("2026-11-20T00:00:00Z");
    let orphan = with(pod("a", "r1"), "/metadata/ownerReferences", json!([]));
    let answer = planned(&deleting, &[orphan, pod("b", "r1")], &[], Some("r1"));
    assert_eq!(
        (answer.actions.len(), answer.adopt.len(), answer.status),
        (0, 0, None)
    );
    assert_eq!(answer.notes.len(), 1);
    assert!(answer.notes[0].contains("is being deleted"), "{:?}", answer.notes);
}

#[test]
fn r1_newest_revision_that_holds_the_template_is_current() {
    let revisions = [revision("r1", 1, "x/y:1"), revision("r2", 2, "x/y:2")];
    let pods = [pod("a", "r2"), pod("b", "r1")];
    for daemon_set in [live(), manifest()] {
        let answer = planned(&daemon_set, &pods, &revisions, None);
        assert_eq!(brief(&answer), ["delete d-b"]);
        assert_eq!(answer.problems, []);
        let answer = planned(&daemon_set, &pods[..1], &revisions, None);
        assert_eq!(brief(&answer), ["create b at \"r2\""]);
    }
    let twice = [
        revision("r2", 2, "x/y:2"),
        revision("r3", 3, "x/y:2"),
        revision("r1", 1, "x/y:1"),
    ];
    let answer = planned(&live(), &pods[..1], &twice, None);
    assert_eq!(brief(&answer), ["create b at \"r3\""]);
}

#[test]
fn r1_explicit_revision_wins_over_the_revisions() {
    let revisions = [revision("r1", 1, "x/y:1"), revision("r2", 2, "x/y:2")];
    let answer = planned(&live(), &[pod("a", "r2"), pod("b", "r1")], &revisions, Some("r1"));
    assert_eq!(brief(&answer), ["delete d-a"]);
}

#[test]
fn r1_template_that_no_revision_holds_is_new_and_every_pod_is_old() {
    let revisions = [revision("r1", 1, "x/y:0"), revision("r2", 2, "x/y:1")];
    let mut annotated = live();
    annotated["metadata"]["annotations"] = json!({"deprecated.daemonset.template.generation": "2"});
    let mut pods = [pod("a", "r2"), pod("b", "r2")];
    for pod in &mut pods {
        pod["metadata"]["labels"]["pod-template-generation"] = json!("2");
    }
    for daemon_set in [live(), manifest(), annotated] {
        let answer = planned(&daemon_set, &pods, &revisions, None);
        assert_eq!(brief(&answer), ["delete d-a"], "one at a time");
        assert_eq!(answer.status.unwrap().updated_number_scheduled, 0);
        let note = &answer.notes[0];
        assert!(note.contains("the template is new"), "{note}");
    }
    let answer = planned(&live(), &pods[..1], &revisions, None);
    assert_eq!(brief(&answer), ["create b at \"\""]);
}

#[test]
fn r1_generation_counts_only_with_the_newest_revision() {
    let revisions = [revision("r1", 1, "x/y:2"), revision("r2", 2, "x/y:1")];
    let mut rolled_back = live();
    rolled_back["metadata"]["annotations"] = json!({"deprecated.daemonset.template.generation": "2"});
    let mut old = pod("a", "r2");
    old["metadata"]["labels"]["pod-template-generation"] = json!("2");
    let answer = planned(&rolled_back, &[old, pod("b", "r1")], &revisions, None);
    assert_eq!(brief(&answer), ["delete d-a"]);
}

#[test]
fn revisions_of_other_owners_and_broken_ones_say_nothing() {
    let foreign = with(
        revision("r1", 1, "x/y:1"),
        "/metadata/ownerReferences/0/kind",
        json!("StatefulSet"),
    );
    let elsewhere = with(revision("r1", 1, "x/y:1"), "/metadata/namespace", json!("other"));
    let broken = with(revision("r1", 1, "x/y:1"), "/revision", json!("one"));
    let answer = planned(
        &live(),
        &[pod("a", "r1"), pod("b", "r1")],
        &[foreign, elsewhere, broken],
        None,
    );
    assert_eq!(brief(&answer), [""; 0], "all pods count as current");
    let problems: Vec<_> = answer
        .problems
        .iter()
        .map(|problem| (problem.object.as_str(), problem.code()))
        .collect();
    assert_eq!(
        problems,
        [
            ("controllerrevision sys/d-r1", ProblemCode::Malformed),
            ("daemonset sys/d", ProblemCode::UnknownRevision),
        ]
    );
}

#[test]
fn unknown_revision_is_a_problem_only_if_there_are_pods_to_replace() {
    let mut deleting = live();
    deleting["metadata"]["deletionTimestamp"] = json!("2026-11-02T00:00:00Z");
    for (daemon_set, pods, expected) in [
        (manifest(), vec![], 0),
        (manifest(), vec![pod("a", "r1")], 1),
        (deleting, vec![pod("a", "r1")], 0),
    ] {
        let answer = planned(&daemon_set, &pods, &[], None);
        assert_eq!(answer.problems.len(), expected, "{answer:?}");
    }
}

#[test]
fn pods_of_a_namesake_in_another_namespace_are_mentioned_if_a_manifest_has_no_pods() {
    let elsewhere = with(pod("a", "r1"), "/metadata/namespace", json!("other"));
    let note = "sys/d has no pods, but pods in other namespaces have a DaemonSet of this name as their controller (1); if \
                they belong to it, correct metadata.namespace";
    let answer = planned(&manifest(), std::slice::from_ref(&elsewhere), &[], None);
    assert_eq!(answer.notes, [note]);
    let answer = planned(&live(), std::slice::from_ref(&elsewhere), &[], None);
    assert_eq!(answer.notes, [""; 0]);
    let answer = planned(&manifest(), &[elsewhere, pod("a", "r1")], &[], None);
    assert!(!answer.notes.iter().any(|found| found == note), "{answer:?}");
}
