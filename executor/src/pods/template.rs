//! Compares a `DaemonSet`'s pod templates, and writes them as revisions store them (contract H2).
//!
//! Templates are compared by meaning. They are stored byte for byte as kube-controller-manager would store them, so
//! that each controller recognizes the other's revisions.

use std::fmt::Write;

use everynode_proto::{facts::PodTemplate, planner::v1::PodTemplateFacts};
use serde_json::{Map, Value, json};

use crate::{
    apiserver::objects::{DaemonSet, Revision},
    pods::hash::{self, Fingerprint},
};

/// Returns the fingerprint of a `DaemonSet`'s template. Templates with the same meaning have the same fingerprint.
pub fn fingerprint(daemon_set: &DaemonSet) -> Fingerprint {
    let template = daemon_set
        .spec
        .template
        .as_ref()
        .and_then(|raw| serde_json::from_str(raw.get()).ok());
    meaning(template.unwrap_or_default())
}

/// Returns the fingerprint of the template in a revision's data.
pub fn data_fingerprint(revision: &Revision) -> Fingerprint {
    let data: Value = revision
        .data
        .as_ref()
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let mut template = data.pointer("/spec/template").cloned().unwrap_or_default();
    if let Value::Object(fields) = &mut template {
        fields.remove("$patch");
    }
    meaning(template)
}

/// Returns the parts of the template in a revision's data that placement reads. A template that can't be read counts as
/// empty, like one of a `DaemonSet`.
pub(crate) fn data_facts(revision: &Revision) -> PodTemplateFacts {
    let template = revision.data.as_ref().and_then(|raw| {
        let mut data: Value = serde_json::from_str(raw.get()).ok()?;
        let template = data.pointer_mut("/spec/template")?.take();
        serde_json::from_value::<PodTemplate>(template).ok()
    });
    template.unwrap_or_default().facts()
}

fn meaning(mut template: Value) -> Fingerprint {
    drop_nulls(&mut template);
    round_numbers(&mut template);
    hash::fingerprint(template.to_string().as_bytes())
}

/// Removes null fields: they mean the same as missing ones (such as the creationTimestamp in older revisions).
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Rounds integers as kube-controller-manager does. That program reads every number as a float before it writes a
/// revision, so a large integer loses its last digits.
fn round_numbers(value: &mut Value) {
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Object(fields) => fields.values_mut().for_each(round_numbers),
        Value::Array(items) => items.iter_mut().for_each(round_numbers),
        Value::Number(number) => {
            let size = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
            let rounded = number.as_f64().map(|rounded| rounded.to_string());
            if size.is_some_and(|size| size > EXACT)
                && let Some(rounded) = rounded.and_then(|text| serde_json::from_str(&text).ok())
            {
                *number = rounded;
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Returns the patch that restores the template, as Go's encoding/json writes it (H2): compact, with sorted keys, and
/// with the special characters of HTML and JavaScript escaped.
pub fn data(daemon_set: &DaemonSet) -> String {
    let template = daemon_set
        .spec
        .template
        .as_ref()
        .and_then(|raw| serde_json::from_str(raw.get()).ok());
    let mut template: Map<String, Value> = template.unwrap_or_default();
    template.insert("$patch".to_owned(), "replace".into());
    let mut patch = json!({"spec": {"template": template}});
    round_numbers(&mut patch);
    let text = patch.to_string();
    // These characters occur only inside strings, so they can be escaped in the whole text.
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String can't fail.
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
