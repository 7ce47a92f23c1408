//! Pods from a `DaemonSet`'s template (contract C1 to C4).
//!
//! The template is handled as JSON from end to end, so a field that this program has never heard of reaches the pod.

use everynode_proto::{
    facts::{REVISION_LABEL, TEMPLATE_GENERATION_ANNOTATION, TEMPLATE_GENERATION_LABEL},
    planner::v1::Toleration,
};
use serde_json::{Map, Value, json};

use crate::{
    hash::{self, SHORT_LENGTH},
    objects::DaemonSet,
};

/// The longest name that a pod can have and still be its host's name.
const MAX_NAME: usize = 63;
/// The field by which a pod is meant for a node.
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// The name of a pod. Whoever creates a pod of this revision for this node after this predecessor uses the same name,
/// so of two creations one fails. `attempt` moves on from a name that is taken by another pod.
pub fn name(daemon_set: &DaemonSet, node: &str, revision: &str, succeeds: &str, attempt: u32) -> String {
    let uid = &daemon_set.metadata.uid;
    let attempt = attempt.to_string();
    let parts = [uid.as_str(), node, revision, succeeds, &attempt].map(str::as_bytes);
    let prefix = prefix(&daemon_set.metadata.name);
    format!("{prefix}{}", hash::short(&parts))
}

/// Whether [`name`] may have made a name, by its looks: the same prefix, and a short hash after it.
pub fn is_derived(pod: &str, daemon_set: &str) -> bool {
    pod.strip_prefix(&prefix(daemon_set)).is_some_and(hash::is_short)
}

/// What the name of a pod begins with: the `DaemonSet`'s name and a dash, as far as there is room.
fn prefix(daemon_set: &str) -> String {
    // Names of Kubernetes objects are ASCII.
    let generate_name = format!("{daemon_set}-");
    generate_name.chars().take(MAX_NAME - SHORT_LENGTH).collect()
}

fn generate_name(daemon_set: &DaemonSet) -> String {
    format!("{}-", daemon_set.metadata.name)
}

/// The reference of what a `DaemonSet` owns to the `DaemonSet`.
pub fn owner_reference(daemon_set: &DaemonSet) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "name": daemon_set.metadata.name,
        "uid": daemon_set.metadata.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Everything about a `DaemonSet`'s pods of one revision that is the same on every node.
///
/// It is kept as the text of the pod, cut where a pod's own values go: thousands of pods are made of one template, and all of them
/// are nearly the same text.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The controller-revision-hash that the pods get.
    revision: String,
    before_name: String,
    before_node: String,
}

/// What follows a pod's node.
const AFTER_NODE: &str = "]}]}]}}}}}";

impl Recipe {
    /// Prepares the pods of a revision.
    ///
    /// # Errors
    /// The template is not JSON of the right shape; says where.
    pub fn new(daemon_set: &DaemonSet, revision: &str, added: &[Toleration]) -> Result<Self, String> {
        let template = daemon_set
            .spec
            .template
            .as_ref()
            .ok_or("spec.template is missing")?;
        let mut template = object(
            serde_json::from_str(template.get()).unwrap_or_default(),
            "spec.template",
        )?;
        let given = object(take(&mut template, "metadata"), "spec.template.metadata")?;
        let mut spec = object(take(&mut template, "spec"), "spec.template.spec")?;
        let mut affinity = object(take(&mut spec, "affinity"), "spec.template.spec.affinity")?;
        let mut node_affinity = object(
            take(&mut affinity, "nodeAffinity"),
            "spec.template.spec.affinity.nodeAffinity",
        )?;
        add_tolerations(&mut spec, added)?;
        // A required affinity of the template has done its work in choosing the node (C3).
        node_affinity.remove(REQUIRED);
        let metadata = metadata(daemon_set, revision, given)?;
        let before_name = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{}"name":"#,
            opened(metadata)
        );
        let before_node = format!(
            r#"}},"spec":{}"affinity":{}"nodeAffinity":{}"{REQUIRED}":{{"nodeSelectorTerms":[{{"matchFields":[{{"key":"metadata.name","operator":"In","values":["#,
            opened(spec),
            opened(affinity),
            opened(node_affinity),
        );
        Ok(Self {
            revision: revision.to_owned(),
            before_name,
            before_node,
        })
    }

    /// The controller-revision-hash that the pods get.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The pod for a node, ready to be sent.
    pub fn pod(&self, name: &str, node: &str) -> Vec<u8> {
        let [name, node] = [name, node].map(|text| Value::from(text).to_string());
        let parts = [&self.before_name, &name, &self.before_node, &node, AFTER_NODE];
        parts.concat().into_bytes()
    }
}

/// An object's text without its end, ready for one more field.
fn opened(map: Map<String, Value>) -> String {
    let is_empty = map.is_empty();
    let mut text = Value::Object(map).to_string();
    text.pop();
    if !is_empty {
        text.push(',');
    }
    text
}

fn take(map: &mut Map<String, Value>, key: &str) -> Value {
    map.remove(key).unwrap_or_default()
}

/// An object; a missing one is empty.
fn object(value: Value, path: &str) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(format!("{path} is not an object"))
        }
    }
}

fn metadata(
    daemon_set: &DaemonSet,
    revision: &str,
    mut given: Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let mut labels = object(take(&mut given, "labels"), "spec.template.metadata.labels")?;
    labels.insert(REVISION_LABEL.to_owned(), revision.into());
    let generation = daemon_set
        .metadata
        .annotations
        .get(TEMPLATE_GENERATION_ANNOTATION);
    if let Some(generation) = generation.and_then(|text| text.parse::<i64>().ok()) {
        labels.insert(
            TEMPLATE_GENERATION_LABEL.to_owned(),
            generation.to_string().into(),
        );
    }
    let mut metadata = Map::new();
    metadata.insert("generateName".to_owned(), generate_name(daemon_set).into());
    metadata.insert(
        "namespace".to_owned(),
        daemon_set.metadata.namespace.as_str().into(),
    );
    metadata.insert("labels".to_owned(), labels.into());
    metadata.insert("ownerReferences".to_owned(), json!([owner_reference(daemon_set)]));
    for key in ["annotations", "finalizers"] {
        if let Some(value) = given.remove(key).filter(|value| !value.is_null()) {
            metadata.insert(key.to_owned(), value);
        }
    }
    Ok(metadata)
}

fn add_tolerations(spec: &mut Map<String, Value>, added: &[Toleration]) -> Result<(), String> {
    let mut tolerations = match take(spec, "tolerations") {
        Value::Array(tolerations) => tolerations,
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            return Err("spec.template.spec.tolerations is not a list".to_owned());
        }
    };
    for toleration in added {
        let mut fields = Map::new();
        let Toleration {
            key,
            operator,
            value,
            effect,
        } = toleration;
        for (name, text) in [
            ("key", key),
            ("operator", operator),
            ("value", value),
            ("effect", effect),
        ] {
            if !text.is_empty() {
                fields.insert(name.to_owned(), text.as_str().into());
            }
        }
        let same = |other: &Value| {
            let text = |name| other.get(name).and_then(Value::as_str).unwrap_or_default();
            text("key") == key
                && text("operator") == operator
                && text("value") == value
                && text("effect") == effect
        };
        // What is left of a second one, such as its tolerationSeconds, would count as well.
        let place = tolerations.iter().position(same).unwrap_or(tolerations.len());
        tolerations.retain(|other| !same(other));
        tolerations.insert(place, fields.into());
    }
    spec.insert("tolerations".to_owned(), tolerations.into());
    Ok(())
}

#[cfg(test)]
mod tests;
