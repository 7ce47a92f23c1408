//! Hints about input that isn't a Kubernetes object.

use serde_json::{Map, Value};

/// What to do about a Helm template.
pub(super) const HELM: &str =
    "this looks like a Helm template; render it first with `helm template`, and pipe the output to `-f -`";

/// Fields of a kustomization.
const OF_KUSTOMIZATION: [&str; 8] = [
    "resources",
    "bases",
    "namePrefix",
    "patches",
    "patchesStrategicMerge",
    "configMapGenerator",
    "secretGenerator",
    "commonLabels",
];

/// Says that a value isn't an object.
pub(super) fn not_an_object(value: &Value) -> String {
    let is_template = value.as_str().is_some_and(|text| text.contains("{{"));
    if is_template {
        return HELM.to_owned();
    }
    "not a Kubernetes object, which has the fields apiVersion, kind and metadata".to_owned()
}

/// Says that an object has no kind, with a guess at the reason.
pub(super) fn without_kind(object: &Map<String, Value>) -> String {
    let close = object
        .keys()
        .find(|key| key.eq_ignore_ascii_case("kind") && *key != "kind");
    let is_kustomization = OF_KUSTOMIZATION.iter().any(|key| object.contains_key(*key));
    let hint = match (object.get("kind"), close) {
        (Some(Value::String(_) | Value::Null), _) => "; kind is empty".to_owned(),
        (Some(_), _) => "; kind must be text".to_owned(),
        (None, Some(close)) => format!("; did you mean kind instead of {close}?"),
        (None, None) if is_kustomization => {
            "; this looks like a kustomization: render it first with `kubectl kustomize`".to_owned()
        }
        (None, None) if object.contains_key("metadata") => {
            "; add the field kind, such as kind: DaemonSet".to_owned()
        }
        (None, None) => "; if these are Helm values, render the chart first with `helm template`".to_owned(),
    };
    format!("the object has no kind{hint}")
}
