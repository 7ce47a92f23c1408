//! What the API server would refuse is a problem of the answer, which covers the object nevertheless.

use everynode_proto::planner::v1::{
    NodeTemplate, PlanRequest, Problem, ProblemCode, ReasonCode, SimulateNodesRequest, Taint, Verdict,
};
use everynode_serving::serve::Work;
use serde_json::{Value, json};
use tonic_types::StatusExt;

use super::{
    super::{plan, simulate_nodes},
    objects::{daemon_set, explained, fields, node, raw_structs, simulated, verdicts},
};

#[test]
fn refused_values_of_a_daemon_set_are_problems_and_verdicts_are_given() {
    let mut odd = daemon_set(
        "odd",
        &json!({
            "nodeSelector": {"node-role/kubernetes.io/worker": ""},
            "nodeAffinity": {},
            "tolerations": [{"key": "a", "operator": "exists"}],
        }),
    );
    odd["spec"]["selector"] = json!({"matchLabels": {"app": "other"}});
    odd["spec"]["updateStrategy"] = json!({"type": "Recreate"});
    let fine = daemon_set("fine", &json!({}));
    let answer = explained(&[odd, fine], &[node("n", &json!({}), &json!([]))], &[]);
    assert_eq!(verdicts(&answer), [Verdict::Exclude, Verdict::Run]);
    let name = "daemonset sys/odd";
    assert_eq!(
        fields(&answer.problems),
        [
            (name, "spec.template.spec.nodeAffinity"),
            (name, "spec.selector"),
            (name, "spec.updateStrategy.type"),
            (name, "spec.template.spec.nodeSelector"),
            (name, "spec.template.spec.tolerations[0].operator"),
        ]
    );
    assert!(
        answer
            .problems
            .iter()
            .all(|problem| problem.code() == ProblemCode::Invalid)
    );
}

#[test]
fn negative_min_ready_seconds_is_a_problem_and_counts_as_0() {
    let mut negative = daemon_set("a", &json!({}));
    negative["spec"]["minReadySeconds"] = json!(-1);
    let nodes = [node("n", &json!({}), &json!([]))];
    let answer = explained(std::slice::from_ref(&negative), &nodes, &[]);
    assert_eq!(verdicts(&answer), [Verdict::Run]);
    let expected = [("daemonset sys/a", "spec.minReadySeconds")];
    assert_eq!(fields(&answer.problems), expected);
    let request = PlanRequest {
        daemon_set: raw_structs(&[negative]).pop(),
        nodes: raw_structs(&nodes),
        update_revision: Some("r1".to_owned()),
        ..PlanRequest::default()
    };
    let answer = plan(request, &Work::unbounded()).unwrap();
    assert_eq!(answer.actions.len(), 1);
    assert_eq!(fields(&answer.problems), expected);
}

#[test]
fn last_object_of_a_name_counts_once() {
    let agents = [
        daemon_set("agent", &json!({"nodeSelector": {"disk": "ssd"}})),
        daemon_set("agent", &json!({})),
    ];
    let taints = json!([{"key": "a", "effect": "NoSchedule"}]);
    let nodes = [node("n", &json!({}), &taints), node("n", &json!({}), &json!([]))];
    let twice = [
        ("node n", "metadata.name"),
        ("daemonset sys/agent", "metadata.name"),
    ];
    let answer = explained(&agents, &nodes, &[]);
    assert_eq!(verdicts(&answer), [Verdict::Run]);
    assert_eq!(fields(&answer.problems), twice);
    let answer = simulated(&agents, &nodes[1..], &[], &[]);
    assert_eq!(answer.nodes[0].daemon_sets, ["sys/agent"]);
    assert_eq!(fields(&answer.problems), twice[1..]);
    let request = PlanRequest {
        daemon_set: raw_structs(&agents[1..]).pop(),
        nodes: raw_structs(&nodes),
        update_revision: Some("r1".to_owned()),
        ..PlanRequest::default()
    };
    let answer = plan(request, &Work::unbounded()).unwrap();
    assert_eq!(answer.actions.len(), 1);
    assert_eq!(fields(&answer.problems), twice[..1]);
}

#[test]
fn missing_selector_is_called_missing() {
    for selector in [None, Some(Value::Null)] {
        let mut object = daemon_set("a", &json!({}));
        let spec = object["spec"].as_object_mut().unwrap();
        spec.remove("selector");
        spec.extend(selector.map(|selector| ("selector".to_owned(), selector)));
        let answer = explained(&[object], &[node("n", &json!({}), &json!([]))], &[]);
        assert_eq!(verdicts(&answer), [Verdict::Exclude]);
        let [problem] = answer.problems.as_slice() else {
            panic!("{:?}", answer.problems)
        };
        assert_eq!(problem.code(), ProblemCode::SelectsEverything);
        assert!(problem.message.starts_with("it is missing"), "{problem:?}");
    }
}

