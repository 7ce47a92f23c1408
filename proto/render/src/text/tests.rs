use super::*;

#[test]
fn control_characters_are_escaped() {
    for (text, wanted) in [
        ("\u{1b}[31mred", "\\x1b[31mred"),
        ("\u{9b}31mred", "\\u{9b}31mred"),
        ("\u{1b}]0;title\u{7}", "\\x1b]0;title\\x07"),
        ("good\rbad", "good\\rbad"),
        ("one\ntwo\tthree", "one\\ntwo\\tthree"),
        ("\0\u{8}\u{7f}\u{85}", "\\x00\\x08\\x7f\\u{85}"),
    ] {
        assert_eq!(printable(text), wanted);
    }
}

#[test]
fn invisible_characters_are_escaped() {
    for (text, wanted) in [
        ("agent\u{202e}gnp.exe", "agent\\u{202e}gnp.exe"),
        ("\u{2066}a\u{2069}", "\\u{2066}a\\u{2069}"),
        ("a\u{200e}b\u{200f}c", "a\\u{200e}b\\u{200f}c"),
        ("a\u{200b}b", "a\\u{200b}b"),
        ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
        ("\u{feff}a", "\\u{feff}a"),
        ("a\u{e0041}", "a\\u{e0041}"),
    ] {
        assert_eq!(printable(text), wanted);
    }
}

#[test]
fn all_other_text_stays_and_is_not_copied() {
    for text in [
        "",
        "kube-system/agent",
        "C:\\x1b",
        "żółw Привет 日本語 नमस्ते é 🦀",
        "a b",
    ] {
        assert!(
            matches!(printable(text), Cow::Borrowed(same) if same == text),
            "{text}"
        );
    }
}

#[test]
fn no_control_character_is_printable() {
    for character in (0..=0x9f).filter_map(char::from_u32) {
        let wanted = (' '..='~').contains(&character);
        assert_eq!(is_printable(character), wanted, "{character:?}");
        assert_eq!(printable(&character.to_string()) == character.to_string(), wanted);
    }
}

#[test]
fn printable_lines_keep_only_line_breaks() {
    assert_eq!(printable_lines("a\r\nb\u{1b}[2J\n"), "a\\r\nb\\x1b[2J\n");
}

#[test]
fn escaped_json_and_yaml_have_the_same_meaning() {
    let value = "\u{1b}[1m\u{7f}\u{9b}31m \u{202e}\u{feff}\u{e0041} \n ż🦀";
    let json = serde_json::to_string_pretty(&[value]).unwrap();
    let safe = printable_json(&json);
    assert!(
        safe.chars()
            .all(|character| character == '\n' || is_printable(character)),
        "{safe}"
    );
    assert_eq!(serde_json::from_str::<[String; 1]>(&safe).unwrap(), [value]);
    let safe = printable_json_as_yaml(&json);
    assert!(
        safe.chars()
            .all(|character| character == '\n' || is_printable(character)),
        "{safe}"
    );
    assert_eq!(serde_saphyr::from_str::<[String; 1]>(&safe).unwrap(), [value]);
    assert!(matches!(printable_json("{\n  \"a\": 1\n}\n"), Cow::Borrowed(_)));
}

#[test]
fn escaping_writer_escapes_every_piece() {
    let mut out = String::new();
    let (shown, quoted) = ("a\u{1b}b", "c\u{1b}d");
    write!(EscapingWriter(&mut out), "{shown} and {quoted:?}").unwrap();
    assert_eq!(out, "a\\x1bb and \"c\\u{1b}d\"");
}
