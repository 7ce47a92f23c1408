//! Random taints and tolerations.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Dice, object};

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
/// Most are `NoSchedule`, which lets existing pods stay. Otherwise that outcome would be rare.
const EFFECTS: [&str; 5] = [
    "NoSchedule",
    "NoSchedule",
    "NoSchedule",
    "NoExecute",
    "PreferNoSchedule",
];
/// Tolerations that the reference adds to every pod. In a template they change nothing.
const DEFAULTS: [(&str, &str); 3] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ("node.kubernetes.io/network-unavailable", "NoSchedule"),
];

/// A node's taints, if it has any.
pub(super) fn taints(dice: &mut Dice) -> Option<Value> {
    dice.maybe(80, |dice| {
        let mut known = BTreeSet::new();
        let Value::Array(mut taints) = dice.list(0..4, taint) else {
            return Value::Null;
        };
        let unique = |taint: &Value| known.insert((taint["key"].to_string(), taint["effect"].to_string()));
        if !dice.odd {
            taints.retain(unique);
        }
        Value::Array(taints)
    })
}

fn taint(dice: &mut Dice) -> Value {
    let key = match dice.oddly(10) {
        true if dice.chance(50) => Value::Null,
        true => json!(""),
        false => json!(dice.pick(&KEYS)),
    };
    let effect = match dice.oddly(10) {
        true if dice.chance(50) => Value::Null,
        true => json!(dice.pick(&["", "noschedule", "Unheard"])),
        false => json!(dice.pick(&EFFECTS)),
    };
    let value = dice.maybe(60, |dice| json!(dice.pick(&VALUES)));
    let added = dice.maybe(10, |_| json!("2026-01-02T03:04:05Z"));
    object([
        ("key", Some(key)),
        ("value", value),
        ("effect", Some(effect)),
        ("timeAdded", added),
    ])
}

/// A template's tolerations, if it has any.
pub(super) fn tolerations(dice: &mut Dice) -> Option<Value> {
    dice.maybe(75, |dice| dice.list(0..5, toleration))
}

fn toleration(dice: &mut Dice) -> Value {
    if dice.chance(10) {
        let (key, effect) = dice.random.choice(DEFAULTS).unwrap_or_default();
        let seconds = dice.maybe(30, |_| json!(300)).filter(|_| effect == "NoExecute");
        return object([
            ("key", Some(json!(key))),
            ("operator", Some(json!("Exists"))),
            ("effect", Some(json!(effect))),
            ("tolerationSeconds", seconds),
        ]);
    }
    let (keyless, odd) = (dice.chance(15), dice.oddly(60));
    let key = if keyless {
        dice.maybe(30, |_| json!(""))
    } else {
        Some(json!(dice.pick(&KEYS)))
    };
    let operator = if odd {
        let operators = ["Exists", "Equal", "", "Gt", "Lt", "exists", "Unheard"];
        dice.maybe(85, |dice| json!(dice.pick(&operators)))
    } else if keyless || dice.chance(40) {
        Some(json!("Exists"))
    } else {
        dice.maybe(60, |dice| json!(dice.pick(&["Equal", "Equal", ""])))
    };
    let value = dice.maybe(70, |dice| json!(dice.pick(&VALUES)));
    let value = value.filter(|_| odd || operator != Some(json!("Exists")));
    let effect = match dice.random.u8(..10) {
        0..4 => dice.maybe(30, |_| json!("")),
        4 if odd => Some(json!(dice.pick(&["noschedule", "Unheard"]))),
        _ => Some(json!(dice.pick(&EFFECTS[2..]))),
    };
    let seconds = dice.maybe(30, |dice| json!(dice.random.choice([-1, 0, 300])));
    let seconds = seconds.filter(|_| odd || effect == Some(json!("NoExecute")));
    object([
        ("key", key),
        ("operator", operator),
        ("value", value),
        ("effect", effect),
        ("tolerationSeconds", seconds),
    ])
}