#[test]
fn labels_of_a_template_that_cannot_be_read_are_a_problem() {
    let mut object = daemon_set("a", &json!({}));
    object["spec"]["template"]["metadata"]["labels"]["port"] = json!({});
    let answer = explained(&[object], &[node("n", &json!({}), &json!([]))], &[]);
    assert_eq!(verdicts(&answer), [Verdict::Run]);
    assert_eq!(
        fields(&answer.problems),
        [("daemonset sys/a", "spec.template.metadata.labels.port")]
    );
}

#[test]
fn unknown_effects_are_problems_of_the_node_wherever_nodes_are_read() {
    let nodes = [
        node("gke", &json!({}), &json!([{"key": "a", "effect": "NO_SCHEDULE"}])),
        node(
            "soft",
            &json!({}),
            &json!([{"key": "a", "effect": "PreferNoSchedule"}]),
        ),
        node(
            "empty",
            &json!({}),
            &json!([{"key": "", "effect": "NoExecute"}, {"key": "a"}]),
        ),
    ];
    let expected = [
        ("node gke", "spec.taints[0].effect"),
        ("node empty", "spec.taints[0].key"),
        ("node empty", "spec.taints[1].effect"),
    ];
    let agent = daemon_set("agent", &json!({}));
    let answer = explained(std::slice::from_ref(&agent), &nodes, &[]);
    assert_eq!(fields(&answer.problems), expected);
    // In the order of the names: empty, gke, soft.
    assert_eq!(verdicts(&answer), [Verdict::Exclude, Verdict::Run, Verdict::Run]);
    assert!(answer.problems[0].message.ends_with("did you mean NoSchedule?"));
    let answer = simulated(std::slice::from_ref(&agent), &nodes, &[], &[]);
    assert_eq!(fields(&answer.problems), expected);
    assert_eq!(answer.nodes.len(), 3);
    let request = PlanRequest {
        daemon_set: raw_structs(std::slice::from_ref(&agent)).pop(),
        nodes: raw_structs(&nodes),
        update_revision: Some("r1".to_owned()),
        ..PlanRequest::default()
    };
    let answer = plan(request, &Work::unbounded()).unwrap();
    assert_eq!(fields(&answer.problems), expected);
    let request = SimulateNodesRequest {
        daemon_sets: raw_structs(&[agent]),
        node_templates: vec![NodeTemplate {
            name: "small".to_owned(),
            taints: vec![Taint {
                key: "a".to_owned(),
                value: String::new(),
                effect: "NO_EXECUTE".to_owned(),
            }],
            ..NodeTemplate::default()
        }],
        ..SimulateNodesRequest::default()
    };
    let answer = simulate_nodes(request, &Work::unbounded()).unwrap();
    assert_eq!(
        fields(&answer.problems),
        [("node template small", "taints[0].effect")]
    );
    assert_eq!(answer.nodes.len(), 1);
}

#[test]
fn misspelled_and_misplaced_fields_of_nodes_are_problems() {
    let object =
        json!({"kind": "Node", "metadata": {"name": "n"}, "taints": [], "spec": {"Unschedulable": true}});
    let answer = explained(&[daemon_set("a", &json!({}))], &[object], &[]);
    assert_eq!(
        fields(&answer.problems),
        [("node n", "spec.Unschedulable"), ("node n", "taints")]
    );
}

#[test]
fn a4_daemon_set_that_is_being_deleted_runs_nowhere() {
    let mut going = daemon_set(
        "going",
        &json!({"containers": [{"resources": {"requests": {"cpu": "1"}}}]}),
    );
    going["metadata"]["deletionTimestamp"] = json!("2026-11-20T00:00:00Z");
    let objects = [going, daemon_set("stays", &json!({}))];
    let nodes = [node("n", &json!({}), &json!([]))];
    let answer = explained(&objects, &nodes, &[]);
    assert_eq!(verdicts(&answer), [Verdict::Exclude, Verdict::Run]);
    assert_eq!(answer.verdicts[0].reasons[0].code(), ReasonCode::BeingDeleted);
    assert_eq!(answer.problems, []);
    let answer = simulated(&objects, &nodes, &[], &[]);
    assert_eq!(answer.nodes[0].daemon_sets, ["sys/stays"]);
    assert_eq!(answer.problems, []);
}

#[test]
fn unknown_labels_change_nothing_else() {
    let objects = [daemon_set(
        "d",
        &json!({"containers": [{"resources": {"requests": {"cpu": "100m"}}}]}),
    )];
    let nodes = [
        json!({"metadata": {"name": "good"}, "status": {"allocatable": {"cpu": "2", "pods": "9"}}}),
        json!({"metadata": {"name": "fresh"}, "status": {"allocatable": {}, "capacity": {"cpu": "50m", "pods": "9"}}}),
        json!({"metadata": {"name": "broken", "labels": {"gen": []}}}),
    ];
    for unknown in [&[][..], &["zone"]] {
        let answer = simulated(&objects, &nodes, &[], unknown);
        let exceeded = answer.nodes.iter();
        let exceeded = exceeded.map(|node| (node.node_template.as_str(), node.exceeded.len()));
        assert_eq!(exceeded.collect::<Vec<_>>(), [("good", 0), ("fresh", 1)]);
        assert_eq!(fields(&answer.problems), [("node broken", "metadata.labels.gen")]);
    }
}

