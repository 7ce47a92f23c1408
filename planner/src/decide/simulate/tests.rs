use proptest::prelude::*;

use super::*;
use crate::{
    decide::demand::ports_conflict,
    model::{DaemonSet, PodTemplate, RuntimeClass, Term},
    testing::{node, requirement, resources, term, with_template},
};

fn port(number: u16, ip: &str) -> HostPort {
    HostPort {
        port: number,
        protocol: "TCP".into(),
        ip: ip.into(),
    }
}

fn candidate(template: PodTemplate, requests: &str, host_ports: &[HostPort]) -> Candidate {
    Candidate {
        placement: Placement::new(&with_template(template)),
        demand: Demand {
            requests: resources(requests),
            host_ports: host_ports.to_vec(),
        },
        class: None,
    }
}

fn everywhere(requests: &str, host_ports: &[HostPort]) -> Candidate {
    candidate(PodTemplate::default(), requests, host_ports)
}

fn selecting(labels: &[&str]) -> PodTemplate {
    PodTemplate {
        node_selector: node("any", labels, &[]).labels,
        ..PodTemplate::default()
    }
}

fn requiring(terms: &[Term]) -> PodTemplate {
    PodTemplate {
        required_terms: Some(terms.to_vec()),
        ..PodTemplate::default()
    }
}

fn template(labels: &[&str], taints: &[&str], unknown: &[&str], capacity: &str) -> NodeTemplate {
    NodeTemplate {
        node: node("template", labels, taints),
        unknown_labels: unknown
            .iter()
            .map(|key| Text::from(*key))
            .collect::<HashSet<_>>()
            .into(),
        capacity: resources(capacity),
    }
}

/// The outcome for one `DaemonSet`: whether it runs, or the unknown labels and the condition that its verdict needs.
fn outcome(of: PodTemplate, on: &NodeTemplate) -> Result<bool, (Vec<String>, String)> {
    let simulation = simulate(&[candidate(of, "", &[])], on);
    match simulation.undecided.as_slice() {
        [] => Ok(simulation.runs == [0]),
        [undecided] => {
            assert!(simulation.runs.is_empty());
            let labels = undecided.labels.iter().map(ToString::to_string).collect();
            Err((labels, undecided.condition.clone()))
        }
        more => panic!("{more:?}"),
    }
}

#[track_caller]
fn check_depends(of: PodTemplate, on: &NodeTemplate, labels: &[&str], condition: &str) {
    let labels = labels.iter().map(ToString::to_string).collect();
    assert_eq!(outcome(of, on), Err((labels, condition.to_owned())));
}

#[test]
fn requests_add_up_and_the_rest_is_left() {
    let sets = [
        everywhere("cpu=100m memory=1Gi pods=1", &[]),
        candidate(selecting(&["disk=ssd"]), "cpu=8 pods=1", &[]),
        everywhere("cpu=250m example.com/nic=1 pods=1", &[]),
    ];
    let simulation = simulate(&sets, &template(&[], &[], &[], "cpu=2 memory=1Gi pods=110"));
    assert_eq!(simulation.runs, [0, 2]);
    assert_eq!(
        simulation.requests,
        resources("cpu=350m memory=1Gi example.com/nic=1 pods=2")
    );
    let left: Vec<_> = simulation
        .left
        .iter()
        .map(|(name, left)| format!("{name}={left}"))
        .collect();
    assert_eq!(left, ["cpu=1650m", "example.com/nic=-1", "memory=0", "pods=108"]);
    assert_eq!(simulation.exceeded, ["example.com/nic".into()]);
}

#[test]
fn unknown_capacity_leaves_and_exceeds_nothing() {
    let simulation = simulate(&[everywhere("cpu=100", &[])], &template(&[], &[], &[], ""));
    assert!(simulation.left.is_empty() && simulation.exceeded.is_empty());
}

