//! Error messages about values, in the words of the users who write the objects.

use std::fmt;

use serde::de::{Expected, Unexpected};

/// The longest string that a message quotes in full, in characters.
const MAX_QUOTED: usize = 64;

/// Says what a value must be and what was found instead.
pub fn mismatch(found: Unexpected<'_>, expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let required = required(&expected);
    match found {
        Unexpected::Str(text) if is_quoted_value(text, required) => {
            format!("must be {required}, without quotes; found {}", quoted(text))
        }
        // Quotes turn a number or a boolean into text, but not a list, an object or a null.
        Unexpected::Seq | Unexpected::Map | Unexpected::Unit if required == TEXT => {
            format!("must be text, found {}", Found(found))
        }
        _ => format!("must be {required}, found {}", Found(found)),
    }
}

const TEXT: &str = "text in quotes";

/// Translates serde's description of what it expects. Types that describe themselves to users keep their own words.
fn required(expected: &str) -> &str {
    match expected {
        "a string" => TEXT,
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        // Negative numbers have the right type, but no field of this type that is read may be negative.
        "i32" => "a whole number from 0 to 2147483647",
        "i64" => "a whole number of at most 9223372036854775807",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

/// Whether the value would have the right type if it had no quotes.
fn is_quoted_value(text: &str, required: &str) -> bool {
    if required.contains("number") {
        text.starts_with(|first: char| first.is_ascii_digit()) && text.parse::<u64>().is_ok()
    } else {
        required == "true or false" && matches!(text, "true" | "false")
    }
}

/// Quotes a string, and shortens it if it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Describes a value that was found.
struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Unexpected::Bool(value) => write!(formatter, "{value}"),
            Unexpected::Unsigned(number) => write!(formatter, "{number}"),
            Unexpected::Signed(number) => write!(formatter, "{number}"),
            Unexpected::Float(number) => write!(formatter, "{number:?}"),
            Unexpected::Str(text) => formatter.write_str(&quoted(text)),
            Unexpected::Unit => formatter.write_str("null"),
            Unexpected::Seq => formatter.write_str("a list"),
            Unexpected::Map => formatter.write_str("an object"),
            other => write!(formatter, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatch_says_what_is_required_and_what_was_found() {
        for (found, expected, message) in [
            (
                Unexpected::Str("8080"),
                "a whole number from 1 to 65535",
                "must be a whole number from 1 to 65535, without quotes; found \"8080\"",
            ),
            (
                Unexpected::Str("http"),
                "a whole number from 1 to 65535",
                "must be a whole number from 1 to 65535, found \"http\"",
            ),
            (
                Unexpected::Str("infinity"),
                "i64",
                "must be a whole number of at most 9223372036854775807, found \"infinity\"",
            ),
            (
                Unexpected::Str("1.5"),
                "i32",
                "must be a whole number from 0 to 2147483647, found \"1.5\"",
            ),
            (
                Unexpected::Str("-1"),
                "i32",
                "must be a whole number from 0 to 2147483647, found \"-1\"",
            ),
            (
                Unexpected::Float(1.5),
                "i32",
                "must be a whole number from 0 to 2147483647, found 1.5",
            ),
            (
                Unexpected::Float(1e300),
                "i32",
                "must be a whole number from 0 to 2147483647, found 1e300",
            ),
            (
                Unexpected::Unsigned(7),
                "a string",
                "must be text in quotes, found 7",
            ),
            (
                Unexpected::Bool(true),
                "a string",
                "must be text in quotes, found true",
            ),
            (Unexpected::Seq, "a string", "must be text, found a list"),
            (Unexpected::Map, "a string", "must be text, found an object"),
            (Unexpected::Unit, "a string", "must be text, found null"),
            (
                Unexpected::Str("true"),
                "a boolean",
                "must be true or false, without quotes; found \"true\"",
            ),
            (
                Unexpected::Str("yes"),
                "a boolean",
                "must be true or false, found \"yes\"",
            ),
            (
                Unexpected::Signed(-1),
                "a boolean",
                "must be true or false, found -1",
            ),
            (Unexpected::Map, "a sequence", "must be a list, found an object"),
            (Unexpected::Seq, "struct Taint", "must be an object, found a list"),
            (Unexpected::Seq, "a map", "must be an object, found a list"),
        ] {
            assert_eq!(mismatch(found, &expected), message);
        }
    }

    #[test]
    fn long_text_is_shortened_and_control_characters_are_escaped() {
        assert_eq!(quoted(&"ü".repeat(65)), format!("\"{}\"…", "ü".repeat(64)));
        assert_eq!(quoted(&"ü".repeat(64)), format!("\"{}\"", "ü".repeat(64)));
        assert_eq!(quoted("a\n\u{1b}\"b"), "\"a\\n\\u{1b}\\\"b\"");
    }
}
