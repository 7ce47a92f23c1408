//! Random questions about placement: may this `DaemonSet` have a pod on that node? The planner and
//! [`judge`](crate::judge) answer the same questions, which shows whether both follow the same rules. The same seed
//! gives the same questions.
//!
//! An API server would accept most of the objects. About one in three is odd: it also holds values that validation
//! refuses, but that both sides define anyway, because an older server may have accepted them or because the object
//! comes from a file that no server has validated:
//! - nulls, which a server would have left out;
//! - operators and effects that don't exist;
//! - requirements with too many or too few values, on unknown fields, or with keys and values that no label can have;
//! - a required node affinity without terms;
//! - tolerations without a key, or with a value where there must be none; seconds where the effect allows none;
//!   comparisons, which are behind a feature gate that is off;
//! - labels that no node can have, and duplicate taints.
//!
//! There are few keys and values, so that requirements often match.

mod affinity;
pub mod demand;
mod taints;

use std::iter::repeat_with;

use serde_json::{Map, Value, json};

/// The label keys in use.
const KEYS: [&str; 3] = ["disk", "zone", "example.com/zone"];
/// The values of these labels.
const VALUES: [&str; 4] = ["a", "a", "b", ""];
/// The label key that most Gt and Lt requirements use.
const NUMBER: &str = "size";
/// Its values: integers, strings that only look like integers, and both sides of the 64-bit limit.
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "5",
    "5",
    "6",
    "7",
    "007",
    "9223372036854775807",
    "9223372036854775808",
    "1.5",
    "",
    "1e3",
    "0x10",
    "1_000",
];
/// Numbers that no label can have as its value.
const ODD_NUMBERS: [&str; 6] = [
    "-1",
    "+5",
    " 1",
    "5 ",
    "-9223372036854775808",
    "-9223372036854775809",
];
/// Keys that no label can have, although a node in a file may. [`keys`] adds the longest possible ones.
const ODD_KEYS: [&str; 10] = [
    "",
    "-",
    "a b",
    "zone/",
    "/zone",
    "a/b/zone",
    "Example.com/zone",
    "example..com/zone",
    "zöne",
    "zone\n",
];

/// Some `DaemonSet`s and some nodes. The question covers every pair of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// apps/v1 `DaemonSet`s.
    pub daemon_sets: Vec<Value>,
    /// Nodes, in the order of their names.
    pub nodes: Vec<Value>,
}

impl Question {
    /// The question as JSON.
    pub fn to_json(&self) -> Value {
        json!({"daemonSets": self.daemon_sets, "nodes": self.nodes})
    }
}

/// Questions that cover more than 100 000 pairs.
pub fn many() -> Vec<Question> {
    asked(Dice::new(31, 33), 270, 25, 16)
}

/// The questions that the planner's own tests store together with the reference's verdicts. The sample is small, so
/// nearly all of its objects are odd, and its seed was chosen so that they cover every corner case.
pub fn sample() -> Vec<Question> {
    let mut sample = asked(Dice::new(56, 90), 10, 24, 10);
    for question in &mut sample {
        question
            .daemon_sets
            .retain(|daemon_set| !mistakes_a_field(daemon_set));
    }
    sample
}

/// Whether the required node affinity uses a nonexistent field in a way that matches every node. No API server has ever
/// accepted that. kube-controller-manager, which gets objects only from API servers, treats such a field as an empty
/// one. Explain also handles files, where such a field is a typo: it reports that, and the term matches nothing (P3).
pub fn mistakes_a_field(daemon_set: &Value) -> bool {
    let required = "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let terms = daemon_set
        .pointer(required)
        .map(|required| &required["nodeSelectorTerms"]);
    let terms = terms.and_then(Value::as_array).into_iter().flatten();
    let fields = terms.filter_map(|term| term["matchFields"].as_array()).flatten();
    fields.into_iter().any(|field| {
        let is_empty = field["values"] == json!([""]);
        field["key"] != "metadata.name" && is_empty == (field["operator"] == "In")
    })
}

/// `count` questions with the given numbers of `DaemonSet`s and nodes each.
fn asked(mut dice: Dice, count: usize, daemon_sets: usize, nodes: usize) -> Vec<Question> {
    let names: Vec<_> = (0..nodes).map(|index| format!("node-{index:02}")).collect();
    let question = || Question {
        daemon_sets: (0..daemon_sets)
            .map(|index| daemon_set(&mut dice, &format!("set-{index:02}"), &names))
            .collect(),
        nodes: names.iter().map(|name| node(&mut dice, name)).collect(),
    };
    repeat_with(question).take(count).collect()
}

