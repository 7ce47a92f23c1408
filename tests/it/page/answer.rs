//! Compares a command's output with what a page shows.

use serde_json::{Deserializer, Value};

/// Whether a value has the expected format.
type Format = fn(&str) -> bool;

/// The fields of an answer that vary from run to run, and the format that their values must have. Any value of that
/// format counts as equal. Everything else must be as the page shows it.
const VARYING: [(&str, Format); 15] = [
    ("version", is_version),
    ("rulesVersion", is_count),
    ("identity", is_name),
    ("time", is_time),
    ("created", is_time),
    ("uid", is_uid),
    ("daemonSetUid", is_uid),
    ("succeedsUid", is_uid),
    ("updateRevision", is_hash),
    ("revision", is_hash),
    ("id", is_count),
    ("actionId", is_count),
    ("basedOn", is_count),
    ("name", is_pod),
    ("pod", is_pod),
];

/// A part of the output.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// A line of text.
    Line(String),
    /// A JSON message.
    Json(Value),
}

/// Splits output into JSON messages and other lines.
pub(super) fn parts(printed: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = printed;
    while !rest.is_empty() {
        if rest.starts_with('{') {
            let mut stream = Deserializer::from_str(rest).into_iter::<Value>();
            if let Some(Ok(message)) = stream.next() {
                parts.push(Part::Json(message));
                rest = rest[stream.byte_offset()..].trim_start();
                continue;
            }
        }
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        parts.push(Part::Line(line.trim_end().to_owned()));
        rest = after;
    }
    parts
}

/// Whether two answers are the same except for what varies from run to run: the fields in [`VARYING`], and the names of
/// pods in sentences.
pub(super) fn same(shown: &str, found: &str) -> bool {
    let (shown, found) = (parts(shown), parts(found));
    let pairs = || shown.iter().zip(&found);
    shown.len() == found.len()
        && pairs().all(|pair| match pair {
            (Part::Line(shown), Part::Line(found)) => same_text(shown, found),
            (Part::Json(shown), Part::Json(found)) => same_value("", shown, found),
            _ => false,
        })
}

fn same_value(field: &str, shown: &Value, found: &Value) -> bool {
    match (shown, found) {
        (Value::Object(shown), Value::Object(found)) => {
            shown.len() == found.len()
                && shown.iter().all(|(field, shown)| {
                    let found = found.get(field);
                    found.is_some_and(|found| same_value(field, shown, found))
                })
        }
        (Value::Array(shown), Value::Array(found)) => {
            let mut pairs = shown.iter().zip(found);
            shown.len() == found.len() && pairs.all(|(shown, found)| same_value(field, shown, found))
        }
        (Value::String(shown), Value::String(found)) => {
            let varying = VARYING.iter().filter(|(name, _)| *name == field);
            same_text(shown, found) || varying.into_iter().any(|(_, fits)| fits(shown) && fits(found))
        }
        _ => shown == found,
    }
}

fn same_text(shown: &str, found: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let word = |word: &str| if is_pod(word) { "a pod" } else { word }.to_owned();
        text.split([' ', '"', '/']).map(word).collect()
    };
    words(shown) == words(found)
}

/// Whether the text is the name of a pod of the `DaemonSet` `agent`.
fn is_pod(text: &str) -> bool {
    let end = text.strip_prefix("agent-");
    end.is_some_and(|end| end.len() == 10 && is_hash(end))
}

fn is_hash(text: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    !text.is_empty() && text.chars().all(fits)
}

fn is_uid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
        && text
            .chars()
            .all(|letter| letter == '-' || letter.is_ascii_hexdigit())
}

fn is_count(text: &str) -> bool {
    text.parse::<u64>().is_ok()
}

fn is_version(text: &str) -> bool {
    text.split('.').count() == 3 && text.split('.').all(is_count)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
}

fn is_time(text: &str) -> bool {
    text.parse::<k8s_openapi::jiff::Timestamp>().is_ok()
}

#[test]
fn only_varying_fields_may_differ() {
    let answer =
        |uid: &str, node: &str| format!("deleted\n{{\"uid\": \"{uid}\", \"nodes\": [\"{node}\"]}}\n");
    let uids = [
        "0f9b2c3d-0000-4000-8000-000000000001",
        "0f9b2c3d-0000-4000-8000-000000000002",
    ];
    let shown = answer(uids[0], "worker-1");
    assert!(same(&shown, &answer(uids[1], "worker-1")));
    assert!(!same(&shown, &answer("none", "worker-1")), "not a uid");
    assert!(!same(&shown, &answer(uids[0], "worker-2")), "another node");
    assert!(
        !same(&shown, shown.trim_start_matches("deleted\n")),
        "a line is missing"
    );
    assert!(
        !same("{\"a\": 1}", "{\"a\": 1, \"b\": 2}"),
        "a field that the page doesn't show"
    );
    let message = |pod: &str| format!("Deleted pod: {pod} on node worker-1");
    assert!(same(&message("agent-7bd5c2fgh4"), &message("agent-x8z6pqrst2")));
    assert!(
        !same(&message("agent-7bd5c2fgh4"), &message("agent")),
        "not a name of a pod"
    );
}
