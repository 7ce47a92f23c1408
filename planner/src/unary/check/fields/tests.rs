use everynode_proto::facts::{RawStruct, raw_struct};
use serde_json::{Value, json};

use super::{
    super::known_fields::{CLUSTER_ROLLOUT_POLICY, DAEMON_SET, NODE, ROLLOUT, ROLLOUT_POLICY, RUNTIME_CLASS},
    *,
};

/// Each problem as `field; hint`.
fn hints(kind: &Kind, object: &Value) -> Vec<String> {
    let object = RawStruct::from(object.as_object().unwrap());
    let items = raw_struct::expand(vec![object]);
    let text = |Problem { field, message, .. }| {
        let hint = message.strip_prefix("there is no such field here, so it is ignored; ");
        format!("{field}; {}", hint.unwrap_or(&message))
    };
    field_problems(&items[0], kind).into_iter().map(text).collect()
}

#[track_caller]
fn check(kind: &Kind, object: &Value, expected: &[&str]) {
    assert_eq!(hints(kind, object), expected, "{object}");
}

fn with_pod_spec(spec: &Value) -> Value {
    json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": spec}}})
}

#[test]
fn misspelled_fields_have_a_suggestion() {
    for (name, known) in [
        ("nodeselector", "nodeSelector"),
        ("node_selector", "nodeSelector"),
        ("NodeSelector", "nodeSelector"),
        ("nodeSelectors", "nodeSelector"),
        ("toleration", "tolerations"),
        ("hostnetwork", "hostNetwork"),
        ("runtimeClass", ""),
    ] {
        let expected = format!("spec.template.spec.{name}; did you mean {known}?");
        let expected = [expected.as_str()];
        let expected = if known.is_empty() { &[][..] } else { &expected };
        check(&DAEMON_SET, &with_pod_spec(&json!({name: "x"})), expected);
    }
    check(
        &DAEMON_SET,
        &json!({
            "Metadata": {},
            "spec": {"strategy": {}, "updateStategy": {}, "selector": {"matchLabel": {}}, "minreadyseconds": 1},
        }),
        &[
            "spec.selector.matchLabel; did you mean matchLabels?",
            "spec.minreadyseconds; did you mean minReadySeconds?",
            "spec.strategy; did you mean updateStrategy?",
            "spec.updateStategy; did you mean updateStrategy?",
            "Metadata; did you mean metadata?",
        ],
    );
}

#[test]
fn fields_in_lists_are_named_with_their_index() {
    let spec = json!({
        "containers": [{"name": "a"}, {"resource": {"requests": {"cpu": "1"}}}, {"resources": {"request": {}}}],
        "tolerations": [{"Key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpression": []}, {"matchExpressions": [{"key": "a", "operater": "Exists"}]},
        ]}}},
    });
    let terms = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    check(
        &DAEMON_SET,
        &with_pod_spec(&spec),
        &[
            &format!("{terms}[0].matchExpression; did you mean matchExpressions?"),
            &format!("{terms}[1].matchExpressions[0].operater; did you mean operator?"),
            "spec.template.spec.containers[1].resource; did you mean resources?",
            "spec.template.spec.containers[2].resources.request; did you mean requests?",
            "spec.template.spec.tolerations[0].Key; did you mean key?",
        ],
    );
}

#[test]
fn misplaced_fields_are_sent_to_their_place() {
    let pod = "spec.template.spec";
    check(
        &DAEMON_SET,
        &with_pod_spec(&json!({
            "nodeAffinity": {},
            "containers": [{"nodeSelector": {}, "requests": {}}],
            "affinity": {"nodeselectorterms": []},
        })),
        &[
            &format!(
                "{pod}.affinity.nodeselectorterms; nodeSelectorTerms belongs in \
                 {pod}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
            ),
            &format!("{pod}.containers[0].nodeSelector; nodeSelector belongs in {pod}"),
            &format!("{pod}.containers[0].requests; requests belongs in {pod}.containers[0].resources"),
            &format!("{pod}.nodeAffinity; nodeAffinity belongs in {pod}.affinity"),
        ],
    );
    check(
        &DAEMON_SET,
        &json!({"labels": {}, "spec": {"maxUnavailable": 1, "tolerations": [], "template": {"labels": {}}}}),
        &[
            "spec.template.labels; labels belongs in spec.template.metadata",
            "spec.maxUnavailable; maxUnavailable belongs in spec.updateStrategy.rollingUpdate",
            "spec.tolerations; tolerations belongs in spec.template.spec",
            "labels; labels belongs in metadata",
        ],
    );
    check(
        &NODE,
        &json!({"taints": [], "spec": {"labels": {}, "capacity": {}, "taint": []}, "allocatable": {}}),
        &[
            "spec.capacity; capacity belongs in status",
            "spec.labels; labels belongs in metadata",
            "spec.taint; did you mean taints?",
            "allocatable; allocatable belongs in status",
            "taints; taints belongs in spec",
        ],
    );
    check(
        &DAEMON_SET,
        &with_pod_spec(&json!({"containers": [{}, {"hostPort": 80}]})),
        &[&format!(
            "{pod}.containers[1].hostPort; hostPort belongs in {pod}.containers[1].ports[]"
        )],
    );
    check(
        &RUNTIME_CLASS,
        &json!({"nodeSelector": {}, "Handler": "kata", "overhead": {"podfixed": {}}, "podFixed": {}}),
        &[
            "overhead.podfixed; did you mean podFixed?",
            "Handler; did you mean handler?",
            "nodeSelector; nodeSelector belongs in scheduling",
            "podFixed; podFixed belongs in overhead",
        ],
    );
}

