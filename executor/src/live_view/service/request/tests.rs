use tonic::Code;
use tonic_types::StatusExt;

use super::*;

/// Returns the fields named in an `INVALID_ARGUMENT` error.
#[track_caller]
fn fields(refusal: &Status) -> Vec<String> {
    assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
    let details = refusal.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    violations
        .iter()
        .map(|violation| violation.field.clone())
        .collect()
}

#[test]
fn name_is_a_dns_subdomain() {
    for name in ["a", "node-1", "ip-10-0-0-1.eu-west-1.compute.internal", "0"] {
        assert!(is_name(name), "{name}");
    }
    let long = "a".repeat(254);
    for name in [
        "", "A", "-a", "a-", "a..b", ".", "a/b", "a b", "../../x", "ä", &long,
    ] {
        assert!(!is_name(name), "{name}");
    }
}

#[test]
fn empty_field_of_a_filter_matches_all() {
    let filter = |namespace: &str, name: &str| Filter::new(namespace.to_owned(), name.to_owned()).unwrap();
    assert!(filter("", "").matches("any", "thing"));
    assert!(
        filter("default", "").matches("default", "agent") && !filter("default", "").matches("other", "agent")
    );
    assert!(
        filter("", "agent").matches_key("other/agent") && !filter("", "agent").matches_key("other/proxy")
    );
    let refusal = Filter::new("De fault".to_owned(), "default/agent".to_owned()).unwrap_err();
    assert_eq!(fields(&refusal), ["namespace", "name"]);
    assert!(
        refusal.message().contains("\"default/agent\" isn't a valid name"),
        "{refusal}"
    );
}

#[test]
fn explain_target_needs_a_daemon_set_or_a_node() {
    let target = |daemon_set: &str, node: &str| ExplainTarget::new(daemon_set.to_owned(), node.to_owned());
    let given = target("default/agent", "n1").unwrap();
    assert_eq!(given.daemon_set.as_deref(), Some("default/agent"));
    assert_eq!(given.node.as_deref(), Some("n1"));
    assert_eq!(target("default/agent", "").unwrap().node, None);
    assert_eq!(target("", "n1").unwrap().daemon_set, None);
    assert_eq!(fields(&target("", "").unwrap_err()), ["daemon_set", "node"]);
    for daemon_set in ["agent", "/agent", "default/", "a/b/c", "default/Agent"] {
        assert_eq!(
            fields(&target(daemon_set, "").unwrap_err()),
            ["daemon_set"],
            "{daemon_set}"
        );
    }
    assert_eq!(
        fields(&target("agent", "N 1").unwrap_err()),
        ["daemon_set", "node"]
    );
}

#[test]
fn node_name_is_required() {
    assert_eq!(node("n1".to_owned()).unwrap(), "n1");
    assert_eq!(fields(&node(String::new()).unwrap_err()), ["node"]);
    assert_eq!(fields(&node("n/1".to_owned()).unwrap_err()), ["node"]);
}
