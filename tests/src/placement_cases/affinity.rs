//! Random node affinity.

use serde_json::{Value, json};

use super::{Dice, KEYS, NUMBER, ODD_NUMBERS, keys, object, value};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
/// The only node field that a term may use.
const NAME_FIELD: &str = "metadata.name";

/// A template's affinity, if it has one.
pub(super) fn affinity(dice: &mut Dice, names: &[String]) -> Option<Value> {
    dice.maybe(50, |dice| {
        // A preference doesn't count for placement, so it requires something that no node has.
        let preference = json!({"matchExpressions": [{"key": "nowhere", "operator": "Exists"}]});
        let preferred = dice.maybe(15, |_| json!([{"weight": 1, "preference": preference}]));
        let required = dice.maybe(85, |dice| {
            let terms = dice.maybe(if dice.odd { 90 } else { 100 }, |dice| {
                let fewest = usize::from(!dice.oddly(20));
                dice.list(fewest..4, |dice| term(dice, names))
            });
            object([("nodeSelectorTerms", terms)])
        });
        let node_affinity = dice.maybe(90, |_| object([(REQUIRED, required), (PREFERRED, preferred)]));
        object([("nodeAffinity", node_affinity)])
    })
}

fn term(dice: &mut Dice, names: &[String]) -> Value {
    // Each part may be an empty list. A term without either part is valid and matches nothing.
    let expressions = dice.maybe(85, |dice| dice.list(0..3, expression));
    let fields = dice.maybe(35, |dice| dice.list(0..3, |dice| field(dice, names)));
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

fn expression(dice: &mut Dice) -> Value {
    if dice.oddly(30) {
        return odd_expression(dice);
    }
    let key = keys(dice);
    match dice.pick(&["In", "In", "NotIn", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]) {
        operator @ ("In" | "NotIn") => {
            let values = dice.list(1..4, |dice| json!(value(dice, &key)));
            requirement(&key, operator, Some(values))
        }
        operator @ ("Exists" | "DoesNotExist") => {
            let values = dice.maybe(20, |_| json!([]));
            requirement(&key, operator, values)
        }
        operator => {
            // Validation doesn't check whether the value is an integer.
            let key = if dice.chance(80) { NUMBER } else { &key };
            let bound = value(dice, key);
            requirement(key, operator, Some(json!([bound])))
        }
    }
}

fn odd_expression(dice: &mut Dice) -> Value {
    let key = dice.pick(&KEYS);
    match dice.random.u8(..8) {
        0 => {
            let operator = dice.pick(&["", "in", "Equals", "=="]);
            requirement(key, operator, Some(json!(["a"])))
        }
        1 => {
            let operator = dice.pick(&["In", "NotIn", "Gt", "Lt"]);
            let none = dice.maybe(50, |_| json!([]));
            requirement(key, operator, none)
        }
        2 => {
            let operator = dice.pick(&["Exists", "DoesNotExist"]);
            requirement(key, operator, Some(json!(["a"])))
        }
        3 => {
            let operator = dice.pick(&["Gt", "Lt"]);
            requirement(NUMBER, operator, Some(json!(["1", "5"])))
        }
        4 => {
            let operator = dice.pick(&["Gt", "Lt"]);
            requirement(NUMBER, operator, Some(json!([dice.pick(&ODD_NUMBERS)])))
        }
        5 => json_requirement(Value::Null, json!("Exists"), None),
        6 => json_requirement(json!(key), Value::Null, Some(json!(["a"]))),
        _ => object([("key", Some(json!(key)))]),
    }
}

fn field(dice: &mut Dice, names: &[String]) -> Value {
    let name = dice.name(names).to_owned();
    let operator = dice.pick(&["In", "NotIn"]);
    if !dice.oddly(60) {
        return requirement(NAME_FIELD, operator, Some(json!([name])));
    }
    match dice.random.u8(..6) {
        0 => requirement(NAME_FIELD, operator, None),
        1 => requirement(NAME_FIELD, operator, Some(json!([name, "elsewhere"]))),
        2 => requirement(NAME_FIELD, operator, Some(json!([""]))),
        3 => {
            let operator = dice.pick(&["Exists", "DoesNotExist", "Gt", "Lt", "", "in"]);
            requirement(NAME_FIELD, operator, Some(json!([name])))
        }
        4 => json_requirement(json!(NAME_FIELD), Value::Null, Some(json!([name]))),
        _ => {
            let key = dice.pick(&["metadata.namespace", "spec.unschedulable", "zone", ""]);
            requirement(key, operator, Some(json!([dice.pick(&["a", ""])])))
        }
    }
}
