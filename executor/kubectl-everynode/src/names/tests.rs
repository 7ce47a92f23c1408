use super::*;

fn pair(names: &[&str]) -> Result<Pair, String> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    Pair::parse(&names).map_err(|error| error.to_string())
}

fn expected_pair(daemon_set: Option<(Option<&str>, &str)>, node: Option<&str>) -> Pair {
    Pair {
        daemon_set: daemon_set.map(|(namespace, name)| DaemonSetName {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }),
        node: node.map(str::to_owned),
    }
}

#[test]
fn daemonset_names_are_accepted_in_every_form_that_kubectl_accepts() {
    for text in [
        "ds/agent",
        "daemonset/agent",
        "daemonsets/agent",
        "daemonsets.apps/agent",
        "daemonsets.v1.apps/agent",
        "agent",
    ] {
        assert_eq!(
            pair(&[text]),
            Ok(expected_pair(Some((None, "agent")), None)),
            "{text}"
        );
    }
    for text in ["kube-system/agent", "ds/kube-system/agent"] {
        let expected = expected_pair(Some((Some("kube-system"), "agent")), None);
        assert_eq!(pair(&[text]), Ok(expected), "{text}");
    }
}

#[test]
fn pair_is_accepted_in_any_order_and_a_bare_name_is_the_missing_kind() {
    let expected = expected_pair(Some((None, "agent")), Some("worker-3"));
    for names in [
        ["ds/agent", "node/worker-3"],
        ["node/worker-3", "ds/agent"],
        ["ds/agent", "worker-3"],
        ["worker-3", "ds/agent"],
        ["agent", "nodes/worker-3"],
        ["no/worker-3", "agent"],
        ["agent", "worker-3"],
    ] {
        assert_eq!(pair(&names), Ok(expected.clone()), "{names:?}");
    }
    assert_eq!(
        pair(&["node/worker-3"]),
        Ok(expected_pair(None, Some("worker-3")))
    );
}

#[test]
fn invalid_names_are_refused_and_named() {
    for (names, message) in [
        (
            &["a/b/c/d"][..],
            "a/b/c/d: expected ds/NAME, NAMESPACE/NAME, node/NAME or NAME",
        ),
        (
            &["node/a/b"],
            "node/a/b: expected ds/NAME, NAMESPACE/NAME, node/NAME or NAME",
        ),
        (&["ds/"], "ds/: a part of the name is empty"),
        (&[""], ": a part of the name is empty"),
        (
            &["node/a", "node/b"],
            "node/b: expected a DaemonSet beside the node",
        ),
        (&["ds/a", "ds/b"], "ds/b: expected a node beside the DaemonSet"),
    ] {
        assert_eq!(pair(names), Err(message.to_owned()));
    }
    let error = Name::daemon_set("node/a").unwrap_err().to_string();
    assert_eq!(error, "node/a: expected a DaemonSet, found a node");
    let error = Name::node("ds/a").unwrap_err().to_string();
    assert_eq!(error, "ds/a: expected a node, found a DaemonSet");
}
