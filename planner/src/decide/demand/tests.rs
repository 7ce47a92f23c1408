use proptest::prelude::*;

use super::*;
use crate::testing::resources;

fn requirements(requests: &str, limits: &str) -> Requirements {
    Requirements {
        requests: resources(requests),
        limits: resources(limits),
    }
}

fn container(requests: &str) -> Container {
    Container {
        resources: requirements(requests, ""),
        ..Container::default()
    }
}

fn sidecar(requests: &str) -> Container {
    Container {
        is_sidecar: true,
        ..container(requests)
    }
}

fn port(number: u16, protocol: &str, ip: &str) -> HostPort {
    HostPort {
        port: number,
        protocol: protocol.into(),
        ip: ip.into(),
    }
}

#[track_caller]
fn check(workload: &Workload, expected: &str) {
    let mut expected = resources(expected);
    *expected.entry(&"pods".into()) = Quantity::ONE;
    assert_eq!(demand(workload).requests, expected);
}

#[test]
fn pod_without_requests_takes_only_one_pod_slot() {
    check(&Workload::default(), "");
}

#[test]
fn requests_of_containers_add_up() {
    let workload = Workload {
        containers: vec![
            container("cpu=100m memory=64Mi"),
            container("cpu=50m example.com/gpu=1"),
        ],
        ..Workload::default()
    };
    check(&workload, "cpu=150m memory=64Mi example.com/gpu=1");
}

#[test]
fn init_containers_count_by_their_maximum() {
    let workload = Workload {
        init_containers: vec![container("cpu=1 memory=10Mi"), container("cpu=200m memory=1Gi")],
        containers: vec![container("cpu=100m memory=64Mi"), container("cpu=100m")],
        ..Workload::default()
    };
    check(&workload, "cpu=1 memory=1Gi");
}

#[test]
fn sidecar_adds_to_all_containers_that_start_after_it() {
    let workload = Workload {
        init_containers: vec![
            container("cpu=500m"),
            sidecar("cpu=100m memory=32Mi"),
            container("cpu=450m"),
            sidecar("cpu=50m"),
        ],
        containers: vec![container("cpu=200m memory=64Mi")],
        ..Workload::default()
    };
    // While the third init container starts: 100m + 450m. When all run: 100m + 50m + 200m.
    check(&workload, "cpu=550m memory=96Mi");
}

#[test]
fn limit_counts_as_a_missing_request() {
    let workload = Workload {
        containers: vec![Container {
            resources: requirements("cpu=100m", "cpu=1 memory=64Mi"),
            ..Container::default()
        }],
        ..Workload::default()
    };
    check(&workload, "cpu=100m memory=64Mi");
}

#[test]
fn pod_level_requests_replace_those_of_containers() {
    let workload = Workload {
        containers: vec![container("cpu=100m memory=64Mi ephemeral-storage=1Gi")],
        pod: requirements("cpu=1 ephemeral-storage=9Gi", "memory=1Gi hugepages-2Mi=4Mi"),
        ..Workload::default()
    };
    check(
        &workload,
        "cpu=1 memory=64Mi ephemeral-storage=1Gi hugepages-2Mi=4Mi",
    );
}

#[test]
fn pod_level_limit_counts_as_a_request_that_no_container_has() {
    let workload = Workload {
        containers: vec![container("cpu=100m hugepages-2Mi=2Mi")],
        pod: requirements("", "cpu=2 memory=1Gi hugepages-2Mi=4Mi"),
        ..Workload::default()
    };
    check(&workload, "cpu=100m memory=1Gi hugepages-2Mi=4Mi");
}

#[test]
fn overhead_is_added() {
    let workload = Workload {
        containers: vec![container("cpu=100m")],
        pod: requirements("cpu=1", ""),
        overhead: resources("cpu=250m memory=120Mi"),
        ..Workload::default()
    };
    check(&workload, "cpu=1250m memory=120Mi");
}

#[test]
fn host_ports_are_those_of_sidecars_and_containers() {
    let with_ports = |container: Container, numbers: &[u16]| Container {
        host_ports: numbers.iter().map(|number| port(*number, "TCP", "")).collect(),
        ..container
    };
    let workload = Workload {
        init_containers: vec![with_ports(container(""), &[1]), with_ports(sidecar(""), &[9100])],
        containers: vec![with_ports(container(""), &[80, 9100])],
        ..Workload::default()
    };
    let ports = demand(&workload).host_ports;
    assert_eq!(ports, [port(80, "TCP", ""), port(9100, "TCP", "")]);
}

#[test]
fn ports_conflict_on_the_same_address_or_on_all_addresses() {
    for (one, other, expected) in [
        (port(80, "TCP", ""), port(80, "TCP", ""), true),
        (port(80, "TCP", "10.0.0.1"), port(80, "TCP", ""), true),
        (port(80, "TCP", "10.0.0.1"), port(80, "TCP", "10.0.0.1"), true),
        (port(80, "TCP", "10.0.0.1"), port(80, "TCP", "10.0.0.2"), false),
        (port(80, "TCP", ""), port(80, "UDP", ""), false),
        (port(80, "TCP", ""), port(81, "TCP", ""), false),
    ] {
        assert_eq!(ports_conflict(&one, &other), expected, "{one:?} {other:?}");
        assert_eq!(ports_conflict(&other, &one), expected, "{other:?} {one:?}");
    }
}

/// The requests of the containers, computed naively: adds up everything that runs whenever a container starts.
fn step_by_step(workload: &Workload) -> Resources {
    let [mut together, mut sidecars, mut starting] = <[Resources; 3]>::default();
    let add = |sum: &mut Resources, container: &Container| sum.add(&effective(&container.resources));
    for container in &workload.containers {
        add(&mut together, container);
    }
    for container in &workload.init_containers {
        let mut now = Resources::default();
        add(&mut now, container);
        now.add(&sidecars);
        if container.is_sidecar {
            add(&mut together, container);
            sidecars.clone_from(&now);
        }
        starting.raise_to(&now);
    }
    together.raise_to(&starting);
    together
}

/// A container that requests a few resources.
fn any_container() -> impl Strategy<Value = Container> {
    let amounts = proptest::collection::btree_map(
        proptest::sample::select(&["cpu", "gpu", "memory"][..]),
        0..4_u8,
        0..3,
    );
    (amounts, any::<bool>()).prop_map(|(amounts, is_sidecar)| {
        let texts: Vec<_> = amounts
            .iter()
            .map(|(name, amount)| format!("{name}={amount}"))
            .collect();
        Container {
            is_sidecar,
            ..container(&texts.join(" "))
        }
    })
}

proptest! {
    #[test]
    fn container_requests_equal_a_sum_at_each_start(
        init_containers in proptest::collection::vec(any_container(), 0..6),
        containers in proptest::collection::vec(any_container(), 0..3),
    ) {
        let workload = Workload { init_containers, containers, ..Workload::default() };
        prop_assert_eq!(container_requests(&workload), step_by_step(&workload));
    }
}