/// The source of randomness. While an object is odd, some of its parts are odd too.
#[derive(Debug)]
struct Dice {
    random: fastrand::Rng,
    odd_percent: u8,
    odd: bool,
}

impl Dice {
    fn new(seed: u64, odd_percent: u8) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            odd_percent,
            odd: false,
        }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    /// Whether this part of an odd object is odd itself.
    fn oddly(&mut self, percent: u8) -> bool {
        self.odd && self.chance(percent)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.random.choice(from).copied().unwrap_or_default()
    }

    fn name<'a>(&mut self, names: &'a [String]) -> &'a str {
        self.random.choice(names).map_or("node", String::as_str)
    }

    /// A field that may be left out. In an odd object it may also be null.
    fn maybe(&mut self, percent: u8, value: impl FnOnce(&mut Self) -> Value) -> Option<Value> {
        if self.chance(percent) {
            Some(value(self))
        } else {
            self.oddly(30).then_some(Value::Null)
        }
    }

    fn list(&mut self, lengths: std::ops::Range<usize>, item: impl FnMut(&mut Self) -> Value) -> Value {
        let (length, mut item) = (self.random.usize(lengths), item);
        (0..length).map(|_| item(self)).collect()
    }
}

/// A JSON object of the fields that aren't `None`.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let there = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(there.collect())
}

fn keys(dice: &mut Dice) -> String {
    if !dice.oddly(10) {
        return match dice.random.u8(..10) {
            0 => NUMBER.to_owned(),
            1 => format!("{}/{}", "long.".repeat(50) + "com", "x".repeat(63)),
            _ => dice.pick(&KEYS).to_owned(),
        };
    }
    match dice.random.u8(..12) {
        0 => "x".repeat(64),
        1 => format!("{}/zone", "long.".repeat(50) + "comm"),
        _ => dice.pick(&ODD_KEYS).to_owned(),
    }
}

/// A value for a label with this key.
fn value(dice: &mut Dice, key: &str) -> String {
    match (key == NUMBER, dice.oddly(20)) {
        (true, false) => dice.pick(&NUMBERS).to_owned(),
        (true, true) => dice.pick(&ODD_NUMBERS).to_owned(),
        (false, false) if dice.chance(3) => "x".repeat(63),
        (false, false) => dice.pick(&VALUES).to_owned(),
        (false, true) => match dice.random.u8(..4) {
            0 => "x".repeat(64),
            _ => dice.pick(&["-", "a b", "_a", "ä"]).to_owned(),
        },
    }
}

fn labels(dice: &mut Dice, count: usize) -> Value {
    let pairs = (0..count).map(|_| {
        let key = keys(dice);
        let value = value(dice, &key);
        (key, Value::String(value))
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn daemon_set(dice: &mut Dice, name: &str, names: &[String]) -> Value {
    dice.odd = dice.chance(dice.odd_percent);
    let node_name = dice.maybe(8, |dice| match dice.random.u8(..6) {
        0 => json!(""),
        1 => json!("elsewhere"),
        _ => json!(dice.name(names)),
    });
    let node_selector = dice.maybe(25, |dice| {
        let count = dice.random.usize(..3);
        labels(dice, count)
    });
    let spec = object([
        ("nodeName", node_name),
        ("nodeSelector", node_selector),
        ("affinity", affinity::affinity(dice, names)),
        ("tolerations", taints::tolerations(dice)),
        ("hostNetwork", dice.maybe(50, |dice| json!(dice.chance(60)))),
        ("containers", Some(json!([{"name": "a", "image": "a"}]))),
    ]);
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": spec},
        },
    })
}

fn node(dice: &mut Dice, name: &str) -> Value {
    dice.odd = dice.chance(dice.odd_percent);
    let labels = dice.maybe(90, |dice| {
        let count = dice.random.usize(..6);
        let mut labels = labels(dice, count);
        if let (true, Value::Object(labels)) = (dice.chance(60), &mut labels) {
            labels.insert(NUMBER.to_owned(), json!(value(dice, NUMBER)));
        }
        labels
    });
    let metadata = object([("name", Some(json!(name))), ("labels", labels)]);
    let spec = object([
        ("taints", taints::taints(dice)),
        ("unschedulable", dice.maybe(20, |dice| json!(dice.chance(80)))),
    ]);
    let status = dice.maybe(15, |dice| {
        let ready = dice.pick(&["True", "False", "Unknown"]);
        json!({"conditions": [{"type": "Ready", "status": ready}]})
    });
    object([
        ("apiVersion", Some(json!("v1"))),
        ("kind", Some(json!("Node"))),
        ("metadata", Some(metadata)),
        ("spec", Some(spec)),
        ("status", status),
    ])
}

#[cfg(test)]
mod tests;
