//! Lists the differences between two JSON values, in lines that a person can read.

use std::collections::BTreeMap;

use serde_json::Value;

/// Returns one line for each leaf that only one of the two values has, and two lines for each leaf whose values differ.
/// Lines of the first value start with `-`, lines of the second with `+`.
pub fn differences(first: &Value, second: &Value) -> Vec<String> {
    let (first, second) = (leaves(first), leaves(second));
    let mut lines = Vec::new();
    for (path, value) in &first {
        if second.get(path) != Some(value) {
            lines.push(format!("- {path}: {value}"));
            lines.extend(second.get(path).map(|other| format!("+ {path}: {other}")));
        }
    }
    let added = second.iter().filter(|(path, _)| !first.contains_key(*path));
    lines.extend(added.map(|(path, value)| format!("+ {path}: {value}")));
    lines
}

fn leaves(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect(value: &Value, path: String, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                collect(field, format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{path}/{index:02}"), found);
            }
        }
        leaf => {
            found.insert(path, leaf.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_different_leaf_is_listed_with_both_values() {
        let first = json!({"a": 1, "b": {"c": [1, 2]}, "d": {}, "same": "x"});
        let second = json!({"a": 2, "b": {"c": [1]}, "d": [], "e": null, "same": "x"});
        assert_eq!(
            differences(&first, &second),
            [
                "- /a: 1",
                "+ /a: 2",
                "- /b/c/01: 2",
                "- /d: {}",
                "+ /d: []",
                "+ /e: null"
            ]
        );
        assert!(differences(&first, &first).is_empty());
    }
}
