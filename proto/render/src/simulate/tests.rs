use everynode_proto::planner::v1::{HostPortConflict, Unbound, Undecided};

use super::*;
use crate::testing::resources;

fn port(port: u32) -> HostPort {
    HostPort {
        ip: String::new(),
        protocol: "TCP".to_owned(),
        port,
    }
}

fn answer() -> SimulateNodesResponse {
    let demand = |name: &str, cpu: &str, memory: &str| DaemonSetDemand {
        daemon_set: name.to_owned(),
        requests: resources([("cpu", cpu), ("memory", memory), ("pods", "1")]),
        host_ports: vec![port(9100)],
    };
    SimulateNodesResponse {
        daemon_sets: vec![
            demand("default/a", "100m", "1Gi"),
            demand("default/b", "1", "3Gi"),
            demand("default/elsewhere", "9", "9Gi"),
        ],
        nodes: vec![NodeSimulation {
            node_template: "small".to_owned(),
            daemon_sets: vec!["default/a".to_owned(), "default/b".to_owned()],
            requests: resources([("cpu", "1100m"), ("memory", "4Gi"), ("pods", "2")]),
            host_ports: vec![port(9100)],
            conflicts: vec![HostPortConflict {
                host_port: Some(port(9100)),
                daemon_sets: vec!["default/a".to_owned(), "default/b".to_owned()],
            }],
            left: resources([("cpu", "900m"), ("memory", "-1Gi"), ("pods", "108")]),
            exceeded: vec!["memory".to_owned()],
            undecided: vec![Undecided {
                daemon_set: "default/c".to_owned(),
                unknown_labels: vec!["zone".to_owned()],
                message: "runs if and only if the node has zone=a".to_owned(),
            }],
            unbound: Vec::new(),
        }],
        problems: Vec::new(),
    }
}

fn capacities() -> Capacities {
    let capacity = resources([
        ("cpu", "2"),
        ("memory", "3Gi"),
        ("pods", "110"),
        ("example.com/gpu", "1"),
    ]);
    vec![("small".to_owned(), capacity)]
}

#[test]
fn template_has_a_table_with_sums_and_its_faults_below() {
    assert_eq!(
        table(&answer(), &capacities(), SortBy::Name, TableStyle::default()),
        "\
Node template small
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   100m    1Gi      1      9100/TCP
default/b   1       3Gi      1      9100/TCP
requested   1100m   4Gi      2
percent     55%     133%     1%
capacity    2       3Gi      110
left        900m    -1Gi     108
exceeded: memory
conflict: host port 9100/TCP is requested by default/a, default/b
undecided: default/c: runs if and only if the node has zone=a
"
    );
    assert!(!is_as_desired(&answer()));
}

#[test]
fn wide_table_has_every_resource_of_the_node() {
    let style = TableStyle {
        is_wide: true,
        ..TableStyle::default()
    };
    let text = table(&answer(), &capacities(), SortBy::Name, style);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[1],
        "DAEMONSET   CPU     MEMORY   EXAMPLE.COM/GPU   PODS   HOST PORTS"
    );
    assert_eq!(lines[6], "capacity    2       3Gi      1                 110");
}

#[test]
fn template_without_capacity_has_no_row_for_what_is_left() {
    let mut answer = answer();
    answer.nodes[0].left.clear();
    answer.nodes[0].exceeded.clear();
    answer.nodes[0].conflicts.clear();
    answer.nodes[0].undecided.clear();
    assert_eq!(
        table(&answer, &[], SortBy::Name, TableStyle::default()),
        "\
Node template small
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   100m    1Gi      1      9100/TCP
default/b   1       3Gi      1      9100/TCP
requested   1100m   4Gi      2
"
    );
    assert!(is_as_desired(&answer));
}

#[test]
fn empty_template_is_described_by_whether_every_daemonset_could_be_read() {
    let mut answer = SimulateNodesResponse {
        nodes: vec![NodeSimulation {
            node_template: "empty".to_owned(),
            ..NodeSimulation::default()
        }],
        ..SimulateNodesResponse::default()
    };
    let text = |answer: &SimulateNodesResponse| table(answer, &[], SortBy::Name, TableStyle::default());
    assert_eq!(
        text(&answer),
        "Node template empty\nNo DaemonSet would run on this node.\n"
    );
    answer.problems.push(Problem {
        code: ProblemCode::Malformed.into(),
        ..Problem::default()
    });
    assert_eq!(
        text(&answer),
        "Node template empty\nNone of the DaemonSets that could be read would run on this node.\n"
    );
}

