use serde_json::json;

use super::*;

/// Returns each document's content and the line on which it begins.
fn documents(text: &str) -> Vec<(Value, u64)> {
    let contents = parse("file", text.as_bytes()).unwrap();
    for (index, document) in contents.documents.iter().enumerate() {
        assert_eq!(document.place.document, index + 1);
    }
    contents
        .documents
        .into_iter()
        .map(|document| (document.value, document.place.line))
        .collect()
}

fn notes(text: &str) -> Vec<String> {
    parse("file", text.as_bytes()).unwrap().notes
}

fn error(text: &str) -> String {
    parse("file", text.as_bytes()).unwrap_err().to_string()
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
fn text_that_begins_like_json_can_be_yaml() {
    assert_eq!(
        documents("{\"a\": 1, # comment\n b: 2}"),
        [(json!({"a": 1, "b": 2}), 1)]
    );
    assert_eq!(documents("[{\"a\": 1}]"), [(json!([{"a": 1}]), 1)]);
    assert_eq!(
        documents("[{\"a\": 1}, {b: 2}]"),
        [(json!([{"a": 1}, {"b": 2}]), 1)]
    );
}

#[test]
fn empty_documents_are_skipped() {
    assert_eq!(documents(""), []);
    assert_eq!(documents("\n# nothing\n---\n---\n"), []);
    assert_eq!(documents("null\n---\n~\n"), []);
    assert_eq!(
        documents("---\n# first\n---\na: 1\n---\n---\nb: 2\n"),
        [(json!({"a": 1}), 4), (json!({"b": 2}), 7),]
    );
}

#[test]
fn document_may_begin_with_an_indented_line() {
    assert_eq!(
        documents("\n  a: 1\n  b: 2\n---\n\n\n    c: 3\n    d: 4\n"),
        [(json!({"a": 1, "b": 2}), 2), (json!({"c": 3, "d": 4}), 7)]
    );
}

#[test]
fn document_may_begin_with_directives_or_on_the_line_of_its_separator() {
    assert_eq!(documents("%YAML 1.1\n---\na: 1\n"), [(json!({"a": 1}), 3)]);
    assert_eq!(
        documents("# comment\n--- {a: 1}\n--- # comment\nb: 2\n"),
        [(json!({"a": 1}), 2), (json!({"b": 2}), 4)]
    );
}

#[test]
fn byte_order_marks_are_skipped() {
    assert_eq!(documents("\u{feff}{\"a\": 1}"), [(json!({"a": 1}), 1)]);
    assert_eq!(
        documents("\u{feff}a: 1\n\u{feff}---\n\u{feff}b: 2\n"),
        [(json!({"a": 1}), 1), (json!({"b": 2}), 3)]
    );
}

#[test]
fn many_comments_may_be_anywhere() {
    let comments = "    # comment\n".repeat(500);
    assert_eq!(
        documents(&format!("a:\n{comments}    b: 1\n{comments}c:\n{comments}- 2\n")),
        [(json!({"a": {"b": 1}, "c": [2]}), 1)]
    );
}

#[test]
fn last_of_equal_keys_counts_and_is_noted_with_its_line() {
    let text = "a: 1\nb:\n  c: 2\n  c: 3\n---\na: 4\na: 5\n";
    assert_eq!(
        documents(text),
        [(json!({"a": 1, "b": {"c": 3}}), 1), (json!({"a": 5}), 6)]
    );
    assert_eq!(
        notes(text),
        [
            "file:4: c is set more than once; the last value counts",
            "file:7: a is set more than once; the last value counts",
        ]
    );
    let text = "\n{\"a\": {\n  \"b\": 1,\n  \"b\": 2}}";
    assert_eq!(documents(text), [(json!({"a": {"b": 2}}), 2)]);
    assert_eq!(
        notes(text),
        ["file:4: b is set more than once; the last value counts"]
    );
}

#[test]
fn only_the_first_repeated_keys_have_notes() {
    let text = "a: 1\n".repeat(MAX_DUPLICATES + 1);
    assert_eq!(notes(&text).len(), MAX_DUPLICATES);
    let text = "a: 1\n".repeat(MAX_DUPLICATES + 6);
    let notes = notes(&text);
    assert_eq!(notes.len(), MAX_DUPLICATES + 1);
    assert_eq!(
        notes.last().unwrap(),
        "file: 25 keys are set more than once; only the first 20 are listed"
    );
}

#[test]
fn lines_of_values_are_those_of_the_file() {
    let contents = parse("file", b"{\"a\": 1}\n---\nb:\n- c: 1\n").unwrap();
    let lines: Vec<_> = contents
        .documents
        .iter()
        .map(|document| document.place.lines.find("b[0].c"))
        .collect();
    assert_eq!(lines, [None, Some(4)]);
}

#[test]
fn nul_characters_are_refused_with_their_line() {
    for text in ["a: 1\n# \0\n", "{\"a\":\n \"\0\"}"] {
        assert_eq!(
            error(text),
            "file:2: a file of objects has no NUL characters; if it is UTF-16, it needs a byte-order mark"
        );
    }
}

#[test]
fn content_after_the_end_of_a_document_is_ignored_with_a_note() {
    let text = "a: 1\n...\nb: 2\n---\nc: 3\n";
    assert_eq!(documents(text), [(json!({"a": 1}), 1), (json!({"c": 3}), 5)]);
    assert_eq!(
        notes(text),
        ["file:3: content after the end of a document is ignored; begin the next document with a line `---`"]
    );
    assert_eq!(notes("a: 1\n...\n# comment\n"), Vec::<String>::new());
    assert_eq!(
        documents("a: 1\n... not read\n---\nb: 2\n"),
        [(json!({"a": 1}), 1), (json!({"b": 2}), 4)]
    );
}

#[test]
fn syntax_errors_name_the_line() {
    assert_eq!(error("{\"a\": 1}\n{\"b\":\n  oops: 1"), "file:3: expected value");
    assert_eq!(
        error("{\"a\": 1"),
        "file:1: the text ends in the middle of an object"
    );
    for text in [
        "{\"a\": 1}\n---\nb: 2\n---\nc: 3\n  d: 4\n",
        "a: 1\n\nb: 2\n\nc:\n  [1",
    ] {
        let message = error(text);
        assert!(message.starts_with("file:6: "), "{message}");
    }
}

#[test]
fn compressed_file_has_a_hint() {
    let message = parse("file", &[0x1f, 0x8b, 8, 0]).unwrap_err().to_string();
    assert_eq!(
        message,
        "file:1: the file is compressed; decompress it first, such as with gunzip"
    );
}

#[test]
fn template_of_helm_is_recognized() {
    for text in ["a: {{ .Values.a }}\n", "{{- if .Values.b }}\na: 1\n{{- end }}\n"] {
        let message = error(text);
        assert!(message.contains("`helm template`"), "{message}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("{\"a\":", "}")] {
        let text = format!("x: {}1{}", open.repeat(50_000), close.repeat(50_000));
        assert!(parse("file", text.as_bytes()).is_err(), "{open}");
    }
    let text = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    assert!(parse("file", text.as_bytes()).is_err());
    let deep: Vec<_> = (0..5_000)
        .map(|depth| format!("{}a:", " ".repeat(depth)))
        .collect();
    assert!(parse("file", deep.join("\n").as_bytes()).is_err());
}