#[test]
fn host_ports_wanted_by_several_daemon_sets_are_conflicts() {
    let sets = [
        everywhere("", &[port(9100, ""), port(80, "10.0.0.1")]),
        everywhere("", &[port(80, "10.0.0.2")]),
        everywhere("", &[port(9100, "")]),
        candidate(selecting(&["disk=ssd"]), "", &[port(9100, "")]),
    ];
    let simulation = simulate(&sets, &template(&[], &[], &[], ""));
    assert_eq!(
        simulation.host_ports,
        [port(80, "10.0.0.1"), port(80, "10.0.0.2"), port(9100, "")]
    );
    let conflict = Conflict {
        host_port: port(9100, ""),
        daemon_sets: vec![0, 2],
    };
    assert_eq!(simulation.conflicts, [conflict]);
}

#[test]
fn port_on_all_addresses_conflicts_with_each_address() {
    let sets = [
        everywhere("", &[port(80, "10.0.0.1")]),
        everywhere("", &[port(80, "10.0.0.2")]),
        everywhere("", &[port(80, "")]),
    ];
    let found = simulate(&sets, &template(&[], &[], &[], "")).conflicts;
    let conflicting: Vec<_> = found.into_iter().map(|conflict| conflict.daemon_sets).collect();
    assert_eq!(conflicting, [vec![0, 2], vec![1, 2], vec![0, 1, 2]]);
}

#[test]
fn verdict_without_unknown_labels_is_decided() {
    let on = template(&["disk=ssd"], &[], &["zone"], "");
    assert_eq!(outcome(PodTemplate::default(), &on), Ok(true));
    assert_eq!(outcome(selecting(&["disk=ssd"]), &on), Ok(true));
    assert_eq!(outcome(selecting(&["disk=hdd"]), &on), Ok(false));
    assert_eq!(outcome(selecting(&["absent=1"]), &on), Ok(false));
}

#[test]
fn verdict_that_needs_an_unknown_label_is_undecided() {
    let on = template(&["disk=ssd"], &[], &["zone", "rack"], "");
    check_depends(selecting(&["zone=a", "disk=ssd"]), &on, &["zone"], "zone=a");
    let term_of = |requirements: &[_]| requiring(&[term(requirements)]);
    check_depends(
        term_of(&[
            requirement("zone", "NotIn", &["a"]),
            requirement("disk", "Exists", &[]),
        ]),
        &on,
        &["zone"],
        "zone NotIn [a]",
    );
    check_depends(
        requiring(&[
            term(&[
                requirement("zone", "In", &["a"]),
                requirement("rack", "Gt", &["3"]),
            ]),
            term(&[requirement("disk", "In", &["hdd"])]),
            term(&[requirement("zone", "Exists", &[])]),
        ]),
        &on,
        &["rack", "zone"],
        "zone In [a] and rack Gt 3, or zone Exists",
    );
}

#[test]
fn known_labels_decide_when_they_suffice() {
    let on = template(&["disk=ssd"], &[], &["zone"], "");
    let zone = || requirement("zone", "In", &["a"]);
    let hdd = requirement("disk", "In", &["hdd"]);
    let ssd = requirement("disk", "In", &["ssd"]);
    // A term fails when one known requirement fails. The affinity matches when one term matches.
    assert_eq!(outcome(requiring(&[term(&[zone(), hdd])]), &on), Ok(false));
    assert_eq!(
        outcome(requiring(&[term(&[zone()]), term(&[ssd])]), &on),
        Ok(true)
    );
    assert_eq!(outcome(selecting(&["zone=a", "disk=hdd"]), &on), Ok(false));
}

#[test]
fn untolerated_taint_excludes_the_pod_whatever_the_labels_are() {
    for taint in ["dedicated=db:NoSchedule", "dedicated=db:NoExecute"] {
        let on = template(&[], &[taint], &["zone"], "");
        assert_eq!(outcome(selecting(&["zone=a"]), &on), Ok(false), "{taint}");
    }
}

/// A candidate whose `RuntimeClass` wants these labels.
fn with_class(template: PodTemplate, labels: &[&str]) -> Candidate {
    Candidate {
        class: ClassConditions::new(&RuntimeClass {
            name: "kata".into(),
            overhead: Resources::default(),
            node_selector: node("any", labels, &[]).labels,
            tolerations: Vec::new(),
        }),
        ..candidate(template, "cpu=1", &[port(80, "")])
    }
}

