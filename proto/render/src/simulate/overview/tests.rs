use everynode_proto::planner::v1::{HostPort, HostPortConflict, Undecided};

use super::*;
use crate::testing::resources;

fn simulation(name: &str, cpu: &str, memory: &str) -> NodeSimulation {
    NodeSimulation {
        node_template: name.to_owned(),
        daemon_sets: vec!["default/a".to_owned(), "default/b".to_owned()],
        requests: resources([("cpu", cpu), ("memory", memory), ("pods", "2")]),
        ..NodeSimulation::default()
    }
}

fn capacity(memory: &str) -> Resources {
    resources([("cpu", "2"), ("memory", memory), ("pods", "110")])
}

fn rendered(nodes: &[Node<'_>]) -> String {
    let style = TableStyle::default();
    let kinds = kinds(nodes);
    table(&kinds, "NODE", style) + &fault_lines(&kinds, style)
}

#[test]
fn nodes_whose_numbers_look_the_same_share_a_row() {
    let names = ["a", "b", "c", "d"];
    let mut simulations = names.map(|name| {
        let mut node = simulation(name, "150m", "192Mi");
        node.left = resources([("cpu", "1850m"), ("memory", "6905Mi"), ("pods", "108")]);
        node
    });
    // Real nodes of one type differ by a few pages.
    simulations[1]
        .left
        .insert("memory".to_owned(), "7070716Ki".to_owned());
    simulations[3].daemon_sets.pop();
    let capacity = capacity("7097Mi");
    let nodes: Vec<_> = simulations
        .iter()
        .map(|simulation| Node {
            simulation,
            capacity: &capacity,
        })
        .collect();
    assert_eq!(
        rendered(&nodes),
        "\
NODES            DAEMONSETS   CPU    %    MEMORY   %    PODS   LEFT (CPU / MEMORY / PODS)
3 nodes like a   2            150m   7%   192Mi    2%   2      1850m / 6.74Gi / 108
d                1            150m   7%   192Mi    2%   2      1850m / 6.74Gi / 108
"
    );
}

#[test]
fn faults_are_below_with_the_nodes_that_have_them() {
    let mut simulations = ["a", "b", "c"].map(|name| simulation(name, "1", "4Gi"));
    for node in &mut simulations {
        node.conflicts.push(HostPortConflict {
            host_port: Some(HostPort {
                ip: String::new(),
                protocol: "TCP".to_owned(),
                port: 9100,
            }),
            daemon_sets: vec!["default/a".to_owned(), "default/b".to_owned()],
        });
    }
    simulations[2].exceeded.push("memory".to_owned());
    simulations[2].undecided.push(Undecided {
        daemon_set: "default/c".to_owned(),
        unknown_labels: Vec::new(),
        message: "runs if and only if the node has zone=a".to_owned(),
    });
    let none = Resources::new();
    let nodes: Vec<_> = simulations
        .iter()
        .map(|simulation| Node {
            simulation,
            capacity: &none,
        })
        .collect();
    assert_eq!(
        rendered(&nodes),
        "\
NODES            DAEMONSETS   CPU     %   MEMORY   %   PODS   LEFT (CPU / MEMORY / PODS)
2 nodes like a   2            1000m   -   4Gi      -   2      -
c                2            1000m   -   4Gi      -   2      -
conflict: host port 9100/TCP is requested by default/a, default/b (on 3 nodes)
exceeded: memory (on c)
undecided: default/c: runs if and only if the node has zone=a (on c)
"
    );
}

#[test]
fn nodes_are_sorted_by_name_or_by_the_largest_share() {
    let simulations = [
        simulation("b", "1", "1Gi"),
        simulation("c", "500m", "2Gi"),
        simulation("a", "500m", "1Gi"),
    ];
    let capacities = [capacity("16Gi"), capacity("4Gi"), capacity("8Gi")];
    let order = |sort: SortBy| {
        let nodes = simulations.iter().zip(&capacities);
        let nodes = nodes.map(|(simulation, capacity)| Node { simulation, capacity });
        let sorted = sorted(nodes.collect(), sort);
        let names = sorted.iter().map(|node| node.simulation.node_template.as_str());
        names.collect::<String>()
    };
    assert_eq!(order(SortBy::Name), "abc");
    assert_eq!(order(SortBy::Cpu), "bac");
    assert_eq!(order(SortBy::Memory), "cab");
    assert_eq!(order(SortBy::Pods), "abc");
}

#[test]
fn csv_has_plain_numbers_and_a_line_for_each_node() {
    let mut simulation = simulation("a", "1150m", "4Gi");
    simulation.left = resources([("cpu", "850m"), ("memory", "-1Gi"), ("pods", "108")]);
    simulation.exceeded.push("memory".to_owned());
    let capacity = capacity("3Gi");
    let node = Node {
        simulation: &simulation,
        capacity: &capacity,
    };
    let text = csv(&[node, node], "NODE TEMPLATE");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "NODE TEMPLATE,DAEMONSETS,CPU,CPU CAPACITY,MEMORY,MEMORY CAPACITY,PODS,PODS CAPACITY,LEFT CPU,LEFT MEMORY,LEFT \
         PODS,EXCEEDED,CONFLICTS,PENDING,UNDECIDED"
    );
    assert_eq!(
        lines[1],
        "a,2,1.15,2,4294967296,3221225472,2,110,0.85,-1073741824,108,memory,,,"
    );
    assert_eq!(lines.len(), 3);
}
