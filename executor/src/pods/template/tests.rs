use serde_json::json;

use super::*;
use crate::{
    ownership::history::new_revision,
    testing::{agent, agent_with, revision, revision_json, with},
};

fn template_of(template: &str) -> DaemonSet {
    serde_json::from_str(&format!(
        r#"{{"metadata": {{"name": "agent"}}, "spec": {{"template": {template}}}}}"#
    ))
    .unwrap()
}

#[test]
fn h2_data_is_compact_with_sorted_keys_and_the_patch_directive() {
    let daemon_set =
        template_of(r#"{ "spec": { "b": [1, {"z": null, "a": false}], "a": "" }, "metadata": {} }"#);
    assert_eq!(
        data(&daemon_set),
        r#"{"spec":{"template":{"$patch":"replace","metadata":{},"spec":{"a":"","b":[1,{"a":false,"z":null}]}}}}"#
    );
}

/// The expected texts were taken from Go's encoding/json.
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
        let data = data(&daemon_set);
        assert!(
            data.contains(&format!(r#""text":"{escaped}""#)),
            "{text:?} in {data}"
        );
    }
}

#[test]
fn h2_keys_are_escaped_and_sorted_by_their_bytes() {
    let daemon_set = template_of(r#"{"é": 1, "z": 2, "<": 3, "B": 4, "a": 5}"#);
    let data = data(&daemon_set);
    let fields = r#""$patch":"replace","\u003c":3,"B":4,"a":5,"z":2,"é":1"#;
    assert_eq!(data, format!(r#"{{"spec":{{"template":{{{fields}}}}}}}"#));
}

#[test]
fn h2_large_integers_are_rounded_as_upstream_rounds_them() {
    let exact = 9_007_199_254_740_992_u64;
    let daemon_set = agent_with(json!({"spec": {"template": {"spec": [exact, -5, exact + 1, i64::MAX]}}}));
    let data = data(&daemon_set);
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
    assert_eq!(data_fingerprint(&stored), fingerprint(&template));
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
        assert_eq!(data_fingerprint(&stored), fingerprint(&template), "{data}");
    }
    let others = [
        r#"{"metadata": {"labels": {"a": "b"}}, "spec": {"x": [2, 1]}}"#,
        r#"{"spec": {"x": [1, 2]}}"#,
        "{}",
    ];
    for other in others {
        assert_ne!(
            fingerprint(&template_of(other)),
            fingerprint(&template),
            "{other}"
        );
    }
}

#[test]
fn h2_recorded_template_is_recognized() {
    let template =
        json!({"metadata": {"annotations": {"a": "<&>\u{2028}"}}, "spec": {"n": i64::MAX, "null": null}});
    let daemon_set = agent_with(json!({"spec": {"template": template}}));
    let (_, body) = new_revision(&daemon_set, 1).unwrap();
    let stored: Revision = serde_json::from_slice(&body).unwrap();
    assert_eq!(data_fingerprint(&stored), fingerprint(&daemon_set));
}

#[test]
fn revision_without_data_matches_no_template() {
    let empty = revision(&json!({}));
    assert_ne!(data_fingerprint(&empty), fingerprint(&agent()));
}

#[test]
fn upstream_revision_with_null_timestamp_matches_the_template() {
    let stored = with(
        revision_json("agent-abc", 1),
        json!({"data": {"spec": {"template": {"metadata": {"creationTimestamp": null}}}}}),
    );
    assert_eq!(data_fingerprint(&revision(&stored)), fingerprint(&agent()));
}
