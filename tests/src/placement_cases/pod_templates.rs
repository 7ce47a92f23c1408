//! Random pod templates: only what their pods need of a node.

use serde_json::{Map, Value, json};

use super::{Dice, object};

const RESOURCES: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "example.com/gpu"];
/// Requests of huge pages must equal their limits. So templates set only the limits, and the requests default to them.
const HUGE_PAGES: [&str; 2] = ["hugepages-2Mi", "hugepages-1Gi"];
const QUANTITIES: [&str; 15] = [
    "0",
    "1",
    "2",
    "100m",
    "250m",
    "0.1",
    "1.5",
    "64Mi",
    "1Gi",
    "1G",
    "1536Mi",
    "0.5Ki",
    "1e3",
    "128974848",
    "12345678901",
];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const ADDRESSES: [&str; 4] = ["", "0.0.0.0", "10.0.0.1", "10.0.0.2"];

/// Random pod templates. The same seed gives the same ones.
pub fn templates(seed: u64, count: usize) -> Vec<Value> {
    let mut dice = Dice::new(seed, 0);
    (0..count).map(|_| template(&mut dice)).collect()
}

fn template(dice: &mut Dice) -> Value {
    let spec = object([
        ("hostNetwork", dice.maybe(30, |_| json!(true))),
        (
            "initContainers",
            dice.maybe(60, |dice| containers(dice, 0..4, true)),
        ),
        ("containers", Some(containers(dice, 1..4, false))),
        ("resources", dice.maybe(40, requirements)),
        ("overhead", dice.maybe(20, |dice| quantities(dice, &[]))),
    ]);
    json!({"spec": spec})
}

fn containers(dice: &mut Dice, count: std::ops::Range<usize>, init: bool) -> Value {
    dice.list(count, |dice| {
        object([
            ("name", Some(json!("c"))),
            (
                "restartPolicy",
                dice.maybe(if init { 50 } else { 0 }, |_| json!("Always")),
            ),
            ("resources", dice.maybe(80, requirements)),
            ("ports", dice.maybe(50, |dice| dice.list(0..3, port))),
        ])
    })
}

fn requirements(dice: &mut Dice) -> Value {
    object([
        ("requests", dice.maybe(60, |dice| quantities(dice, &[]))),
        ("limits", dice.maybe(60, |dice| quantities(dice, &HUGE_PAGES))),
    ])
}

fn quantities(dice: &mut Dice, beside: &[&str]) -> Value {
    let mut named = Map::new();
    for resource in RESOURCES.iter().chain(beside) {
        if dice.chance(40) {
            named.insert((*resource).to_owned(), json!(dice.pick(&QUANTITIES)));
        }
    }
    Value::Object(named)
}

fn port(dice: &mut Dice) -> Value {
    let number = |dice: &mut Dice| json!(8_000 + u16::from(dice.chance(50)));
    object([
        ("containerPort", Some(number(dice))),
        ("hostPort", dice.maybe(40, number)),
        ("protocol", dice.maybe(70, |dice| json!(dice.pick(&PROTOCOLS)))),
        ("hostIP", dice.maybe(40, |dice| json!(dice.pick(&ADDRESSES)))),
    ])
}
