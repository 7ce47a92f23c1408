use serde_json::json;

use super::*;

/// Returns each document's content and the line on which it begins.
fn documents(text: &str) -> Vec<(Value, u64)> {
    let documents = parse("file", text).unwrap();
    for (index, document) in documents.iter().enumerate() {
        assert_eq!(document.place.document, index + 1);
    }
    documents
        .into_iter()
        .map(|document| (document.value, document.place.line))
        .collect()
}

fn error(text: &str) -> String {
    parse("file", text).unwrap_err().to_string()
}

#[test]
fn json_objects_can_be_followed_by_more_json_and_by_yaml() {
    let text = "{\"a\": 1}\n\n{\"b\":\n 2} {\"c\": 3}\n---\nd: 4\n---\n{\"e\": 5}\n";
    assert_eq!(
        documents(text),
        [
            (json!({"a": 1}), 1),
            (json!({"b": 2}), 3),
            (json!({"c": 3}), 4),
            (json!({"d": 4}), 6),
            (json!({"e": 5}), 8),
        ]
    );
}

#[test]
fn braces_without_quotes_are_yaml() {
    assert_eq!(
        documents("{a: 1}\n---\n{b: 2}\n"),
        [(json!({"a": 1}), 1), (json!({"b": 2}), 3)]
    );
    assert_eq!(documents("{}\n{ }"), [(json!({}), 1), (json!({}), 2)]);
}

#[test]
fn empty_documents_are_skipped() {
    assert_eq!(documents(""), []);
    assert_eq!(documents("\n# nothing\n---\n---\n"), []);
    assert_eq!(
        documents("---\n# first\n---\na: 1\n---\n---\nb: 2\n"),
        [(json!({"a": 1}), 4), (json!({"b": 2}), 7),]
    );
}

#[test]
fn byte_order_mark_is_skipped() {
    assert_eq!(documents("\u{feff}{\"a\": 1}"), [(json!({"a": 1}), 1)]);
    assert_eq!(documents("\u{feff}a: 1"), [(json!({"a": 1}), 1)]);
}

#[test]
fn anchors_and_merge_keys_are_supported() {
    let text = "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n";
    let expected = json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}});
    assert_eq!(documents(text), [(expected, 1)]);
}

#[test]
fn quoted_scalars_stay_strings() {
    let text = "a: \"true\"\nb: '1'\nc: \"\"\nd: 2026-01-31T12:00:00Z\n";
    let expected = json!({"a": "true", "b": "1", "c": "", "d": "2026-01-31T12:00:00Z"});
    assert_eq!(documents(text), [(expected, 1)]);
}

#[test]
fn syntax_errors_name_the_document_and_the_line() {
    assert_eq!(
        error("{\"a\": 1}\n{\"b\":\n  oops}"),
        "file, document 2: expected value at line 3, column 3"
    );
    assert_eq!(
        error("{\"a\": 1"),
        "file, document 1: EOF while parsing an object at line 1, column 7"
    );
    let error_of = error("{\"a\": 1}\n---\nb: 2\n---\nc: 3\n  d: 4\n");
    assert!(error_of.starts_with("file, document 3: "), "{error_of}");
    assert!(error_of.contains("line 6, column 4"), "{error_of}");
    let error_of = error("a: 1\na: 2\n");
    assert!(
        error_of.starts_with("file, document 1: ") && error_of.contains("line 2"),
        "{error_of}"
    );
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("{\"a\":", "}")] {
        let text = format!("x: {}1{}", open.repeat(50_000), close.repeat(50_000));
        assert!(parse("file", &text).is_err(), "{open}");
    }
    let text = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    assert!(parse("file", &text).is_err());
    let deep: Vec<_> = (0..5_000)
        .map(|depth| format!("{}a:", " ".repeat(depth)))
        .collect();
    assert!(parse("file", &deep.join("\n")).is_err());
}
