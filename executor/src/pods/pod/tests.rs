use serde_json::{Value, json};

use super::*;
use crate::testing::{agent, agent_with};

fn toleration(key: &str, effect: &str) -> Toleration {
    Toleration {
        key: key.to_owned(),
        operator: "Exists".to_owned(),
        value: String::new(),
        effect: effect.to_owned(),
    }
}

fn made_from(daemon_set: &DaemonSet, added: &[Toleration]) -> Value {
    let pod = PodBuilder::new(daemon_set, "r1", added)
        .unwrap()
        .build("agent-x", "n1");
    serde_json::from_slice(&pod).unwrap()
}

fn template(template: &Value) -> DaemonSet {
    agent_with(json!({"spec": {"template": template}}))
}

fn template_error(template_json: &Value) -> String {
    PodBuilder::new(&template(template_json), "r1", &[]).unwrap_err()
}

#[test]
fn c1_pod_name_starts_with_the_daemon_sets_name_and_fits_a_hostname() {
    let short = name(&agent(), "n1", "r1", "", 0);
    assert!(short.starts_with("agent-"), "{short}");
    assert_eq!(short.len(), "agent-".len() + SHORT_LENGTH);
    let long = agent_with(json!({"metadata": {"name": "a".repeat(253)}}));
    let long = name(&long, "n1", "r1", "", 0);
    assert_eq!(long.len(), MAX_NAME);
    assert!(long.starts_with(&"a".repeat(MAX_NAME - SHORT_LENGTH)), "{long}");
}

#[test]
fn pod_name_depends_on_uid_node_revision_predecessor_and_attempt() {
    let this = || name(&agent(), "n1", "r1", "uid", 0);
    let others = [
        name(
            &agent_with(json!({"metadata": {"uid": "ds-2"}})),
            "n1",
            "r1",
            "uid",
            0,
        ),
        name(&agent(), "n2", "r1", "uid", 0),
        name(&agent(), "n1", "r2", "uid", 0),
        name(&agent(), "n1", "r1", "another uid", 0),
        name(&agent(), "n1", "r1", "uid", 1),
    ];
    assert_eq!(this(), this());
    for (index, other) in others.iter().enumerate() {
        assert_ne!(*other, this(), "{index}");
    }
}

#[test]
fn parts_of_the_name_are_hashed_separately() {
    assert_ne!(
        name(&agent(), "n1", "1r", "", 0),
        name(&agent(), "n11", "r", "", 0)
    );
}

#[test]
fn c1_metadata_is_generated_and_owned() {
    let pod = made_from(&agent(), &[]);
    assert_eq!(
        pod["metadata"],
        json!({
            "name": "agent-x", "namespace": "default", "generateName": "agent-",
            "labels": {"app": "agent", "controller-revision-hash": "r1"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "ds-1",
                "controller": true, "blockOwnerDeletion": true,
            }],
        })
    );
    assert_eq!((&pod["apiVersion"], &pod["kind"]), (&json!("v1"), &json!("Pod")));
}

#[test]
fn c2_annotations_and_finalizers_of_the_template_are_copied_but_not_its_name() {
    let daemon_set = template(&json!({"metadata": {
        "name": "odd", "namespace": "elsewhere", "annotations": {"a": "b"}, "finalizers": ["x/y"],
    }}));
    let metadata = &made_from(&daemon_set, &[])["metadata"];
    assert_eq!(metadata["annotations"], json!({"a": "b"}));
    assert_eq!(metadata["finalizers"], json!(["x/y"]));
    assert_eq!(metadata["name"], "agent-x");
    assert_eq!(metadata["namespace"], "default");
}

#[test]
fn c2_template_generation_becomes_a_label_only_if_it_is_a_number() {
    let label = |annotation: &str| {
        let annotations = json!({TEMPLATE_GENERATION_ANNOTATION: annotation});
        let daemon_set = agent_with(json!({"metadata": {"annotations": annotations}}));
        made_from(&daemon_set, &[])["metadata"]["labels"][TEMPLATE_GENERATION_LABEL].take()
    };
    assert_eq!(label("7"), "7");
    // A plus sign is allowed in a number, but not in a label.
    assert_eq!(label("+7"), "7");
    assert_eq!(label("seven"), Value::Null);
    assert_eq!(label(""), Value::Null);
    assert_eq!(
        made_from(&agent(), &[])["metadata"]["labels"][TEMPLATE_GENERATION_LABEL],
        Value::Null
    );
}

#[test]
fn c3_required_affinity_is_replaced_by_the_node() {
    let terms = json!([{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]);
    let daemon_set = template(&json!({"spec": {"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
    }}}}));
    let wanted = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
        ],
    }}});
    assert_eq!(made_from(&daemon_set, &[])["spec"]["affinity"], wanted);
    assert_eq!(made_from(&agent(), &[])["spec"]["affinity"], wanted);
    let null = template(&json!({"spec": {"affinity": null}}));
    assert_eq!(made_from(&null, &[])["spec"]["affinity"], wanted);
}

