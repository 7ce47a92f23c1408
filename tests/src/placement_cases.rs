//! Random placement cases: may a `DaemonSet` have a pod on a node? The planner and [`judge`](crate::judge) decide the
//! same cases, which shows whether both follow the same rules. The same seed generates the same cases.
//!
//! An API server would accept most of the objects. About one in three is odd: it also contains values that validation
//! rejects. Both sides define results for them anyway, because an older server may have accepted them, or because the
//! object comes from a file that no server has validated:
//! - nulls, which a server would have left out;
//! - operators and effects that don't exist;
//! - requirements with too many or too few values, on unknown fields, or with keys and values that no label can have;
//! - a required node affinity without terms;
//! - tolerations without a key, or with a value where there must be none; `tolerationSeconds` where the effect allows
//!   none; the operators `Gt` and `Lt`, whose feature gate is off;
//! - labels that no node can have, and duplicate taints.
//!
//! There are few keys and values, so that requirements often match.

mod affinity;
pub mod pod_templates;
mod taints;

use std::iter::repeat_with;

use serde_json::{Map, Value, json};

/// The label keys in use.
const KEYS: [&str; 3] = ["disk", "zone", "example.com/zone"];
/// The values of these labels.
const VALUES: [&str; 4] = ["a", "a", "b", ""];
/// The label key that most Gt and Lt requirements use.
const NUMBER: &str = "size";
/// The values of this label: integers, strings that only look like integers, and both sides of the 64-bit limit.
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
/// Keys that no label can have, although a node in a file may. [`keys`] adds keys that are one character too long.
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

/// Some `DaemonSet`s and some nodes. A case covers every pair of them.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacementCase {
    /// apps/v1 `DaemonSet`s.
    pub daemon_sets: Vec<Value>,
    /// Nodes, in the order of their names.
    pub nodes: Vec<Value>,
}

impl PlacementCase {
    /// The case as JSON.
    pub fn to_json(&self) -> Value {
        json!({"daemonSets": self.daemon_sets, "nodes": self.nodes})
    }
}

/// Cases that cover more than 100 000 pairs.
pub fn many() -> Vec<PlacementCase> {
    generate(Generator::new(31, 33), 270, 25, 16)
}

/// The cases that the planner's own tests store together with the reference's verdicts. The sample is small, so
/// nearly all of its objects are odd, and its seed was chosen so that they cover nearly every corner case.
pub fn sample() -> Vec<PlacementCase> {
    let mut sample = generate(Generator::new(56, 90), 10, 24, 10);
    for case in &mut sample {
        case.daemon_sets
            .retain(|daemon_set| !has_unknown_field_matching_all(daemon_set));
    }
    sample
}

/// Whether the required node affinity uses a nonexistent field in a way that matches every node. No API server has ever
/// accepted that. kube-controller-manager, which gets objects only from API servers, treats such a field as an empty
/// one. Explain also reads files, in which such a field is a typo. Explain reports the typo, and the term matches
/// nothing (P3).
pub fn has_unknown_field_matching_all(daemon_set: &Value) -> bool {
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

/// `count` cases with the given numbers of `DaemonSet`s and nodes each.
fn generate(mut generator: Generator, count: usize, daemon_sets: usize, nodes: usize) -> Vec<PlacementCase> {
    let names: Vec<_> = (0..nodes).map(|index| format!("node-{index:02}")).collect();
    let case = || PlacementCase {
        daemon_sets: (0..daemon_sets)
            .map(|index| daemon_set(&mut generator, &format!("set-{index:02}"), &names))
            .collect(),
        nodes: names.iter().map(|name| node(&mut generator, name)).collect(),
    };
    repeat_with(case).take(count).collect()
}

/// The source of randomness. While it generates an odd object, some of the object's parts are odd too.
#[derive(Debug)]
struct Generator {
    random: fastrand::Rng,
    odd_percent: u8,
    odd: bool,
}

impl Generator {
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
    fn is_part_odd(&mut self, percent: u8) -> bool {
        self.odd && self.chance(percent)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.random.choice(from).copied().unwrap_or_default()
    }

    fn name<'a>(&mut self, names: &'a [String]) -> &'a str {
        self.random.choice(names).map_or("node", String::as_str)
    }

    /// A field that may be left out. In an odd object it may also be null.
    fn optional(&mut self, percent: u8, value: impl FnOnce(&mut Self) -> Value) -> Option<Value> {
        if self.chance(percent) {
            Some(value(self))
        } else {
            self.is_part_odd(30).then_some(Value::Null)
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

fn keys(generator: &mut Generator) -> String {
    if !generator.is_part_odd(10) {
        return match generator.random.u8(..10) {
            0 => NUMBER.to_owned(),
            1 => format!("{}/{}", "long.".repeat(50) + "com", "x".repeat(63)),
            _ => generator.pick(&KEYS).to_owned(),
        };
    }
    match generator.random.u8(..12) {
        0 => "x".repeat(64),
        1 => format!("{}/zone", "long.".repeat(50) + "comm"),
        _ => generator.pick(&ODD_KEYS).to_owned(),
    }
}

/// A value for a label with this key.
fn value(generator: &mut Generator, key: &str) -> String {
    match (key == NUMBER, generator.is_part_odd(20)) {
        (true, false) => generator.pick(&NUMBERS).to_owned(),
        (true, true) => generator.pick(&ODD_NUMBERS).to_owned(),
        (false, false) if generator.chance(3) => "x".repeat(63),
        (false, false) => generator.pick(&VALUES).to_owned(),
        (false, true) => match generator.random.u8(..4) {
            0 => "x".repeat(64),
            _ => generator.pick(&["-", "a b", "_a", "ä"]).to_owned(),
        },
    }
}

fn labels(generator: &mut Generator, count: usize) -> Value {
    let pairs = (0..count).map(|_| {
        let key = keys(generator);
        let value = value(generator, &key);
        (key, Value::String(value))
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn daemon_set(generator: &mut Generator, name: &str, names: &[String]) -> Value {
    generator.odd = generator.chance(generator.odd_percent);
    let node_name = generator.optional(8, |generator| match generator.random.u8(..6) {
        0 => json!(""),
        1 => json!("elsewhere"),
        _ => json!(generator.name(names)),
    });
    let node_selector = generator.optional(25, |generator| {
        let count = generator.random.usize(..3);
        labels(generator, count)
    });
    let spec = object([
        ("nodeName", node_name),
        ("nodeSelector", node_selector),
        ("affinity", affinity::affinity(generator, names)),
        ("tolerations", taints::tolerations(generator)),
        (
            "hostNetwork",
            generator.optional(50, |generator| json!(generator.chance(60))),
        ),
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

fn node(generator: &mut Generator, name: &str) -> Value {
    generator.odd = generator.chance(generator.odd_percent);
    let labels = generator.optional(90, |generator| {
        let count = generator.random.usize(..6);
        let mut labels = labels(generator, count);
        if let (true, Value::Object(labels)) = (generator.chance(60), &mut labels) {
            labels.insert(NUMBER.to_owned(), json!(value(generator, NUMBER)));
        }
        labels
    });
    let metadata = object([("name", Some(json!(name))), ("labels", labels)]);
    let spec = object([
        ("taints", taints::taints(generator)),
        (
            "unschedulable",
            generator.optional(20, |generator| json!(generator.chance(80))),
        ),
    ]);
    let status = generator.optional(15, |generator| {
        let ready = generator.pick(&["True", "False", "Unknown"]);
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
