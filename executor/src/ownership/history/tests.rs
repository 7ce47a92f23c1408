use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{cluster::SharedStr, testing::agent_with};

fn known(name: &str, number: i64, template: Fingerprint) -> CachedRevision {
    CachedRevision {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        uid: SharedStr::from(format!("uid of {name}")),
        revision: number,
        template,
        placement: Arc::default(),
        labels: [(REVISION_LABEL.to_owned(), name.to_owned())].into(),
        owner: Some(crate::testing::agent().metadata.identity().into()),
    }
}

/// Fingerprints of two different templates: the current one and another.
fn templates() -> (Fingerprint, Fingerprint) {
    (hash::fingerprint(b"current"), hash::fingerprint(b"other"))
}

fn names(revisions: &[CachedRevision]) -> Vec<&str> {
    revisions.iter().map(|revision| revision.name.as_str()).collect()
}

/// The body of a new revision, and the text of its data.
fn recorded(daemon_set: &DaemonSet) -> (Value, String) {
    #[derive(serde::Deserialize)]
    struct Raw {
        data: Box<RawValue>,
    }
    let (_, body) = new_revision(daemon_set, 3).unwrap();
    let raw: Raw = serde_json::from_slice(&body).unwrap();
    (serde_json::from_slice(&body).unwrap(), raw.data.get().to_owned())
}

#[test]
fn h1_new_revision_has_labels_of_the_template_and_annotations_of_the_daemon_set() {
    let daemon_set =
        agent_with(json!({"metadata": {"annotations": {"kubernetes.io/change-cause": "<test>"}}}));
    let (body, _) = recorded(&daemon_set);
    let hash = body["metadata"]["labels"][REVISION_LABEL].as_str().unwrap();
    assert_eq!(
        body["metadata"],
        json!({
            "name": format!("agent-{hash}"), "namespace": "default",
            "labels": {"app": "agent", REVISION_LABEL: hash},
            "annotations": {"kubernetes.io/change-cause": "<test>"},
            "ownerReferences": [owner_reference(&daemon_set)],
        })
    );
    assert_eq!(body["revision"], 3);
    assert_eq!(hash.len(), hash::SHORT_LENGTH);
}

#[test]
fn h1_hash_depends_on_template_and_collision_count() {
    let name = |change: Value| new_revision(&agent_with(change), 1).unwrap().0;
    let plain = name(json!({}));
    assert_eq!(
        plain,
        name(json!({"metadata": {"generation": 9, "annotations": {"a": "b"}}}))
    );
    assert_ne!(plain, name(json!({"status": {"collisionCount": 1}})));
    assert_ne!(
        plain,
        name(json!({"spec": {"template": {"spec": {"hostNetwork": true}}}}))
    );
}

#[test]
fn h1_revision_name_is_valid_for_long_daemon_set_names() {
    let long = format!("{}.b.{}", "a".repeat(MAX_NAME - 14), "c".repeat(11));
    let (name, _) = new_revision(&agent_with(json!({"metadata": {"name": long}})), 1).unwrap();
    assert!(name.len() <= MAX_NAME, "{name}");
    assert!(!name.contains(".-") && !name.contains("--"), "{name}");
}

#[test]
fn h1_template_without_a_revision_is_recorded_with_the_next_number() {
    let (current, other) = templates();
    let State::Needs(Step::Record(number)) = assess(current, std::iter::empty()) else {
        panic!()
    };
    assert_eq!(number, 1);
    let old = [known("a", 7, other), known("b", 3, other)];
    let State::Needs(Step::Record(number)) = assess(current, old.into_iter()) else {
        panic!()
    };
    assert_eq!(number, 8);
}

#[test]
fn h1_history_is_in_order_when_the_templates_revision_is_the_highest() {
    let (current, other) = templates();
    let revisions = [known("old", 1, other), known("now", 2, current)];
    let State::InOrder { hash, old } = assess(current, revisions.into_iter()) else {
        panic!()
    };
    assert_eq!((hash.as_str(), names(&old)), ("now", vec!["old"]));
}

#[test]
fn h1_rolling_back_gives_the_old_revision_a_new_number() {
    let (current, other) = templates();
    let revisions = [known("back", 1, current), known("last", 2, other)];
    let State::Needs(Step::Renumber(revision, number)) = assess(current, revisions.into_iter()) else {
        panic!()
    };
    assert_eq!((revision.name.as_str(), number), ("back", 3));
}

#[test]
fn h1_highest_of_duplicate_revisions_stays() {
    let (current, other) = templates();
    let revisions = [
        known("a", 1, current),
        known("c", 4, current),
        known("b", 4, current),
        known("o", 9, other),
    ];
    let State::Needs(Step::Merge { keep, duplicates }) = assess(current, revisions.into_iter()) else {
        panic!()
    };
    assert_eq!((keep.name.as_str(), names(&duplicates)), ("b", vec!["c", "a"]));
}

#[test]
fn h1_revision_without_a_hash_is_labeled_first() {
    let (current, other) = templates();
    let mut unlabeled = known("old", 1, other);
    unlabeled.labels.clear();
    let revisions = [known("now", 2, current), unlabeled];
    let State::Needs(Step::Label(revision)) = assess(current, revisions.into_iter()) else {
        panic!()
    };
    assert_eq!(revision.name, "old");
}

#[test]
fn h3_oldest_unused_revisions_beyond_the_limit_are_removed() {
    let old = || {
        ["c", "a", "d", "b"]
            .map(|name| known(name, i64::from(name.as_bytes()[0]), templates().1))
            .to_vec()
    };
    let removable = |limit, carried: &[&str]| {
        removable(excess(limit, &old()), old(), |hash| carried.contains(&hash))
            .into_iter()
            .map(|known| known.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(removable(Some(2), &[]), ["a", "b"]);
    assert_eq!(removable(Some(2), &["a"]), ["b", "c"]);
    assert_eq!(removable(Some(0), &["a", "c"]), ["b", "d"]);
    assert!(removable(Some(4), &[]).is_empty());
    assert!(removable(None, &[]).is_empty());
    assert_eq!(removable(Some(-1), &[]).len(), 4);
}
