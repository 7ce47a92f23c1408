//! Inputs of the largest size that a call may hold take time in proportion to their size. Each of these inputs would
//! take minutes if all its parts were compared with each other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use everynode_planner::{
    decide::{
        demand::demand,
        placement::Placement,
        runtime_class::ClassConditions,
        simulate::{Candidate, simulate},
    },
    model::{
        Container, DaemonSet, Demand, HostPort, Labels, Millis, Node, NodeTemplate, PodTemplate, Quantity,
        Requirement, Requirements, Resources, RuntimeClass, Strategy, Taint, Term, Text, Toleration, Verdict,
        Workload,
    },
};

/// A generous limit for work that takes well under a second.
const SOON: Duration = Duration::from_secs(20);
const MANY: usize = 100_000;

fn text(prefix: &str, number: usize) -> Text {
    format!("{prefix}{number}").into()
}

fn daemon_set(template: PodTemplate) -> DaemonSet {
    DaemonSet {
        namespace: "default".into(),
        name: "agent".into(),
        uid: "uid".into(),
        generation: 1,
        selects_everything: false,
        lacks_selector: false,
        deleting: false,
        template,
        strategy: Strategy::OnDelete,
        on_delete_max_unavailable: None,
        min_ready_millis: Millis::default().0,
        update_revision: "r1".into(),
        template_generation: None,
        equal_revisions: Vec::new(),
        labels: Labels::default(),
        revisions: Vec::new(),
        managed_by: Text::default(),
        is_rollout_held: false,
    }
}

fn node(labels: usize, taints: usize) -> Node {
    let taint = |number| Taint {
        key: text("taint-", number),
        value: "value".into(),
        effect: "NoExecute".into(),
    };
    Node {
        name: "node".into(),
        labels: (0..labels)
            .map(|number| (text("label-", number), "value".into()))
            .collect(),
        taints: (0..taints).map(taint).collect(),
        created: Millis::default(),
        is_ready: None,
    }
}

#[track_caller]
fn check_soon<T>(work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    assert!(begun.elapsed() < SOON, "it took {:?}", begun.elapsed());
    done
}

#[test]
fn many_tolerations_are_looked_up_for_many_taints() {
    let toleration = |number| Toleration {
        key: text("taint-", number),
        operator: "Equal".into(),
        value: "value".into(),
        effect: "NoExecute".into(),
    };
    let template = PodTemplate {
        tolerations: (1..MANY).map(toleration).collect(),
        ..PodTemplate::default()
    };
    let daemon_set = daemon_set(template);
    let (tainted, tolerated) = (node(0, MANY), node(0, 0));
    let reasons = check_soon(|| {
        let placement = Placement::new(&daemon_set);
        assert_eq!(placement.verdict(&tolerated), Verdict::Run);
        assert_eq!(placement.verdict(&tainted), Verdict::Exclude);
        placement.explain(&tainted)
    });
    assert_eq!(reasons.len(), 1, "all but one of the taints are tolerated");
}

#[test]
fn many_tolerations_of_a_runtime_class_are_looked_up_for_many_taints() {
    let toleration = |number| Toleration {
        key: text("taint-", number),
        operator: "Exists".into(),
        value: Text::default(),
        effect: "NoExecute".into(),
    };
    let class = RuntimeClass {
        name: "kata".into(),
        overhead: Resources::default(),
        node_selector: Labels::default(),
        tolerations: (1..MANY).map(toleration).collect(),
    };
    let (placement, tainted) = (Placement::new(&daemon_set(PodTemplate::default())), node(0, MANY));
    let reasons = check_soon(|| {
        let mut reasons = placement.explain(&tainted);
        let class = ClassConditions::new(&class).unwrap();
        class.explain(&tainted, Verdict::Exclude, &mut reasons);
        reasons
    });
    let tolerated = reasons
        .iter()
        .filter(|reason| reason.message.contains("RuntimeClass"));
    assert_eq!(tolerated.count(), MANY - 1);
}

#[test]
fn many_terms_and_many_values_are_looked_up_in_many_labels() {
    let term = |number| Term {
        expressions: vec![
            Requirement {
                key: text("label-", number),
                operator: "Exists".into(),
                values: Vec::new(),
            },
            Requirement {
                key: text("absent-", number),
                operator: "Exists".into(),
                values: Vec::new(),
            },
        ],
        fields: Vec::new(),
    };
    let values = (0..MANY).map(|number| text("value-", number)).collect();
    let any_of_many = Term {
        expressions: vec![Requirement {
            key: "label-0".into(),
            operator: "NotIn".into(),
            values,
        }],
        fields: Vec::new(),
    };
    let template = PodTemplate {
        required_terms: Some((0..MANY).map(term).chain([any_of_many]).collect()),
        node_selector: (0..MANY)
            .map(|number| (text("label-", number), "value".into()))
            .collect::<Labels>(),
        ..PodTemplate::default()
    };
    let (daemon_set, node) = (daemon_set(template), node(MANY, 0));
    let verdict = check_soon(|| {
        let placement = Placement::new(&daemon_set);
        placement.verdict(&node)
    });
    assert_eq!(verdict, Verdict::Run);
}

#[test]
fn many_unknown_labels_are_looked_up_for_many_requirements() {
    let template = PodTemplate {
        node_selector: (0..MANY)
            .map(|number| (text("unknown-", number), "value".into()))
            .collect(),
        ..PodTemplate::default()
    };
    let candidate = Candidate {
        placement: Placement::new(&daemon_set(template)),
        demand: Demand::default(),
        class: None,
    };
    let template = NodeTemplate {
        node: node(0, 0),
        unknown_labels: Arc::new((0..MANY).map(|number| text("unknown-", number)).collect()),
        capacity: Resources::default(),
    };
    let simulation = check_soon(|| simulate(&[candidate], &template));
    assert_eq!(simulation.undecided[0].labels.len(), MANY);
}

#[test]
fn many_addresses_of_one_port_are_grouped() {
    let port = |number| HostPort {
        port: 80,
        protocol: "TCP".into(),
        ip: text("10.", number),
    };
    let candidate = |ports: Vec<HostPort>| Candidate {
        placement: Placement::new(&daemon_set(PodTemplate::default())),
        demand: Demand {
            requests: Resources::default(),
            host_ports: ports,
        },
        class: None,
    };
    let template = NodeTemplate {
        node: node(0, 0),
        unknown_labels: Arc::default(),
        capacity: Resources::default(),
    };
    let candidates = [
        candidate((0..MANY).map(port).collect()),
        candidate(vec![port(MANY), port(7)]),
    ];
    let simulation = check_soon(|| simulate(&candidates, &template));
    assert_eq!(simulation.host_ports.len(), MANY + 1);
    assert_eq!(simulation.conflicts.len(), 1);
}

#[test]
fn many_containers_of_many_resources_add_up() {
    let container = |prefix: &str, number| Container {
        resources: Requirements {
            requests: [(text(prefix, number), Quantity::ONE)].into_iter().collect(),
            limits: Resources::default(),
        },
        is_sidecar: prefix == "sidecar-",
        host_ports: Vec::new(),
    };
    let workload = Workload {
        init_containers: (0..MANY)
            .flat_map(|number| [container("sidecar-", number), container("init-", number)])
            .collect(),
        containers: (0..MANY)
            .map(|number| container("main-", MANY - number))
            .collect(),
        ..Workload::default()
    };
    let demand = check_soon(|| demand(&workload));
    assert_eq!(demand.requests.iter().count(), 3 * MANY + 1);
    assert_eq!(demand.requests.get("init-7").unwrap(), Quantity::ONE);
}