#[test]
fn c3_preferred_affinity_and_pod_affinity_stay() {
    let preferred =
        json!([{"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}]);
    let anti = json!({"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]});
    let daemon_set = template(&json!({"spec": {"affinity": {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred},
        "podAntiAffinity": anti,
    }}}));
    let affinity = &made_from(&daemon_set, &[])["spec"]["affinity"];
    assert_eq!(
        affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"],
        preferred
    );
    assert_eq!(affinity["podAntiAffinity"], anti);
}

#[test]
fn c3_pod_is_left_to_the_scheduler_to_bind() {
    assert_eq!(made_from(&agent(), &[])["spec"]["nodeName"], Value::Null);
}

#[test]
fn c3_added_tolerations_follow_those_of_the_template() {
    let daemon_set = template(&json!({"spec": {"tolerations": [{"key": "gpu", "operator": "Exists"}]}}));
    let pod = made_from(
        &daemon_set,
        &[toleration("a", "NoSchedule"), toleration("b", "NoExecute")],
    );
    assert_eq!(
        pod["spec"]["tolerations"],
        json!([
            {"key": "gpu", "operator": "Exists"},
            {"key": "a", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "b", "operator": "Exists", "effect": "NoExecute"},
        ])
    );
}

#[test]
fn c3_added_toleration_replaces_equal_ones_in_place() {
    let equal = json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    let other = json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"});
    let daemon_set = template(&json!({"spec": {"tolerations": [equal, other, equal]}}));
    let pod = made_from(&daemon_set, &[toleration("a", "NoExecute")]);
    let wanted = json!([{"key": "a", "operator": "Exists", "effect": "NoExecute"}, other]);
    assert_eq!(pod["spec"]["tolerations"], wanted);
}

#[test]
fn c4_unknown_fields_reach_the_pod_unchanged() {
    let spec = json!({
        "hyperdrive": {"warp": 9_007_199_254_740_993_i64, "ratio": 0.25, "on": [true, null, {"deep": []}]},
        "terminationGracePeriodSeconds": i64::MAX,
        "containers": [{"name": "main", "image": "agent:1", "quantum": {"bits": u64::MAX, "empty": {}}}],
    });
    let daemon_set = template(&json!({"spec": spec}));
    let mut pod = made_from(&daemon_set, &[])["spec"].take();
    let fields = pod.as_object_mut().unwrap();
    fields.remove("affinity");
    fields.remove("tolerations");
    assert_eq!(pod, spec);
    let bytes = PodBuilder::new(&daemon_set, "r1", &[])
        .unwrap()
        .build("agent-x", "n1");
    let text = String::from_utf8(bytes).unwrap();
    for number in ["9007199254740993", "9223372036854775807", "18446744073709551615"] {
        assert!(text.contains(number), "{number} in {text}");
    }
}

#[test]
fn malformed_template_is_rejected_with_the_path_of_the_field() {
    let none: DaemonSet = serde_json::from_str("{}").unwrap();
    assert_eq!(
        PodBuilder::new(&none, "r1", &[]).unwrap_err(),
        "spec.template is missing"
    );
    assert_eq!(template_error(&json!("text")), "spec.template is not an object");
    assert_eq!(
        template_error(&json!({"metadata": []})),
        "spec.template.metadata is not an object"
    );
    assert_eq!(
        template_error(&json!({"metadata": {"labels": 1}})),
        "spec.template.metadata.labels is not an object"
    );
    assert_eq!(
        template_error(&json!({"spec": true})),
        "spec.template.spec is not an object"
    );
    assert_eq!(
        template_error(&json!({"spec": {"affinity": "a"}})),
        "spec.template.spec.affinity is not an object"
    );
    let node_affinity = json!({"spec": {"affinity": {"nodeAffinity": []}}});
    assert_eq!(
        template_error(&node_affinity),
        "spec.template.spec.affinity.nodeAffinity is not an object"
    );
    assert_eq!(
        template_error(&json!({"spec": {"tolerations": {}}})),
        "spec.template.spec.tolerations is not a list"
    );
}

#[test]
fn t1_pod_of_an_older_revision_has_its_template_and_no_template_generation() {
    let daemon_set = crate::testing::agent_with(json!({
        "metadata": {"annotations": {"deprecated.daemonset.template.generation": "7"}},
    }));
    let mut stored = crate::testing::old_revision_json("r0", 1);
    stored["data"]["spec"]["template"]["spec"]["futureField"] = json!({"a": 1});
    let stored = crate::testing::revision(&stored);
    let builder = PodBuilder::of_revision(&daemon_set, &stored, "r0", &[]).unwrap();
    let pod: Value = serde_json::from_slice(&builder.build("agent-1", "n1")).unwrap();
    assert_eq!(
        pod["metadata"]["labels"],
        json!({"app": "agent", "controller-revision-hash": "r0"})
    );
    assert_eq!(pod["spec"]["containers"][0]["image"], "agent:r0");
    assert_eq!(pod["spec"]["futureField"], json!({"a": 1}));
    assert!(pod["spec"].get("$patch").is_none() && pod.get("$patch").is_none());
}

#[test]
fn revision_without_a_template_makes_no_pod() {
    let daemon_set = crate::testing::agent();
    let error = PodBuilder::of_revision(&daemon_set, &Revision::default(), "r0", &[]).unwrap_err();
    assert_eq!(error, "data.spec.template is missing");
}
