use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    read(text).unwrap().map_or(Value::Null, |document| document.value)
}

fn error(text: &str) -> (String, u64) {
    let error = read(text).unwrap_err();
    (error.message, error.line)
}

#[test]
fn plain_scalars_have_the_meaning_of_yaml_1_1() {
    for (text, meaning) in [
        ("0200", json!(128)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("-0b101", json!(-5)),
        ("+7", json!(7)),
        ("1_000", json!(1_000)),
        ("08", json!(8)),
        ("9223372036854775808", json!(9_223_372_036_854_775_808_u64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1.50", json!(1.5)),
        ("1.0", json!(1)),
        (".5", json!(0.5)),
        ("1e3", json!(1_000)),
        ("-2.5E-1", json!(-0.25)),
        ("1e400", json!("1e400")),
        ("0x", json!("0x")),
        ("1.2.3", json!("1.2.3")),
        ("100m", json!("100m")),
        ("--1", json!("--1")),
        ("0-1", json!("0-1")),
        ("_1", json!("_1")),
        ("12:30:45", json!("12:30:45")),
        ("1:30", json!("1:30")),
        ("0B1", json!(1)),
        ("0o8", json!("0o8")),
        ("1e+3", json!(1_000)),
        (".5e", json!(".5e")),
        ("2026-01-31", json!("2026-01-31")),
        ("yes", json!(true)),
        ("On", json!(true)),
        ("n", json!(false)),
        ("yEs", json!("yEs")),
        ("~", json!(null)),
        ("NULL", json!(null)),
        ("nil", json!("nil")),
    ] {
        assert_eq!(value(&format!("a: {text}")), json!({ "a": meaning }), "{text}");
    }
    assert_eq!(value("a:\nb: ''\n"), json!({"a": null, "b": ""}));
}

#[test]
fn quoted_and_block_scalars_are_text() {
    let text = "a: \"true\"\nb: '1'\nc: |\n  1\nd: >-\n  2\n";
    assert_eq!(value(text), json!({"a": "true", "b": "1", "c": "1\n", "d": "2"}));
}

#[test]
fn tags_decide_what_a_scalar_means() {
    let text =
        "a: !!str 1\nb: !!int '7'\nc: !!float 2\nd: !!binary aGk=\ne: ! 3\nf: !custom 4\ng: !!null ~\n";
    assert_eq!(
        value(text),
        json!({"a": "1", "b": 7, "c": 2, "d": "hi", "e": "3", "f": "4", "g": null})
    );
    assert_eq!(error("a: !!int x"), ("x doesn't fit its tag !!int".to_owned(), 1));
    assert_eq!(error("a: !!bool 1").0, "1 doesn't fit its tag !!bool");
}

#[test]
fn keys_are_text() {
    let text = "1: a\n1.5: b\ntrue: c\n2e7: d\n\"x\": e\n2026-01-31: f\n0x10: g\n-.Inf: h\n";
    assert_eq!(
        value(text),
        json!({"1": "a", "1.5": "b", "true": "c", "2e+07": "d", "x": "e", "2026-01-31": "f", "16": "g", "-.inf": "h"})
    );
    assert_eq!(error("a: 1\nnull: b").0, "null can't be a key; put it in quotes");
    assert_eq!(error("[a]: b").0, "a list or a mapping can't be a key");
    assert_eq!(error("? {a: 1}\n: b").0, "a list or a mapping can't be a key");
}

#[test]
fn numbers_that_json_cannot_express_are_refused() {
    for text in ["a: .inf", "a: -.Inf", "a: .nan"] {
        let (message, line) = error(text);
        assert_eq!(
            (message.as_str(), line),
            ("an infinite or undefined number can't be part of an object", 1)
        );
    }
}

#[test]
fn aliases_and_merges_repeat_what_their_anchors_hold() {
    let text = "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\nf: [&y 1, *y]\n? &z g\n: *z\n";
    assert_eq!(
        value(text),
        json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}, "f": [1, 1], "g": "g"})
    );
}

