//! Which `DaemonSet` owns a pod, and which `DaemonSet`s have to act on it.

use std::collections::HashSet;

use everynode_proto::facts::Pod;

use super::*;
use crate::testing::{orphan_json, owned_by, pod_json};

fn orphan(name: &str, version: u64) -> Pod {
    read(&orphan_json(name, version))
}

/// The owner that `owned_by` names.
fn owner(uid: &str) -> Owner {
    Owner {
        namespace: "default".into(),
        name: "agent".into(),
        uid: uid.into(),
    }
}

/// Variants of a pod or a revision whose controller reference has the agent's uid, but refers to another object.
fn same_uid_variants(of: &serde_json::Value) -> [serde_json::Value; 3] {
    let named = |change: serde_json::Value| {
        let mut reference = owned_by("ds-1")[0].take();
        reference = with(reference, change);
        with(of.clone(), json!({"metadata": {"ownerReferences": [reference]}}))
    };
    [
        with(of.clone(), json!({"metadata": {"namespace": "tenant"}})),
        named(json!({"name": "other"})),
        named(json!({"kind": "ReplicaSet"})),
    ]
}

fn apply_pod(cluster: &mut Cluster, pod: Pod) {
    cluster.apply(Change::Pod(Event::Changed(pod)));
}

#[test]
fn a1_orphan_marks_the_daemon_sets_that_select_it() {
    let mut cluster = with_agent();
    changed(
        &mut cluster,
        agent_with(json!({
            "metadata": {"name": "other", "uid": "ds-2"}, "spec": {"selector": {"matchLabels": {"app": "other"}}},
        })),
    );
    changed(
        &mut cluster,
        agent_with(json!({"metadata": {"namespace": "elsewhere", "uid": "ds-3"}})),
    );
    cluster.touched = Touched::default();
    apply_pod(&mut cluster, orphan("p1", 3));
    assert_eq!(touched(&cluster.touched.upkeep), ["ds-1"]);
    assert_eq!(cluster.pods().orphans().count(), 1);
}

#[test]
fn a2_pod_that_is_no_longer_selected_marks_its_daemon_set() {
    let mut cluster = with_agent();
    apply_pod(&mut cluster, pod("p1", 3));
    assert!(cluster.touched.upkeep.is_empty());
    apply_pod(
        &mut cluster,
        read(&with(
            pod_json("p1", 4),
            json!({"metadata": {"labels": {"app": "else"}}}),
        )),
    );
    assert_eq!(touched(&cluster.touched.upkeep), ["ds-1"]);
}

#[test]
fn a3_pods_of_other_controllers_are_not_cached() {
    let mut cluster = with_agent();
    let replica_set =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "uid": "rs", "controller": true}]);
    let foreign = with(
        pod_json("p1", 4),
        json!({"metadata": {"ownerReferences": replica_set}}),
    );
    apply_pod(&mut cluster, read(&foreign));
    assert!(cluster.touched.pods.is_empty() && cluster.touched.upkeep.is_empty());
    assert!(cluster.pods().get("uid of p1").is_none());
}

#[test]
fn a3_pods_of_daemon_sets_of_another_api_group_are_not_sent_or_adopted() {
    let mut cluster = with_agent();
    let mut foreign = owned_by("uid of another agent");
    foreign[0]["apiVersion"] = json!("apps.kruise.io/v1alpha1");
    let foreign = json!({"metadata": {"ownerReferences": foreign}});
    apply_pod(&mut cluster, read(&with(pod_json("p1", 4), foreign)));
    assert!(cluster.pod_facts("uid of p1").is_none());
    assert_eq!(cluster.pods().owned_by(&owner("ds-1")).count(), 0);
    assert_eq!(cluster.pods().orphans().count(), 0);
    assert!(cluster.touched.upkeep.is_empty());
}

#[test]
fn a3_pod_belongs_to_its_daemon_set_whatever_api_version_its_reference_has() {
    for version in ["apps/v1", "apps/v1beta2", "extensions/v1beta1", ""] {
        let mut cluster = with_agent();
        let mut reference = owned_by("ds-1");
        reference[0]["apiVersion"] = json!(version);
        let reference = json!({"metadata": {"ownerReferences": reference}});
        apply_pod(&mut cluster, read(&with(pod_json("p1", 4), reference)));
        assert!(cluster.pod_facts("uid of p1").is_some(), "{version}");
        assert_eq!(cluster.pods().owned_by(&owner("ds-1")).count(), 1, "{version}");
    }
}

#[test]
fn a3_pod_adopted_by_another_controller_is_gone_for_the_planner() {
    let mut cluster = with_agent();
    apply_pod(&mut cluster, orphan("p1", 3));
    cluster.touched = Touched::default();
    let replica_set =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "uid": "rs", "controller": true}]);
    apply_pod(
        &mut cluster,
        read(&with(
            orphan_json("p1", 4),
            json!({"metadata": {"ownerReferences": replica_set}}),
        )),
    );
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
    assert!(cluster.pods().get("uid of p1").is_none());
    assert_eq!(cluster.pods().orphans().count(), 0);
}

