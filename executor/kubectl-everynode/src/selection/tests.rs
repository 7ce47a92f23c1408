use super::*;

fn filter(namespace: &str, name: &str) -> Filter {
    Filter {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn selection(filters: &[Filter], labeled: Option<&[&str]>) -> Selection {
    Selection {
        filters: filters.to_vec(),
        labeled: labeled.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
    }
}

#[test]
fn selection_contains_what_names_and_labels_select() {
    let named = selection(&[filter("a", "x"), filter("", "y")], None);
    for (key, is_contained) in [("a/x", true), ("b/x", false), ("a/y", true), ("b/y", true)] {
        assert_eq!(named.contains(key), is_contained, "{key}");
    }
    let labeled = selection(&[filter("a", "")], Some(&["a/x", "b/x"]));
    for (key, is_contained) in [("a/x", true), ("a/y", false), ("b/x", false)] {
        assert_eq!(labeled.contains(key), is_contained, "{key}");
    }
    assert!(selection(&[Filter::default()], None).is_everything());
    assert!(!selection(&[Filter::default()], Some(&[])).is_everything());
    assert!(!named.is_everything());
}

#[test]
fn request_is_as_small_as_possible() {
    for (filters, request) in [
        (vec![filter("a", "x")], filter("a", "x")),
        (vec![filter("a", "x"), filter("a", "y")], filter("a", "")),
        (vec![filter("a", "x"), filter("b", "x")], filter("", "")),
        (vec![filter("", "x"), filter("b", "x")], filter("", "")),
        (vec![filter("a", "")], filter("a", "")),
    ] {
        assert_eq!(selection(&filters, None).request(), request, "{filters:?}");
    }
}

fn patterns(names: &[&str]) -> NodePatterns {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    NodePatterns::parse(&names).unwrap()
}

#[test]
fn nodes_are_selected_by_names_and_patterns() {
    let plain = patterns(&["node/b", "a", "a"]);
    assert_eq!(plain.names(), Some(["a", "b"].into()));
    assert!(plain.contain("a") && !plain.contain("c"));
    let wild = patterns(&["worker-*", "a"]);
    assert_eq!(wild.names(), None);
    assert!(wild.contain("worker-1") && wild.contain("a"));
    let none = patterns(&[]);
    assert_eq!(none.names(), None);
    assert!(none.is_empty() && none.contain("a"));
}

#[test]
fn pattern_without_a_node_is_reported() {
    let nodes = ["worker-1", "control"];
    assert!(patterns(&["worker-*", "control"]).check(&nodes).is_ok());
    let error = patterns(&["worker-*", "gpu-*"]).check(&nodes).unwrap_err();
    assert_eq!(error.to_string(), "there is no node that matches gpu-*");
    let error = NodePatterns::parse(&["ds/a".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "ds/a: expected a node, found a DaemonSet");
}
