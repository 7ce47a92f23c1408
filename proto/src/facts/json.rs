//! From `google.protobuf.Struct` to single Kubernetes objects, and back.

use prost_types::{ListValue, Struct, value::Kind};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

/// Why an object could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The path of the field, such as `spec.taints[0].key`; empty for the object itself.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Turns a Struct into JSON. Whole numbers become integers again, which a Struct can't hold.
pub fn from_struct(object: Struct) -> Value {
    Value::Object(
        object
            .fields
            .into_iter()
            .map(|(key, value)| (key, from_value(value)))
            .collect::<Map<_, _>>(),
    )
}

fn from_value(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::StringValue(value)) => Value::String(value),
        Some(Kind::NumberValue(value)) => number(value),
        Some(Kind::StructValue(value)) => from_struct(value),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(from_value).collect()),
    }
}

fn number(value: f64) -> Value {
    // Beyond 2^53 a float doesn't tell neighbouring integers apart, so there it stays a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the value is whole and within the exact range"
        )]
        return Value::Number(Number::from(value as i64));
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Turns JSON into a Struct, as a client does who asks the planner about it.
pub fn to_struct(object: &Map<String, Value>) -> Struct {
    let field = |(key, value): (&String, &Value)| (key.clone(), to_value(value));
    Struct {
        fields: object.iter().map(field).collect(),
    }
}

fn to_value(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::String(value) => Kind::StringValue(value.clone()),
        Value::Number(value) => value.as_f64().map_or(Kind::NullValue(0), Kind::NumberValue),
        Value::Object(value) => Kind::StructValue(to_struct(value)),
        Value::Array(values) => Kind::ListValue(ListValue {
            values: values.iter().map(to_value).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// Replaces each list (what `kubectl get -o json` prints for several objects) by its items.
pub fn expand(objects: Vec<Struct>) -> Vec<Value> {
    let mut single = Vec::with_capacity(objects.len());
    for object in objects {
        match from_struct(object) {
            Value::Object(mut fields) if is_list(&fields) => match fields.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => single.extend(items),
                // Not a list after all: reading it as an object will say what is wrong.
                Some(_) | None => single.push(Value::Object(fields)),
            },
            other => single.push(other),
        }
    }
    single
}

fn is_list(fields: &Map<String, Value>) -> bool {
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("List") || (kind.is_empty() && matches!(fields.get("items"), Some(Value::Array(_))))
}

/// Reads one object.
///
/// # Errors
/// The object is of another kind than `kind`, or one of its fields has the wrong type.
pub fn read<T: DeserializeOwned>(kind: &str, object: &Value) -> Result<T, ReadError> {
    let actual = object.get("kind").and_then(Value::as_str);
    if let Some(actual) = actual.filter(|actual| *actual != kind) {
        return Err(ReadError {
            field: "kind".to_owned(),
            message: format!("expected a {kind}, found a {actual}"),
        });
    }
    serde_path_to_error::deserialize(object).map_err(|error| {
        let path = error.path().to_string();
        ReadError {
            field: if path == "." { String::new() } else { path },
            message: error.into_inner().to_string(),
        }
    })
}

/// What an object that may not be readable calls itself, for messages: its name, or its place in the request.
pub fn name_of(object: &Value, index: usize) -> String {
    let metadata = object.get("metadata");
    let text = |key| {
        metadata
            .and_then(|metadata| metadata.get(key))
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    match (text("namespace"), text("name")) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        (None, Some(name)) => name.to_owned(),
        (_, None) => format!("#{index}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Node;

    fn to_struct(value: &Value) -> Struct {
        super::to_struct(value.as_object().unwrap())
    }

    #[test]
    fn whole_numbers_come_back_as_integers() {
        let json = serde_json::json!({"a": 8080, "b": 0.5, "c": [null, true, "x"]});
        assert_eq!(from_struct(to_struct(&json)), json);
    }

    #[test]
    fn lists_are_replaced_by_their_items() {
        let list = serde_json::json!({"kind": "List", "items": [{"kind": "Node"}, {"kind": "Node"}]});
        let single = serde_json::json!({"kind": "Node"});
        assert_eq!(expand(vec![to_struct(&list), to_struct(&single)]).len(), 3);
    }

    #[test]
    fn an_error_names_the_field() {
        let object = serde_json::json!({"kind": "Node", "spec": {"taints": [{"key": "a"}, {"key": 7}]}});
        let error = read::<Node>("Node", &object).unwrap_err();
        assert_eq!(error.field, "spec.taints[1].key");
        assert!(error.message.contains("expected a string"), "{}", error.message);
    }

    #[test]
    fn another_kind_is_refused() {
        let error = read::<Node>("Node", &serde_json::json!({"kind": "Pod"})).unwrap_err();
        assert_eq!(
            error,
            ReadError {
                field: "kind".into(),
                message: "expected a Node, found a Pod".into()
            }
        );
    }

    #[test]
    fn an_object_is_called_by_its_name_or_by_its_place() {
        for (metadata, name) in [
            (serde_json::json!({"namespace": "a", "name": "b"}), "a/b"),
            (serde_json::json!({"name": "b"}), "b"),
            (serde_json::json!({"namespace": "", "name": "b"}), "b"),
            (serde_json::json!({"namespace": "a", "name": ""}), "#3"),
            (serde_json::json!(null), "#3"),
        ] {
            assert_eq!(name_of(&serde_json::json!({"metadata": metadata}), 3), name);
        }
    }

    #[test]
    fn null_is_read_as_absent() {
        let object = serde_json::json!({
            "metadata": {"name": "a", "labels": null, "creationTimestamp": null, "annotations": null},
            "spec": {"taints": null},
        });
        let node = read::<Node>("Node", &object).unwrap();
        assert_eq!(node.metadata.name, "a");
    }

    #[test]
    fn null_is_read_as_empty_in_taints_and_requirements() {
        let taint = serde_json::json!({"key": null, "value": null, "effect": null});
        let node = serde_json::json!({"metadata": {"name": "a"}, "spec": {"taints": [taint]}});
        let node = read::<Node>("Node", &node).unwrap().facts();
        assert_eq!(node.taints, [crate::planner::v1::Taint::default()]);
        let requirement = serde_json::json!({"key": null, "operator": null, "values": null});
        let requirement: crate::facts::object::Requirement = serde_json::from_value(requirement).unwrap();
        assert_eq!(requirement, crate::facts::object::Requirement::default());
    }
}
