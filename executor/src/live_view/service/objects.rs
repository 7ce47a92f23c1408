//! Builds Kubernetes objects for the planner's unary calls from the cached facts.

use std::collections::BTreeMap;

use everynode_proto::{
    facts::{
        RawStruct,
        object::{IntOrString, LabelSelector, Requirement},
    },
    planner::v1::{NodeFacts, Taint},
};
use serde_json::{Map, Value, json};

use crate::apiserver::objects::DaemonSet;

/// Any object as JSON.
pub(super) type Object = Map<String, Value>;

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// Builds a `DaemonSet` that contains its template unchanged. `template` is the parsed template.
pub(super) fn daemon_set(daemon_set: &DaemonSet, template: &Value) -> RawStruct {
    let (metadata, spec) = (&daemon_set.metadata, &daemon_set.spec);
    let budget = |budget: &IntOrString| match budget {
        IntOrString::Int(count) => json!(count),
        IntOrString::String(text) => json!(text),
    };
    let rolling = spec.update_strategy.rolling_update.as_ref();
    let rolling = rolling.map(|rolling| {
        json!({
            "maxUnavailable": rolling.max_unavailable.as_ref().map(budget),
            "maxSurge": rolling.max_surge.as_ref().map(budget),
        })
    });
    let value = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "namespace": metadata.namespace,
            "name": metadata.name,
            "uid": metadata.uid,
            "generation": metadata.generation,
        },
        "spec": {
            "selector": selector(&spec.selector),
            "template": template,
            "updateStrategy": {"type": spec.update_strategy.r#type, "rollingUpdate": rolling},
            "minReadySeconds": spec.min_ready_seconds,
        },
    });
    RawStruct::from(&object(value))
}

fn selector(selector: &LabelSelector) -> Value {
    let requirement = |requirement: &Requirement| {
        let Requirement {
            key,
            operator,
            values,
        } = requirement;
        json!({"key": key, "operator": operator, "values": values})
    };
    let expressions: Vec<_> = selector.match_expressions.iter().map(requirement).collect();
    json!({"matchLabels": selector.match_labels, "matchExpressions": expressions})
}

/// Parses a `DaemonSet`'s template. The API server has validated it, so parsing shouldn't fail; if it does, the
/// template counts as empty.
pub(super) fn template(daemon_set: &DaemonSet) -> Value {
    let raw = daemon_set.spec.template.as_ref();
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_else(|| json!({}))
}

/// Returns the name of the `RuntimeClass` in a template.
pub(super) fn runtime_class(template: &Value) -> Option<&str> {
    template.pointer("/spec/runtimeClassName")?.as_str()
}

/// Builds a node with the fields that placement uses.
pub(super) fn node(facts: &NodeFacts) -> RawStruct {
    let taint = |taint: &Taint| json!({"key": taint.key, "value": taint.value, "effect": taint.effect});
    let taints: Vec<_> = facts.taints.iter().map(taint).collect();
    let value = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": facts.name, "labels": facts.labels},
        "spec": {"taints": taints},
    });
    RawStruct::from(&object(value))
}

/// Builds a node with the fields that a simulation reads, from the API server's object.
pub(super) fn simulated(node: &Object, allocatable: &BTreeMap<String, String>) -> RawStruct {
    let at = |section: &str, field: &str| node.get(section).and_then(|section| section.get(field));
    let value = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": at("metadata", "name"), "labels": at("metadata", "labels")},
        "spec": {"taints": at("spec", "taints")},
        "status": {"allocatable": allocatable},
    });
    RawStruct::from(&object(value))
}

/// Reads a node's status.allocatable.
pub(super) fn allocatable(node: &Object) -> BTreeMap<String, String> {
    let sizes = node
        .get("status")
        .and_then(|status| status.get("allocatable")?.as_object());
    let size = |(resource, size): (&String, &Value)| Some((resource.clone(), size.as_str()?.to_owned()));
    sizes.into_iter().flatten().filter_map(size).collect()
}

#[cfg(test)]
mod tests;