#[test]
fn templates_of_one_name_have_their_own_capacities() {
    let node = |left: &str| NodeSimulation {
        node_template: "w".to_owned(),
        daemon_sets: vec!["default/a".to_owned()],
        requests: resources([("cpu", "100m")]),
        left: resources([("cpu", left)]),
        ..NodeSimulation::default()
    };
    let capacity = |cpu: &str| ("w".to_owned(), resources([("cpu", cpu)]));
    let answer = |nodes: Vec<NodeSimulation>| SimulateNodesResponse {
        nodes,
        ..SimulateNodesResponse::default()
    };
    let found = |answer: &SimulateNodesResponse| -> Vec<_> {
        let capacities = [capacity("2"), capacity("8")];
        let nodes = nodes(answer, &capacities);
        nodes.iter().map(|node| node.capacity["cpu"].clone()).collect()
    };
    assert_eq!(found(&answer(vec![node("1900m"), node("7900m")])), ["2", "8"]);
    // The first template couldn't be read, so the answer doesn't have it.
    assert_eq!(found(&answer(vec![node("7900m")])), ["8"]);
}

#[test]
fn details_of_two_different_templates_come_before_their_common_table() {
    let node = |name: &str, cpu: &str, left: &str| NodeSimulation {
        node_template: name.to_owned(),
        daemon_sets: vec!["default/a".to_owned()],
        requests: resources([("cpu", cpu), ("pods", "1")]),
        left: resources([("cpu", left)]),
        ..NodeSimulation::default()
    };
    let capacity = |name: &str, cpu: &str| (name.to_owned(), resources([("cpu", cpu)]));
    let mut answer = SimulateNodesResponse {
        daemon_sets: answer().daemon_sets,
        nodes: vec![node("w", "100m", "1900m"), node("w", "100m", "7900m")],
        problems: Vec::new(),
    };
    let capacities = [capacity("w", "2"), capacity("w", "8")];
    let text = table(&answer, &capacities, SortBy::Name, TableStyle::default());
    assert_eq!(
        text,
        "\
Node template w
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   100m    1Gi      1      9100/TCP
requested   100m    -        1
percent     5%      -        -
capacity    2       -        -
left        1900m   -        -

Node template w
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   100m    1Gi      1      9100/TCP
requested   100m    -        1
percent     1%      -        -
capacity    8       -        -
left        7900m   -        -

NODE TEMPLATE   DAEMONSETS   CPU    %    MEMORY   %   PODS   LEFT (CPU / MEMORY / PODS)
w               1            100m   5%   0        -   1      1900m / - / -
w               1            100m   1%   0        -   1      7900m / - / -
"
    );
    // Nodes that are alike have no details, and neither have many nodes.
    answer.nodes = vec![node("a", "100m", "1900m"), node("b", "100m", "1900m")];
    let text = table(&answer, &[], SortBy::Name, TableStyle::default());
    assert!(text.starts_with("NODE TEMPLATES"), "{text}");
    answer.nodes = (0..5)
        .map(|number| node(&format!("n{number}"), &format!("{number}m"), "1"))
        .collect();
    let text = table(&answer, &[], SortBy::Name, TableStyle::default());
    assert!(text.starts_with("NODE TEMPLATE "), "{text}");
}

#[test]
fn names_of_orders_are_accepted() {
    for name in SortBy::NAMES {
        assert!(name.parse::<SortBy>().is_ok(), "{name}");
    }
    let error = "age".parse::<SortBy>().unwrap_err();
    assert_eq!(error, "must be one of name, cpu, memory, pods");
}

#[test]
fn daemon_set_whose_pod_stays_pending_is_named_below_the_table() {
    let mut answer = answer();
    answer.nodes[0].unbound.push(Unbound {
        daemon_set: "default/d".to_owned(),
        runtime_class: "kata".to_owned(),
        message: "the pod stays pending".to_owned(),
    });
    let text = table(&answer, &capacities(), SortBy::Name, TableStyle::default());
    assert!(
        text.contains("\npending: default/d: the pod stays pending\n"),
        "{text}"
    );
    let [node] = answer.nodes.as_slice() else {
        panic!("{answer:?}");
    };
    let unbound = NodeSimulation {
        unbound: node.unbound.clone(),
        ..NodeSimulation::default()
    };
    assert!(fits(&NodeSimulation::default()) && !fits(&unbound));
}