#[test]
fn pod_moves_from_orphan_to_owner_to_next_owner() {
    let mut cluster = with_agent();
    apply_pod(&mut cluster, orphan("p1", 3));
    assert!(
        cluster
            .pods()
            .get("uid of p1")
            .unwrap()
            .facts("uid of p1")
            .is_none()
    );
    apply_pod(&mut cluster, pod("p1", 4));
    assert_eq!(
        (
            cluster.pods().orphans().count(),
            cluster.pods().owned_by(&owner("ds-1")).count()
        ),
        (0, 1)
    );
    let moved = with(
        pod_json("p1", 5),
        json!({"metadata": {"ownerReferences": owned_by("ds-2")}}),
    );
    apply_pod(&mut cluster, read(&moved));
    assert_eq!(
        (
            cluster.pods().owned_by(&owner("ds-1")).count(),
            cluster.pods().owned_by(&owner("ds-2")).count()
        ),
        (0, 1)
    );
}

#[test]
fn selectors_match_as_in_kubernetes() {
    let selects = |expressions: serde_json::Value, labels: &[(&str, &str)]| {
        let selector = json!({"spec": {"selector": {"matchLabels": null, "matchExpressions": expressions}}});
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Entry::new(agent_with(selector)).selects(&labels)
    };
    let one = |operator: &str| {
        let values = if operator.ends_with("In") {
            &["x", "y"][..]
        } else {
            &[]
        };
        json!([{"key": "a", "operator": operator, "values": values}])
    };
    let (x, z) = ([("a", "x")], [("a", "z")]);
    assert!(selects(one("In"), &x) && !selects(one("In"), &z) && !selects(one("In"), &[]));
    assert!(!selects(one("NotIn"), &x) && selects(one("NotIn"), &z) && selects(one("NotIn"), &[]));
    assert!(selects(one("Exists"), &z) && !selects(one("Exists"), &[]));
    assert!(!selects(one("DoesNotExist"), &z) && selects(one("DoesNotExist"), &[]));
}

#[test]
fn p6_empty_or_invalid_selector_selects_and_releases_nothing() {
    let empty = json!({"spec": {"selector": {"matchLabels": null}}});
    let unreadable = json!({"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}});
    for selector in [empty, unreadable] {
        let mut cluster = Cluster::default();
        changed(&mut cluster, agent_with(selector));
        cluster.touched = Touched::default();
        apply_pod(&mut cluster, pod("p1", 3));
        apply_pod(&mut cluster, orphan("p2", 3));
        assert!(cluster.touched.upkeep.is_empty());
        let entry = cluster.daemon_set("ds-1").unwrap();
        assert!(crate::ownership::adopt::orphans(&cluster, entry, &HashSet::new()).is_empty());
        assert!(crate::ownership::adopt::unselected_pods(&cluster, entry, &HashSet::new()).is_empty());
    }
}

#[test]
fn a3_pod_that_matches_only_the_uid_of_a_daemon_set_is_not_its_pod() {
    let mut cluster = with_agent();
    cluster.apply(Change::Pod(Event::ListEnds));
    let json = with(
        pod_json("p1", 4),
        json!({"metadata": {"labels": {"app": "else"}}}),
    );
    for variant in same_uid_variants(&json) {
        apply_pod(&mut cluster, read(&variant));
        assert_eq!(cluster.pods().owned_by(&owner("ds-1")).count(), 0, "{variant}");
        assert_eq!(cluster.pods().orphans().count(), 0, "{variant}");
        assert!(cluster.pod_facts("uid of p1").is_none(), "{variant}");
        assert!(
            cluster.touched.competitor_pods.is_empty(),
            "the pod doesn't indicate another controller: {variant}"
        );
        assert!(
            cluster.touched.upkeep.is_empty(),
            "there is nothing to release: {variant}"
        );
        cluster.apply(Change::Pod(Event::Gone(read(&variant))));
    }
    apply_pod(&mut cluster, pod("p2", 5));
    assert!(cluster.pod_facts("uid of p2").is_some());
    assert_eq!(cluster.touched.competitor_pods.len(), 1);
}

#[test]
fn a3_revision_that_matches_only_the_uid_of_a_daemon_set_is_not_its_revision() {
    let mut cluster = with_agent();
    for variant in same_uid_variants(&revision_json("r1", 1)) {
        for version in ["6", "7"] {
            let changed = with(variant.clone(), json!({"metadata": {"resourceVersion": version}}));
            cluster.apply(Change::Revision(Event::Changed(revision(&changed))));
        }
        assert!(cluster.touched.upkeep.is_empty(), "{variant}");
        let entry = cluster.daemon_set("ds-1").unwrap();
        let revisions = cluster.revisions("default").chain(cluster.revisions("tenant"));
        let owned = revisions.filter(|revision| revision.owner.as_ref() == Some(entry.owner()));
        assert_eq!(owned.count(), 0, "{variant}");
        cluster.apply(Change::Revision(Event::Gone(revision(&variant))));
    }
}

#[test]
fn pods_are_touched_when_their_daemon_set_becomes_known() {
    let mut cluster = Cluster::default();
    apply_pod(&mut cluster, pod("p1", 3));
    apply_pod(
        &mut cluster,
        read(&with(
            pod_json("p2", 4),
            json!({"metadata": {"namespace": "tenant"}}),
        )),
    );
    assert!(cluster.pod_facts("uid of p1").is_none(), "its owner isn't known");
    cluster.touched = Touched::default();
    changed(&mut cluster, agent());
    assert_eq!(touched(&cluster.touched.pods), ["uid of p1"]);
    assert!(cluster.pod_facts("uid of p1").is_some());
}