#[test]
fn fields_of_other_kinds_have_a_hint() {
    check(
        &DAEMON_SET,
        &json!({"spec": {"replicas": 3}}),
        &["spec.replicas; a DaemonSet runs one pod on each node that fits"],
    );
    let required = json!({"nodeSelectorTerms": [{"matchLabels": {"disk": "ssd"}}]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
    let terms = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    check(
        &DAEMON_SET,
        &with_pod_spec(&json!({"affinity": affinity})),
        &[&format!("{terms}[0].matchLabels; did you mean matchExpressions?")],
    );
}

#[test]
fn fields_of_later_versions_are_no_problems() {
    check(
        &DAEMON_SET,
        &json!({
            "spec": {"podManagementPolicy": "Parallel", "template": {"spec": {
                "podGroup": "a",
                "hostPIDs": true,
                "hostPID": true,
                "containers": [{"imageVolume": {}, "gpu": 1, "fooBar": null}],
                "tolerations": [{"key": "a", "matchPolicy": "All"}],
            }}},
            "metadata": {"annotations": {"nodeselector": "x"}, "labels": {"Spec": "x"}},
            "status": {"Conditions": []},
        }),
        &[],
    );
    check(
        &NODE,
        &json!({"spec": {"maintenance": true}, "status": {"swap": {}, "images": [{"Names": []}]}}),
        &[],
    );
}

#[test]
fn odd_values_and_many_fields_are_walked_through() {
    for odd in [
        json!(null),
        json!(1),
        json!(1.5),
        json!("x"),
        json!(true),
        json!([[]]),
        json!({}),
    ] {
        let metadata = "metadata; must be an object, found a list";
        let of_root = hints(&DAEMON_SET, &json!({"metadata": [odd], "spec": odd}));
        let is_object = odd.is_null() || odd.is_object();
        assert_eq!(of_root[0], metadata);
        assert_eq!(of_root.len(), if is_object { 1 } else { 2 }, "{of_root:?}");
        let of_pod = hints(
            &DAEMON_SET,
            &with_pod_spec(&json!({"containers": odd, "affinity": odd})),
        );
        assert_eq!(of_pod.is_empty(), odd.is_null(), "{of_pod:?}");
    }
    let many: serde_json::Map<_, _> = (0..1_000)
        .map(|number| (format!("nodeselector{}", "_".repeat(number)), json!(1)))
        .collect();
    let found = hints(&DAEMON_SET, &with_pod_spec(&json!(many)));
    assert!((1..=MAX_UNKNOWN).contains(&found.len()), "{}", found.len());
}

#[test]
fn values_of_a_wrong_type_are_problems() {
    let spec = json!({
        "hostNetwork": "true",
        "priorityClassName": ["a"],
        "terminationGracePeriodSeconds": "30",
        "initContainers": {"name": "a"},
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": "1", "preference": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["a", 1]}]}},
        ]}},
        "containers": [null, {
            "args": ["a", 1],
            "env": [{"name": "A", "value": true}, {"name": "B", "value": null}],
            "imagePullPolicy": "ifNotPresent",
            "ports": [{"containerPort": 80, "hostPort": "80", "protocol": "tcp"}, {"hostPort": 70_000}],
        }],
    });
    let pod = "spec.template.spec";
    let preferred = format!("{pod}.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]");
    let port = "must be a whole number from 1 to 65535";
    check(
        &DAEMON_SET,
        &with_pod_spec(&spec),
        &[
            &format!("{preferred}.preference.matchExpressions[0].values[1]; must be text in quotes, found 1"),
            &format!("{preferred}.weight; must be a whole number, without quotes; found \"1\""),
            &format!("{pod}.containers[1].args[1]; must be text in quotes, found 1"),
            &format!("{pod}.containers[1].env[0].value; must be text in quotes, found true"),
            &format!(
                "{pod}.containers[1].imagePullPolicy; \"ifNotPresent\" is not a value of this field; did you mean \
                 IfNotPresent?"
            ),
            &format!("{pod}.containers[1].ports[0].hostPort; {port}, without quotes; found \"80\""),
            &format!(
                "{pod}.containers[1].ports[0].protocol; \"tcp\" is not a value of this field; did you mean TCP?"
            ),
            &format!("{pod}.containers[1].ports[1].hostPort; {port}, found 70000"),
            &format!("{pod}.hostNetwork; must be true or false, without quotes; found \"true\""),
            &format!("{pod}.initContainers; must be a list, found an object"),
            &format!("{pod}.priorityClassName; must be text, found a list"),
            &format!(
                "{pod}.terminationGracePeriodSeconds; must be a whole number, without quotes; found \"30\""
            ),
        ],
    );
    check(
        &NODE,
        &json!({
            "metadata": {"annotations": {"example.com/a": 1, "b": null}},
            "spec": {"unschedulable": "yes"},
            "status": {"capacity": []},
        }),
        &[
            "metadata.annotations[example.com/a]; must be text in quotes, found 1",
            "spec.unschedulable; must be true or false, found \"yes\"",
            "status.capacity; must be an object, found a list",
        ],
    );
    let many = json!({"spec": {"taints": vec!["a"; 1_000]}});
    assert_eq!(hints(&NODE, &many).len(), MAX_VALUES);
}

