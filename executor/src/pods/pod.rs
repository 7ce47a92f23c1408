//! Builds pods from a `DaemonSet`'s template (contract C1 to C4).
//!
//! The template stays JSON from end to end, so fields that this program doesn't know reach the pod too.

use everynode_proto::{
    facts::{REVISION_LABEL, TEMPLATE_GENERATION_ANNOTATION, TEMPLATE_GENERATION_LABEL},
    planner::v1::Toleration,
};
use serde_json::{Map, Value, json};

use crate::{
    apiserver::objects::{DaemonSet, Revision},
    pods::hash::{self, SHORT_LENGTH},
};

/// Maximum length of a pod name that can also be the pod's hostname.
const MAX_NAME: usize = 63;
/// Field of the node affinity that assigns a pod to its node.
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Returns the name of a pod. Two creations of the same pod (same revision, node and predecessor `succeeds`) use the
/// same name, so that one of them fails. If another pod has taken the name, raising `attempt` gives the next one.
pub fn name(daemon_set: &DaemonSet, node: &str, revision: &str, succeeds: &str, attempt: u32) -> String {
    let uid = &daemon_set.metadata.uid;
    let attempt = attempt.to_string();
    let parts = [uid.as_str(), node, revision, succeeds, &attempt].map(str::as_bytes);
    let prefix = prefix(&daemon_set.metadata.name);
    format!("{prefix}{}", hash::short(&parts))
}

/// Whether a pod's name looks like one from [`name`]: the same prefix, followed by a short hash.
pub fn is_derived(pod: &str, daemon_set: &str) -> bool {
    pod.strip_prefix(&prefix(daemon_set)).is_some_and(hash::is_short)
}

/// Returns the prefix of a pod's name: the `DaemonSet`'s name and a dash, truncated to leave room for the hash.
fn prefix(daemon_set: &str) -> String {
    // Names of Kubernetes objects are ASCII.
    let generate_name = format!("{daemon_set}-");
    generate_name.chars().take(MAX_NAME - SHORT_LENGTH).collect()
}

fn generate_name(daemon_set: &DaemonSet) -> String {
    format!("{}-", daemon_set.metadata.name)
}

/// Returns the owner reference that points to a `DaemonSet`.
pub(crate) fn owner_reference(daemon_set: &DaemonSet) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "name": daemon_set.metadata.name,
        "uid": daemon_set.metadata.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Builds the pods of one revision of a `DaemonSet`.
///
/// It holds the pod's JSON text, split where the name and the node are inserted. Thousands of pods are built from one
/// template, and their texts are nearly identical.
#[derive(Debug, Clone)]
pub struct PodBuilder {
    /// The pods' controller-revision-hash.
    revision: String,
    before_name: String,
    before_node: String,
}

/// The text after the node's name.
const AFTER_NODE: &str = "]}]}]}}}}}";

impl PodBuilder {
    /// Prepares the pods of a revision.
    ///
    /// # Errors
    /// The template is missing or has the wrong shape. The message names the field.
    pub fn new(daemon_set: &DaemonSet, revision: &str, added: &[Toleration]) -> Result<Self, String> {
        let template = daemon_set
            .spec
            .template
            .as_ref()
            .ok_or("spec.template is missing")?;
        let template = serde_json::from_str(template.get()).unwrap_or_default();
        let generation = daemon_set
            .metadata
            .annotations
            .get(TEMPLATE_GENERATION_ANNOTATION);
        let generation = generation.and_then(|text| text.parse::<i64>().ok());
        Self::of_template(daemon_set, template, revision, generation, added)
    }

    /// Prepares the pods of an older revision, from the template in its `ControllerRevision`. They don't get the label
    /// pod-template-generation, with which they would count as updated (T1).
    ///
    /// # Errors
    /// The template is missing or has the wrong shape. The message names the field.
    pub(crate) fn of_revision(
        daemon_set: &DaemonSet,
        stored: &Revision,
        revision: &str,
        added: &[Toleration],
    ) -> Result<Self, String> {
        let data = stored.data.as_ref().map_or("null", |data| data.get());
        let mut data: Value = serde_json::from_str(data).unwrap_or_default();
        let template = data.pointer_mut("/spec/template").map(Value::take);
        let mut template = template.ok_or("data.spec.template is missing")?;
        if let Value::Object(fields) = &mut template {
            fields.remove("$patch");
            let labels = fields
                .get_mut("metadata")
                .and_then(|metadata| metadata.get_mut("labels")?.as_object_mut());
            if let Some(labels) = labels {
                labels.remove(TEMPLATE_GENERATION_LABEL);
            }
        }
        Self::of_template(daemon_set, template, revision, None, added)
    }

    fn of_template(
        daemon_set: &DaemonSet,
        template: Value,
        revision: &str,
        generation: Option<i64>,
        added: &[Toleration],
    ) -> Result<Self, String> {
        let mut template = object(template, "spec.template")?;
        let template_metadata = object(take(&mut template, "metadata"), "spec.template.metadata")?;
        let mut spec = object(take(&mut template, "spec"), "spec.template.spec")?;
        let mut affinity = object(take(&mut spec, "affinity"), "spec.template.spec.affinity")?;
        let mut node_affinity = object(
            take(&mut affinity, "nodeAffinity"),
            "spec.template.spec.affinity.nodeAffinity",
        )?;
        add_tolerations(&mut spec, added)?;
        // The template's required node affinity has already been used to choose the node (C3).
        node_affinity.remove(REQUIRED);
        let metadata = metadata(daemon_set, revision, generation, template_metadata)?;
        let before_name = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{}"name":"#,
            without_closing_brace(metadata)
        );
        let before_node = format!(
            r#"}},"spec":{}"affinity":{}"nodeAffinity":{}"{REQUIRED}":{{"nodeSelectorTerms":[{{"matchFields":[{{"key":"metadata.name","operator":"In","values":["#,
            without_closing_brace(spec),
            without_closing_brace(affinity),
            without_closing_brace(node_affinity),
        );
        Ok(Self {
            revision: revision.to_owned(),
            before_name,
            before_node,
        })
    }

    /// The pods' controller-revision-hash.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Returns the pod for a node as JSON, ready to be sent.
    pub fn build(&self, name: &str, node: &str) -> Vec<u8> {
        let [name, node] = [name, node].map(|text| Value::from(text).to_string());
        let parts = [&self.before_name, &name, &self.before_node, &node, AFTER_NODE];
        parts.concat().into_bytes()
    }
}

/// Returns an object's JSON without the closing brace, so that one more field can follow.
fn without_closing_brace(map: Map<String, Value>) -> String {
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

/// Returns the fields of an object. Null counts as an empty object.
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
    generation: Option<i64>,
    mut template_metadata: Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let mut labels = object(
        take(&mut template_metadata, "labels"),
        "spec.template.metadata.labels",
    )?;
    labels.insert(REVISION_LABEL.to_owned(), revision.into());
    if let Some(generation) = generation {
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
        if let Some(value) = template_metadata.remove(key).filter(|value| !value.is_null()) {
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
        // Remove every toleration with the same four fields. One with a tolerationSeconds, for example, would still
        // apply.
        let place = tolerations.iter().position(same).unwrap_or(tolerations.len());
        tolerations.retain(|other| !same(other));
        tolerations.insert(place, fields.into());
    }
    spec.insert("tolerations".to_owned(), tolerations.into());
    Ok(())
}

#[cfg(test)]
mod tests;