#[test]
fn pod_that_its_runtime_class_keeps_pending_takes_nothing() {
    let plain = with_class(PodTemplate::default(), &["runtime=kata"]);
    let elsewhere = with_class(selecting(&["disk=ssd"]), &["runtime=kata"]);
    let candidates = [plain, elsewhere];
    let simulation = simulate(&candidates, &template(&[], &[], &[], "cpu=4"));
    let message =
        "the pod stays pending: its RuntimeClass kata wants runtime=kata, the node has no label runtime";
    assert_eq!(
        simulation.unbound,
        [Unbound {
            daemon_set: 0,
            class: "kata".into(),
            message: message.to_owned()
        }]
    );
    assert_eq!((simulation.runs.len(), simulation.host_ports.len()), (0, 0));
    assert_eq!(simulation.left, resources("cpu=4"));
    let simulation = simulate(&candidates, &template(&["runtime=kata"], &[], &[], "cpu=4"));
    assert_eq!((simulation.runs, simulation.unbound), (vec![0], Vec::new()));
}

#[test]
fn unknown_label_that_a_runtime_class_wants_leaves_the_pod_undecided() {
    let both = with_class(selecting(&["zone=a"]), &["runtime=kata"]);
    let undecided = |unknown: &[&str], labels: &[&str]| {
        let simulation = simulate(std::slice::from_ref(&both), &template(labels, &[], unknown, ""));
        let text = |undecided: &Undecided| (undecided.labels.join(" "), undecided.condition.clone());
        simulation.undecided.iter().map(text).next()
    };
    let text = str::to_owned;
    assert_eq!(
        undecided(&["runtime"], &["zone=a"]),
        Some((text("runtime"), text("runtime=kata")))
    );
    assert_eq!(
        undecided(&["zone"], &["runtime=kata"]),
        Some((text("zone"), text("zone=a")))
    );
    assert_eq!(
        undecided(&["zone", "runtime"], &[]),
        Some((text("runtime zone"), text("zone=a; runtime=kata")))
    );
    assert_eq!(
        undecided(&["zone"], &[]),
        None,
        "the pod stays pending in any case"
    );
}

#[test]
fn a4_daemon_set_that_is_being_deleted_takes_nothing() {
    let deleting = DaemonSet {
        deleting: true,
        ..with_template(selecting(&["zone=a"]))
    };
    let candidate = Candidate {
        placement: Placement::new(&deleting),
        ..everywhere("cpu=1", &[])
    };
    for unknown in [&[][..], &["zone"]] {
        let on = template(&["zone=a"], &[], unknown, "cpu=4");
        let simulation = simulate(std::slice::from_ref(&candidate), &on);
        assert_eq!(simulation.left, resources("cpu=4"));
        assert_eq!((simulation.runs.len(), simulation.undecided.len()), (0, 0));
    }
}

/// The conflicts, found by comparing each pair.
fn pairwise(wanted: &[(&HostPort, usize)]) -> Vec<Conflict> {
    let (mut found, mut addresses) = (Vec::<Conflict>::new(), Vec::new());
    for (port, _) in wanted {
        if addresses.contains(&&port.ip) {
            continue;
        }
        addresses.push(&port.ip);
        let conflicting = wanted.iter().filter(|(other, _)| ports_conflict(port, other));
        let mut daemon_sets: Vec<_> = conflicting.map(|(_, index)| *index).collect();
        daemon_sets.dedup();
        if daemon_sets.len() > 1 && found.iter().all(|known| known.daemon_sets != daemon_sets) {
            found.push(Conflict {
                host_port: (*port).clone(),
                daemon_sets,
            });
        }
    }
    found
}

proptest! {
    #[test]
    fn conflicts_equal_those_of_a_pairwise_comparison(
        wanted in proptest::collection::vec(
            proptest::collection::btree_set(proptest::sample::select(&["", "10.0.0.1", "10.0.0.2", "10.0.0.3"][..]), 0..4),
            0..6,
        ),
    ) {
        let ports: Vec<Vec<_>> = wanted
            .iter()
            .map(|addresses| addresses.iter().map(|ip| port(80, ip)).collect())
            .collect();
        let wanted: Vec<_> = ports
            .iter()
            .enumerate()
            .flat_map(|(index, ports)| ports.iter().map(move |port| (port, index)))
            .collect();
        prop_assert_eq!(conflicts(&wanted), pairwise(&wanted));
    }
}