#[test]
fn amounts_and_names_of_resources_are_checked() {
    let requests = json!({
        "CPU": 1, "cpu": "100m ", "gpu": 1, "hugepages-2Mi": "2Mi", "memory": "512MB", "nvidia.com/gpu": null,
    });
    let resources = "spec.template.spec.containers[0].resources";
    check(
        &DAEMON_SET,
        &with_pod_spec(&json!({"containers": [{"resources": {"limits": [], "requests": requests}}]})),
        &[
            &format!("{resources}.limits; must be an object, found a list"),
            &format!("{resources}.requests.CPU; there is no such resource; did you mean cpu?"),
            &format!(
                "{resources}.requests.gpu; there is no such resource; a resource of a device plugin has a prefix, such \
                 as example.com/"
            ),
            &format!(
                "{resources}.requests.memory; \"512MB\" is not a quantity such as 100m, 1.5, 2e3 or 512Mi"
            ),
        ],
    );
    check(
        &DAEMON_SET,
        &with_pod_spec(&json!({"containers": [{"resources": {"cpu": 1}}]})),
        &[&format!("{resources}.cpu; amounts belong in requests or limits")],
    );
    check(
        &NODE,
        &json!({"status": {"allocatable": {"cpu": -1, "memory": 0.5, "pods": true, "widgets": 1}}}),
        &[
            "status.allocatable.cpu; must not be negative, found -1",
            "status.allocatable.pods; must be a quantity such as 100m or 1Gi, found true",
        ],
    );
}

#[test]
fn labels_directly_in_a_selector_are_sent_to_match_labels() {
    check(
        &DAEMON_SET,
        &json!({"spec": {"selector": {"app": "agent"}}}),
        &["spec.selector.app; labels belong in spec.selector.matchLabels"],
    );
}

#[test]
fn fields_of_rollout_policies_are_checked() {
    check(
        &ROLLOUT_POLICY,
        &json!({"metadata": {"name": "a"}, "spec": {
            "targetRef": {"name": "agent"},
            "maxUnavailabe": 1,
            "paused": "true",
            "topologyKey": "zone",
            "stages": [
                {"name": "a", "node": 2, "nodeSelector": {"pool": "canary"}},
                {"name": "b", "soaks": "5m", "promotion": "manual", "nodeSelector": {"matchLabels": {"a": 1}}},
            ],
        }}),
        &[
            "spec.paused; must be true or false, without quotes; found \"true\"",
            "spec.stages[0].nodeSelector.pool; labels belong in nodeSelector.matchLabels",
            "spec.stages[0].node; did you mean nodes?",
            "spec.stages[1].nodeSelector.matchLabels.a; must be text in quotes, found 1",
            "spec.stages[1].promotion; \"manual\" is not a value of this field; did you mean Manual?",
            "spec.stages[1].soaks; did you mean soak?",
            "spec.maxUnavailabe; did you mean maxUnavailable?",
            "spec.targetRef; did you mean targetRefs?",
            "spec.topologyKey; topologyKey belongs in spec.stages[]",
        ],
    );
    check(
        &CLUSTER_ROLLOUT_POLICY,
        &json!({"spec": {"targetRefs": [], "namespaceselector": {}}}),
        &[
            "spec.namespaceselector; did you mean namespaceSelector?",
            "spec.targetRefs; a ClusterDaemonSetRolloutPolicy selects DaemonSets by their labels; use selector",
        ],
    );
    check(
        &ROLLOUT,
        &json!({"spec": {"pause": true, "promote": {"rollout": "7", "name": "canary"}, "stages": []}}),
        &[
            "spec.promote.rollout; must be a whole number, without quotes; found \"7\"",
            "spec.pause; did you mean paused?",
            "spec.stages; a rollout policy has the stages",
        ],
    );
}
