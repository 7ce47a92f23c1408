//! Random taints and tolerations.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Generator, object};

/// About half of them describe a node's own problems, some of which daemon pods tolerate.
const KEYS: [&str; 12] = [
    "gpu",
    "gpu",
    "gpu",
    "example.com/gpu",
    "example.com/gpu",
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/network-unavailable",
];
const VALUES: [&str; 4] = ["", "a", "1", "5"];
/// Most are `NoSchedule`. It keeps new pods away but lets existing ones stay, a result that would otherwise be rare.
const EFFECTS: [&str; 5] = [
    "NoSchedule",
    "NoSchedule",
    "NoSchedule",
    "NoExecute",
    "PreferNoSchedule",
];
/// Tolerations that the reference adds itself, the last one only to pods on the host's network. Where the reference
/// adds one, the same toleration in the template changes nothing.
const DEFAULTS: [(&str, &str); 3] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ("node.kubernetes.io/network-unavailable", "NoSchedule"),
];

/// A node's taints, if it has any.
pub(super) fn taints(generator: &mut Generator) -> Option<Value> {
    generator.optional(80, |generator| {
        let mut known = BTreeSet::new();
        let Value::Array(mut taints) = generator.list(0..4, taint) else {
            return Value::Null;
        };
        let unique = |taint: &Value| known.insert((taint["key"].to_string(), taint["effect"].to_string()));
        if !generator.odd {
            taints.retain(unique);
        }
        Value::Array(taints)
    })
}

fn taint(generator: &mut Generator) -> Value {
    let key = match generator.is_part_odd(10) {
        true if generator.chance(50) => Value::Null,
        true => json!(""),
        false => json!(generator.pick(&KEYS)),
    };
    let effect = match generator.is_part_odd(10) {
        true if generator.chance(50) => Value::Null,
        true => json!(generator.pick(&["", "noschedule", "Unheard"])),
        false => json!(generator.pick(&EFFECTS)),
    };
    let value = generator.optional(60, |generator| json!(generator.pick(&VALUES)));
    let added = generator.optional(10, |_| json!("2026-01-02T03:04:05Z"));
    object([
        ("key", Some(key)),
        ("value", value),
        ("effect", Some(effect)),
        ("timeAdded", added),
    ])
}

/// A template's tolerations, if it has any.
pub(super) fn tolerations(generator: &mut Generator) -> Option<Value> {
    generator.optional(75, |generator| generator.list(0..5, toleration))
}

fn toleration(generator: &mut Generator) -> Value {
    if generator.chance(10) {
        let (key, effect) = generator.random.choice(DEFAULTS).unwrap_or_default();
        let seconds = generator
            .optional(30, |_| json!(300))
            .filter(|_| effect == "NoExecute");
        return object([
            ("key", Some(json!(key))),
            ("operator", Some(json!("Exists"))),
            ("effect", Some(json!(effect))),
            ("tolerationSeconds", seconds),
        ]);
    }
    let (keyless, odd) = (generator.chance(15), generator.is_part_odd(60));
    let key = if keyless {
        generator.optional(30, |_| json!(""))
    } else {
        Some(json!(generator.pick(&KEYS)))
    };
    let operator = if odd {
        let operators = ["Exists", "Equal", "", "Gt", "Lt", "exists", "Unheard"];
        generator.optional(85, |generator| json!(generator.pick(&operators)))
    } else if keyless || generator.chance(40) {
        Some(json!("Exists"))
    } else {
        generator.optional(60, |generator| json!(generator.pick(&["Equal", "Equal", ""])))
    };
    let value = generator.optional(70, |generator| json!(generator.pick(&VALUES)));
    let value = value.filter(|_| odd || operator != Some(json!("Exists")));
    let effect = match generator.random.u8(..10) {
        0..4 => generator.optional(30, |_| json!("")),
        4 if odd => Some(json!(generator.pick(&["noschedule", "Unheard"]))),
        _ => Some(json!(generator.pick(&EFFECTS[2..]))),
    };
    let seconds = generator.optional(30, |generator| json!(generator.random.choice([-1, 0, 300])));
    let seconds = seconds.filter(|_| odd || effect == Some(json!("NoExecute")));
    object([
        ("key", key),
        ("operator", operator),
        ("value", value),
        ("effect", effect),
        ("tolerationSeconds", seconds),
    ])
}
