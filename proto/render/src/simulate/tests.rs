use everynode_proto::planner::v1::{HostPortConflict, Undecided};

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
        }],
        problems: Vec::new(),
    }
}

fn capacities() -> BTreeMap<String, Resources> {
    let capacity = resources([
        ("cpu", "2"),
        ("memory", "3Gi"),
        ("pods", "110"),
        ("example.com/gpu", "1"),
    ]);
    [("small".to_owned(), capacity)].into()
}

#[test]
fn template_has_a_table_with_sums_and_its_faults_below() {
    assert_eq!(
        table(&answer(), &capacities(), TableStyle::default()),
        "\
Node template small
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   100m    1Gi      1      9100/TCP
default/b   1       3Gi      1      9100/TCP
requested   1100m   4Gi      2
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
    let text = table(&answer(), &capacities(), style);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[1],
        "DAEMONSET   CPU     MEMORY   EXAMPLE.COM/GPU   PODS   HOST PORTS"
    );
    assert_eq!(lines[5], "capacity    2       3Gi      1                 110");
}

#[test]
fn template_without_capacity_has_no_row_for_what_is_left() {
    let mut answer = answer();
    answer.nodes[0].left.clear();
    answer.nodes[0].exceeded.clear();
    answer.nodes[0].conflicts.clear();
    answer.nodes[0].undecided.clear();
    answer.nodes.push(NodeSimulation {
        node_template: "empty".to_owned(),
        ..NodeSimulation::default()
    });
    assert_eq!(
        table(&answer, &BTreeMap::new(), TableStyle::default()),
        "\
Node template small
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   100m    1Gi      1      9100/TCP
default/b   1       3Gi      1      9100/TCP
requested   1100m   4Gi      2

Node template empty
No DaemonSet would run on this node.
"
    );
    assert!(is_as_desired(&answer));
}