#[test]
fn first_of_several_merged_mappings_takes_precedence_and_later_keys_replace_merged_ones() {
    let text = "d:\n  <<: [{a: 1, b: 1}, {a: 2, c: 2}]\n  b: 3\n";
    let document = read(text).unwrap().unwrap();
    assert_eq!(document.value, json!({"d": {"a": 1, "b": 3, "c": 2}}));
    assert_eq!(document.duplicates, []);
    let twice = read("<<: {a: 1}\na: 2\na:\n  3\n").unwrap().unwrap();
    assert_eq!(twice.value, json!({"a": 3}));
    let key = "a".to_owned();
    assert_eq!(twice.duplicates, [Duplicate { key, line: 3 }]);
    // Like in go-yaml, a merge replaces keys before it.
    assert_eq!(value("a: 1\n<<: {a: 2}\n"), json!({"a": 2}));
    assert_eq!(value("\"<<\": {a: 2}\n"), json!({"<<": {"a": 2}}));
    assert_eq!(
        error("<<: 1").0,
        "only a mapping, or a list of mappings, can be merged with <<"
    );
}

#[test]
fn aliases_cannot_make_a_document_huge() {
    let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let list = vec![alias; 10].join(", ");
        lines.push(format!("a{level}: &a{level} [{list}]"));
    }
    let text = lines.join("\n");
    assert_eq!(error(&text).0, "the document repeats too much through aliases");
    let large = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        vec!["*a"; 90].join(", ")
    );
    assert_eq!(error(&large).0, "the document repeats too much through aliases");
    assert_eq!(
        error("a: &a [*a]").0,
        "an anchor's value contains an alias of itself"
    );
    let (message, _) = error("a: *b");
    assert!(message.contains("anchor"), "{message}");
}

#[test]
fn anchors_within_anchors_cannot_make_a_document_huge() {
    let nested = |depth: usize, text: &str| {
        let open: Vec<_> = (0..depth).map(|level| format!("&a{level} [")).collect();
        format!("{}{text}{}", open.concat(), "]".repeat(depth))
    };
    assert!(read(&nested(10, "x")).is_ok());
    let large = nested(200, &"x".repeat(1 << 20));
    assert_eq!(error(&large).0, "the document repeats too much through aliases");
}

#[test]
fn lines_of_keys_and_items_are_recorded() {
    let text = "a:\n  b:\n  - c: 1\n\n  - {d: 2,\n    example.com/e: 3}\nf: &x\n  g: 4\nh: *x\n";
    let lines = read(text).unwrap().unwrap().lines;
    for (path, line) in [
        ("a.b", 2),
        ("a.b[0].c", 3),
        ("a.b[1]", 5),
        ("a.b[1].example.com/e", 6),
        ("f.g", 8),
        ("h.g", 9),
    ] {
        assert_eq!(lines.find(path), Some(line), "{path}");
    }
}

#[test]
fn only_the_first_root_value_is_read() {
    let ignored = |text: &str| {
        let document = read(text).unwrap().unwrap();
        assert_eq!(document.value, json!({"a": 1}));
        document.ignored
    };
    assert_eq!(ignored("a: 1\n---\nb: 2\n"), Some(3));
    assert_eq!(ignored("a: 1\n...\n# comment\n"), None);
    assert_eq!(read("# nothing\n"), Ok(None));
}

#[test]
fn comment_needs_no_blank_after_a_bracket_or_a_quote() {
    assert_eq!(
        value("a: \"1\"# one\nb: [2]#two\nc: {#three\n d: e}\nf: g#h\n"),
        json!({"a": "1", "b": [2], "c": {"d": "e"}, "f": "g#h"})
    );
    let (message, line) = error(&"- []#\n".repeat(200));
    assert_eq!(
        (message.as_str(), line),
        ("a comment needs a blank before it", 100)
    );
}
