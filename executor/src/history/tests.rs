use serde_json::json;

use super::*;
use crate::{
    cluster::Text,
    testing::{agent, agent_with, revision, revision_json, with},
};

fn known(name: &str, number: i64, template: Fingerprint) -> Known {
    Known {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        uid: Text::from(format!("uid of {name}")),
        revision: number,
        template,
        labels: [(REVISION_LABEL.to_owned(), name.to_owned())].into(),
        owner: Some("ds-1".into()),
        version: 1,
    }
}

/// Two templates by meaning: the current one and another.
fn templates() -> (Fingerprint, Fingerprint) {
    (hash::fingerprint(b"current"), hash::fingerprint(b"other"))
}

fn names(revisions: &[Known]) -> Vec<&str> {
    revisions.iter().map(|revision| revision.name.as_str()).collect()
}

fn template_of(template: &str) -> DaemonSet {
    serde_json::from_str(&format!(
        r#"{{"metadata": {{"name": "agent"}}, "spec": {{"template": {template}}}}}"#
    ))
    .unwrap()
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
fn h2_data_is_compact_with_sorted_keys_and_the_patch_directive() {
    let daemon_set =
        template_of(r#"{ "spec": { "b": [1, {"z": null, "a": false}], "a": "" }, "metadata": {} }"#);
    assert_eq!(
        recorded(&daemon_set).1,
        r#"{"spec":{"template":{"$patch":"replace","metadata":{},"spec":{"a":"","b":[1,{"a":false,"z":null}]}}}}"#
    );
}

/// What Go's encoding/json makes of each text was taken from there.
#[test]
fn h2_strings_are_escaped_as_go_escapes_them() {
    let cases = [
        ("<a> & 'b'", r"\u003ca\u003e \u0026 'b'"),
        ("\u{2028}\u{2029}", r"\u2028\u2029"),
        (
            "quote \" backslash \\ slash /",
            r#"quote \" backslash \\ slash /"#,
        ),
        ("\n\r\t\u{8}\u{c}", r"\n\r\t\b\f"),
        ("\u{0}\u{1}\u{1f}\u{7f}", "\\u0000\\u0001\\u001f\u{7f}"),
        ("grüße 世界 🚀", "grüße 世界 🚀"),
    ];
    for (text, escaped) in cases {
        let daemon_set = agent_with(json!({"spec": {"template": {"spec": {"text": text}}}}));
        let data = recorded(&daemon_set).1;
        assert!(
            data.contains(&format!(r#""text":"{escaped}""#)),
            "{text:?} in {data}"
        );
    }
}

#[test]
fn h2_keys_are_escaped_and_sorted_by_their_bytes() {
    let daemon_set = template_of(r#"{"é": 1, "z": 2, "<": 3, "B": 4, "a": 5}"#);
    let data = recorded(&daemon_set).1;
    let fields = r#""$patch":"replace","\u003c":3,"B":4,"a":5,"z":2,"é":1"#;
    assert_eq!(data, format!(r#"{{"spec":{{"template":{{{fields}}}}}}}"#));
}

#[test]
fn h2_large_integers_are_rounded_as_upstream_rounds_them() {
    let exact = 9_007_199_254_740_992_u64;
    let daemon_set = agent_with(json!({"spec": {"template": {"spec": [exact, -5, exact + 1, i64::MAX]}}}));
    let data = recorded(&daemon_set).1;
    assert!(
        data.contains("[9007199254740992,-5,9007199254740992,9223372036854776000]"),
        "{data}"
    );
    let stored = json!({"spec": {"template": {"spec": [exact, -5, exact, 9_223_372_036_854_776_000_u64]}}});
    let stored = revision(&json!({"data": stored}));
    let template = template_of(&format!(
        r#"{{"spec": [{exact}, -5, {}, {}]}}"#,
        exact + 1,
        i64::MAX
    ));
    assert_eq!(data_fingerprint(&stored), template_fingerprint(&template));
}

#[test]
fn h2_templates_are_compared_by_meaning() {
    let template = template_of(r#"{"metadata": {"labels": {"a": "b"}}, "spec": {"x": [1, 2]}}"#);
    let same = [
        r#"{"$patch": "replace", "metadata": {"creationTimestamp": null, "labels": {"a": "b"}}, "spec": {"x": [1, 2]}}"#,
        r#"{"spec": {"x": [1,2], "y": null}, "metadata": {"labels": {"a": "\u0062"}}}"#,
    ];
    for data in same {
        let stored = format!(r#"{{"data": {{"spec": {{"template": {data}}}}}}}"#);
        let stored: Revision = serde_json::from_str(&stored).unwrap();
        assert_eq!(
            data_fingerprint(&stored),
            template_fingerprint(&template),
            "{data}"
        );
    }
    let others = [
        r#"{"metadata": {"labels": {"a": "b"}}, "spec": {"x": [2, 1]}}"#,
        r#"{"spec": {"x": [1, 2]}}"#,
        "{}",
    ];
    for other in others {
        assert_ne!(
            template_fingerprint(&template_of(other)),
            template_fingerprint(&template),
            "{other}"
        );
    }
}

#[test]
fn h2_what_is_recorded_is_recognised() {
    let template =
        json!({"metadata": {"annotations": {"a": "<&>\u{2028}"}}, "spec": {"n": i64::MAX, "null": null}});
    let daemon_set = agent_with(json!({"spec": {"template": template}}));
    let (_, body) = new_revision(&daemon_set, 1).unwrap();
    let stored: Revision = serde_json::from_slice(&body).unwrap();
    assert_eq!(data_fingerprint(&stored), template_fingerprint(&daemon_set));
}

#[test]
fn a_revision_without_data_is_of_no_template() {
    let empty = revision(&json!({}));
    assert_ne!(data_fingerprint(&empty), template_fingerprint(&agent()));
}

#[test]
fn h1_a_new_revision_has_the_templates_labels_the_daemon_sets_annotations_and_owner() {
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
fn h1_the_hash_follows_from_template_and_collision_count() {
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
fn h1_the_name_of_a_revision_fits_and_is_valid_however_long_the_daemon_sets_is() {
    let long = format!("{}.b.{}", "a".repeat(MAX_NAME - 14), "c".repeat(11));
    let (name, _) = new_revision(&agent_with(json!({"metadata": {"name": long}})), 1).unwrap();
    assert!(name.len() <= MAX_NAME, "{name}");
    assert!(!name.contains(".-") && !name.contains("--"), "{name}");
}

#[test]
fn h1_a_template_without_a_revision_is_recorded_after_the_highest() {
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
fn h1_the_highest_revision_of_the_template_settles_the_history() {
    let (current, other) = templates();
    let revisions = [known("old", 1, other), known("now", 2, current)];
    let State::Settled { hash, old } = assess(current, revisions.into_iter()) else {
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
fn h1_of_duplicates_the_highest_stays() {
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
fn h1_a_revision_without_a_hash_is_labelled_first() {
    let (current, other) = templates();
    let mut unlabelled = known("old", 1, other);
    unlabelled.labels.clear();
    let revisions = [known("now", 2, current), unlabelled];
    let State::Needs(Step::Label(revision)) = assess(current, revisions.into_iter()) else {
        panic!()
    };
    assert_eq!(revision.name, "old");
}

#[test]
fn h3_the_oldest_revisions_beyond_the_limit_go_but_none_that_a_pod_carries() {
    let old = || {
        ["c", "a", "d", "b"]
            .map(|name| known(name, i64::from(name.as_bytes()[0]), templates().1))
            .to_vec()
    };
    let surplus = |limit, carried: &[&str]| {
        surplus(excess(limit, &old()), old(), |hash| carried.contains(&hash))
            .into_iter()
            .map(|known| known.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(surplus(Some(2), &[]), ["a", "b"]);
    assert_eq!(surplus(Some(2), &["a"]), ["b", "c"]);
    assert_eq!(surplus(Some(0), &["a", "c"]), ["b", "d"]);
    assert!(surplus(Some(4), &[]).is_empty());
    assert!(surplus(None, &[]).is_empty());
    assert_eq!(surplus(Some(-1), &[]).len(), 4);
}

#[test]
fn a_revision_written_by_upstream_with_an_old_timestamp_is_the_templates() {
    let stored = with(
        revision_json("agent-abc", 1),
        json!({"data": {"spec": {"template": {"metadata": {"creationTimestamp": null}}}}}),
    );
    assert_eq!(
        data_fingerprint(&revision(&stored)),
        template_fingerprint(&agent())
    );
}