#[test]
fn values_of_unknown_labels_do_not_count() {
    let objects = [daemon_set("zonal", &json!({"nodeSelector": {"zone": "a"}}))];
    let nodes = [node("n", &json!({"zone": "a", "disk": "ssd"}), &json!([]))];
    let answer = simulated(&objects, &nodes, &[], &["zone", "other"]);
    assert_eq!(answer.nodes[0].daemon_sets, [""; 0]);
    assert_eq!(answer.nodes[0].undecided[0].unknown_labels, ["zone"]);
    let answer = simulated(&objects, &nodes, &[], &["disk"]);
    assert_eq!(answer.nodes[0].daemon_sets, ["sys/zonal"]);
}

#[test]
fn refused_requests_name_the_object_and_its_own_field() {
    let odd = daemon_set("a", &json!({"tolerations": [{"key": []}]}));
    let request = PlanRequest {
        daemon_set: raw_structs(&[odd]).pop(),
        ..PlanRequest::default()
    };
    let status = plan(request, &Work::unbounded()).unwrap_err();
    let field = "spec.template.spec.tolerations[0].key";
    let begin = format!("daemonset sys/a: {field}: must be ");
    assert!(status.message().starts_with(&begin), "{status}");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, format!("daemon_set.{field}"));
    let template = |name: &str| NodeTemplate {
        name: name.to_owned(),
        capacity: [("cpu".to_owned(), "-1".to_owned())].into(),
        ..NodeTemplate::default()
    };
    for (templates, message, field) in [
        (
            vec![template("small")],
            "node template small: capacity.cpu: must not be negative, found -1",
            "node_templates[0].capacity.cpu",
        ),
        (
            vec![NodeTemplate::default()],
            "the 1st node template: name: must not be empty",
            "node_templates[0].name",
        ),
    ] {
        let request = SimulateNodesRequest {
            daemon_sets: raw_structs(&[daemon_set("a", &json!({}))]),
            node_templates: templates,
            ..SimulateNodesRequest::default()
        };
        let status = simulate_nodes(request, &Work::unbounded()).unwrap_err();
        assert_eq!(status.message(), message);
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, field);
    }
}

#[test]
fn objects_without_a_name_are_named_by_their_position() {
    let nodes = [node("n", &json!({}), &json!([])), json!({"kind": "Node"})];
    let objects = [daemon_set("a", &json!({})), json!({"kind": "DaemonSet"})];
    let answer = explained(&objects, &nodes, &[json!({"kind": "RuntimeClass"})]);
    assert_eq!(
        fields(&answer.problems),
        [
            ("the 2nd Node", "metadata.name"),
            ("the 1st RuntimeClass", "metadata.name"),
            ("the 2nd DaemonSet", "metadata.name"),
        ]
    );
}

#[test]
fn amounts_that_cannot_be_read_are_one_problem_wherever_they_are() {
    let requests = json!({"containers": [{"resources": {"requests": {"cpu": "much"}}}]});
    let mut broken = daemon_set("broken", &requests);
    broken["metadata"].as_object_mut().unwrap().remove("namespace");
    let objects = [broken, daemon_set("fine", &json!({}))];
    let nodes = [
        json!({"kind": "Node", "metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4 cores"}}}),
        node("m", &json!({}), &json!([])),
    ];
    let field = "spec.template.spec.containers[0].resources.requests.cpu";
    let answer = explained(&objects, &nodes, &[]);
    assert_eq!(answer.verdicts.len(), 4);
    assert_eq!(
        fields(&answer.problems),
        [
            ("node n", "status.allocatable.cpu"),
            ("daemonset default/broken", field)
        ]
    );
    let answer = simulated(&objects, &nodes, &[], &[]);
    assert_eq!(answer.nodes.len(), 1);
    let found: Vec<_> = answer
        .problems
        .iter()
        .map(|problem| problem.field.as_str())
        .collect();
    assert_eq!(found, ["status.allocatable.cpu", field]);
    let malformed = |problem: &Problem| problem.code() == ProblemCode::Malformed;
    assert!(answer.problems.iter().all(malformed));
}

#[test]
fn names_that_no_cluster_accepts_are_problems() {
    let mut object = daemon_set("Agent", &json!({}));
    object["metadata"]["namespace"] = json!("kube.system");
    let answer = explained(&[object], &[node("N_1", &json!({}), &json!([]))], &[]);
    let name = "daemonset kube.system/Agent";
    assert_eq!(
        fields(&answer.problems),
        [
            ("node N_1", "metadata.name"),
            (name, "metadata.name"),
            (name, "metadata.namespace"),
        ]
    );
    assert_eq!(verdicts(&answer), [Verdict::Run]);
}
