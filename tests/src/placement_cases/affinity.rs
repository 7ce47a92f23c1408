//! Random node affinity.

use serde_json::{Value, json};

use super::{Generator, KEYS, NUMBER, ODD_NUMBERS, keys, object, value};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
/// The only node field that a term may use.
const NAME_FIELD: &str = "metadata.name";

/// A template's affinity, if it has one.
pub(super) fn affinity(generator: &mut Generator, names: &[String]) -> Option<Value> {
    generator.optional(50, |generator| {
        // Placement ignores preferences. If one side took this one for a requirement, it would match no node.
        let preference = json!({"matchExpressions": [{"key": "nowhere", "operator": "Exists"}]});
        let preferred = generator.optional(15, |_| json!([{"weight": 1, "preference": preference}]));
        let required = generator.optional(85, |generator| {
            let terms = generator.optional(if generator.odd { 90 } else { 100 }, |generator| {
                let fewest = usize::from(!generator.is_part_odd(20));
                generator.list(fewest..4, |generator| term(generator, names))
            });
            object([("nodeSelectorTerms", terms)])
        });
        let node_affinity =
            generator.optional(90, |_| object([(REQUIRED, required), (PREFERRED, preferred)]));
        object([("nodeAffinity", node_affinity)])
    })
}

fn term(generator: &mut Generator, names: &[String]) -> Value {
    // Each part may be an empty list. A term without either part is valid and matches nothing.
    let expressions = generator.optional(85, |generator| generator.list(0..3, expression));
    let fields = generator.optional(35, |generator| {
        generator.list(0..3, |generator| field(generator, names))
    });
    object([("matchExpressions", expressions), ("matchFields", fields)])
}

fn requirement(key: &str, operator: &str, values: Option<Value>) -> Value {
    json_requirement(json!(key), json!(operator), values)
}

fn json_requirement(key: Value, operator: Value, values: Option<Value>) -> Value {
    object([
        ("key", Some(key)),
        ("operator", Some(operator)),
        ("values", values),
    ])
}

fn expression(generator: &mut Generator) -> Value {
    if generator.is_part_odd(30) {
        return odd_expression(generator);
    }
    let key = keys(generator);
    match generator.pick(&["In", "In", "NotIn", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]) {
        operator @ ("In" | "NotIn") => {
            let values = generator.list(1..4, |generator| json!(value(generator, &key)));
            requirement(&key, operator, Some(values))
        }
        operator @ ("Exists" | "DoesNotExist") => {
            let values = generator.optional(20, |_| json!([]));
            requirement(&key, operator, values)
        }
        operator => {
            // Validation doesn't check whether the value is an integer.
            let key = if generator.chance(80) { NUMBER } else { &key };
            let bound = value(generator, key);
            requirement(key, operator, Some(json!([bound])))
        }
    }
}

fn odd_expression(generator: &mut Generator) -> Value {
    let key = generator.pick(&KEYS);
    match generator.random.u8(..8) {
        0 => {
            let operator = generator.pick(&["", "in", "Equals", "=="]);
            requirement(key, operator, Some(json!(["a"])))
        }
        1 => {
            let operator = generator.pick(&["In", "NotIn", "Gt", "Lt"]);
            let none = generator.optional(50, |_| json!([]));
            requirement(key, operator, none)
        }
        2 => {
            let operator = generator.pick(&["Exists", "DoesNotExist"]);
            requirement(key, operator, Some(json!(["a"])))
        }
        3 => {
            let operator = generator.pick(&["Gt", "Lt"]);
            requirement(NUMBER, operator, Some(json!(["1", "5"])))
        }
        4 => {
            let operator = generator.pick(&["Gt", "Lt"]);
            requirement(NUMBER, operator, Some(json!([generator.pick(&ODD_NUMBERS)])))
        }
        5 => json_requirement(Value::Null, json!("Exists"), None),
        6 => json_requirement(json!(key), Value::Null, Some(json!(["a"]))),
        _ => object([("key", Some(json!(key)))]),
    }
}

fn field(generator: &mut Generator, names: &[String]) -> Value {
    let name = generator.name(names).to_owned();
    let operator = generator.pick(&["In", "NotIn"]);
    if !generator.is_part_odd(60) {
        return requirement(NAME_FIELD, operator, Some(json!([name])));
    }
    match generator.random.u8(..6) {
        0 => requirement(NAME_FIELD, operator, None),
        1 => requirement(NAME_FIELD, operator, Some(json!([name, "elsewhere"]))),
        2 => requirement(NAME_FIELD, operator, Some(json!([""]))),
        3 => {
            let operator = generator.pick(&["Exists", "DoesNotExist", "Gt", "Lt", "", "in"]);
            requirement(NAME_FIELD, operator, Some(json!([name])))
        }
        4 => json_requirement(json!(NAME_FIELD), Value::Null, Some(json!([name]))),
        _ => {
            let key = generator.pick(&["metadata.namespace", "spec.unschedulable", "zone", ""]);
            requirement(key, operator, Some(json!([generator.pick(&["a", ""])])))
        }
    }
}
