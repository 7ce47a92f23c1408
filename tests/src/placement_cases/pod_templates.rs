//! Random pod templates that set only the resources and ports that a pod needs.

use serde_json::{Map, Value, json};

use super::{Generator, object};

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

/// Random pod templates. The same seed generates the same templates.
pub fn pod_templates(seed: u64, count: usize) -> Vec<Value> {
    let mut generator = Generator::new(seed, 0);
    (0..count).map(|_| template(&mut generator)).collect()
}

fn template(generator: &mut Generator) -> Value {
    let spec = object([
        ("hostNetwork", generator.optional(30, |_| json!(true))),
        (
            "initContainers",
            generator.optional(60, |generator| containers(generator, 0..4, true)),
        ),
        ("containers", Some(containers(generator, 1..4, false))),
        ("resources", generator.optional(40, requirements)),
        (
            "overhead",
            generator.optional(20, |generator| quantities(generator, &[])),
        ),
    ]);
    json!({"spec": spec})
}

fn containers(generator: &mut Generator, count: std::ops::Range<usize>, init: bool) -> Value {
    generator.list(count, |generator| {
        object([
            ("name", Some(json!("c"))),
            (
                "restartPolicy",
                generator.optional(if init { 50 } else { 0 }, |_| json!("Always")),
            ),
            ("resources", generator.optional(80, requirements)),
            (
                "ports",
                generator.optional(50, |generator| generator.list(0..3, port)),
            ),
        ])
    })
}

fn requirements(generator: &mut Generator) -> Value {
    object([
        (
            "requests",
            generator.optional(60, |generator| quantities(generator, &[])),
        ),
        (
            "limits",
            generator.optional(60, |generator| quantities(generator, &HUGE_PAGES)),
        ),
    ])
}

fn quantities(generator: &mut Generator, beside: &[&str]) -> Value {
    let mut named = Map::new();
    for resource in RESOURCES.iter().chain(beside) {
        if generator.chance(40) {
            named.insert((*resource).to_owned(), json!(generator.pick(&QUANTITIES)));
        }
    }
    Value::Object(named)
}

fn port(generator: &mut Generator) -> Value {
    let number = |generator: &mut Generator| json!(8_000 + u16::from(generator.chance(50)));
    object([
        ("containerPort", Some(number(generator))),
        ("hostPort", generator.optional(40, number)),
        (
            "protocol",
            generator.optional(70, |generator| json!(generator.pick(&PROTOCOLS))),
        ),
        (
            "hostIP",
            generator.optional(40, |generator| json!(generator.pick(&ADDRESSES))),
        ),
    ])
}
