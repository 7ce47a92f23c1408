use serde_json::json;

use super::*;

fn policy(namespace: &str, spec: &Value) -> RolloutPolicyFacts {
    let object = json!({
        "metadata": {"name": "p", "namespace": namespace, "uid": "uid-1", "generation": 3},
        "spec": spec,
    });
    let object: PolicyObject = serde_json::from_str(&object.to_string()).unwrap();
    facts(&object, namespace.is_empty())
}

fn selects_agent(policy: &RolloutPolicyFacts) -> bool {
    let labels = [("app".to_owned(), "agent".to_owned())].into();
    selects(policy, "default", "agent", &labels, &object::StringMap::new())
}

#[test]
fn policy_is_converted_with_its_stages() {
    let spec = json!({
        "targetRefs": [{"name": "agent"}],
        "maxUnavailable": "10%",
        "unhealthyPodPolicy": "AlwaysAllow",
        "stages": [{"name": "canary", "nodes": 2, "soak": "1h30m", "promotion": "Manual"}],
        "order": {"topologyKey": "zone", "maxUnavailablePerDomain": 1},
    });
    let facts = policy("default", &spec);
    assert_eq!((facts.error.as_str(), facts.generation), ("", 3));
    let spec = facts.spec.clone().unwrap();
    assert_eq!(spec.unhealthy_pod_policy(), WireUnhealthyPodPolicy::AlwaysAllow);
    assert_eq!(
        spec.max_unavailable.unwrap().value,
        Some(int_or_percent::Value::Percent(10))
    );
    let stage = &spec.stages[0];
    assert_eq!(stage.promotion(), WirePromotion::Manual);
    assert_eq!(stage.soak.unwrap().seconds, 5_400);
    assert_eq!(spec.order.unwrap().topology_key, "zone");
    assert!(selects_agent(&facts));
}

#[test]
fn unreadable_policy_keeps_its_targets_and_says_what_is_wrong() {
    for (spec, word) in [
        (
            json!({"targetRefs": [{"name": "agent"}], "maxUnavailable": "ten"}),
            "spec.maxUnavailable",
        ),
        (
            json!({"targetRefs": [{"name": "agent"}], "unreleasedNodes": "Other"}),
            "Other",
        ),
        (
            json!({"selector": {}, "stages": [{"name": "a", "soak": "-1m"}]}),
            "spec.stages[0].soak",
        ),
        (
            json!({"targetRefs": [{"name": "agent"}], "selector": {}}),
            "exactly one",
        ),
    ] {
        let facts = policy("default", &spec);
        assert!(
            facts.spec.is_none() && facts.error.contains(word),
            "{}",
            facts.error
        );
        assert!(selects_agent(&facts), "{spec}");
    }
}

#[test]
fn policy_without_readable_targets_selects_nothing() {
    for spec in [
        json!(null),
        json!({}),
        json!({"targetRefs": 7}),
        json!({"selector": []}),
        json!("x"),
    ] {
        let facts = policy("default", &spec);
        assert!(!facts.error.is_empty() && !selects_agent(&facts), "{spec}");
    }
}

#[test]
fn policy_selects_by_namespace_and_labels() {
    let selected = json!({"selector": {"matchLabels": {"app": "agent"}}});
    assert!(selects_agent(&policy("default", &selected)));
    assert!(!selects_agent(&policy("other", &selected)));
    assert!(selects_agent(&policy("", &selected)));
    assert!(selects_agent(&policy("", &json!({}))));
    let namespaces = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}});
    assert!(!selects_agent(&policy("", &namespaces)));
}
