//! Removes from a state the data that differs between any two clusters: names, hashes, uids and times.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::state::{Revision, State, at, text};

const HASH: &str = "/labels/controller-revision-hash";
/// Annotation with the time of the last `kubectl rollout restart`.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
/// Prefix of the volume with a pod's token. The API server generates the rest of the name.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// Which parts of two states are compared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Normalizer {
    /// Ignore on which node a pod is.
    pub(super) any_node: bool,
    /// Ignore events with this reason.
    pub(super) without_event: Option<&'static str>,
}

impl Normalizer {
    /// Returns the parts of a state that are compared.
    pub(super) fn normalize(self, state: &State) -> Value {
        let hashes = Hashes::of(state);
        let daemon_sets: BTreeMap<_, _> = state
            .daemon_sets
            .iter()
            .map(|set| (text(set, "/metadata/name"), daemon_set(set)))
            .collect();
        let mut pods: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for object in &state.pods {
            let mut pod = hashes.pod(object);
            let mut node = node_of(object);
            if self.any_node {
                replace(&mut pod, &|found| found == node, "a node");
                node = "any node";
            }
            pods.entry(node).or_default().push(pod);
        }
        for pods in pods.values_mut() {
            pods.sort_by_key(Value::to_string);
        }
        let mut revisions: Vec<_> = state
            .revisions
            .iter()
            .map(|object| hashes.revision(object))
            .collect();
        revisions.sort_by_key(Value::to_string);
        json!({"daemonSets": daemon_sets, "pods": pods, "revisions": revisions, "events": self.events(state)})
    }

    fn events(self, state: &State) -> BTreeSet<String> {
        let about_sets = state
            .events
            .iter()
            .filter(|event| text(event, "/involvedObject/kind") == "DaemonSet");
        let counted = about_sets.filter(|event| self.without_event != Some(text(event, "/reason")));
        let lines = counted.map(|event| {
            let (name, kind) = (text(event, "/involvedObject/name"), text(event, "/type"));
            format!("{name}: {kind} {}", text(event, "/reason"))
        });
        lines.collect()
    }
}

/// Translates the hashes and uids of one state into their meanings, so that they compare equal across clusters.
struct Hashes<'s> {
    state: &'s State,
    by_hash: BTreeMap<&'s str, String>,
}

impl<'s> Hashes<'s> {
    fn of(state: &'s State) -> Self {
        let hashes = state.revisions.iter().map(|revision| {
            let meaning = format!("of revision {} of {}", revision.number, owner(revision));
            (text(&revision.metadata, HASH), meaning)
        });
        Self {
            state,
            by_hash: hashes.collect(),
        }
    }

    fn pod(&self, object: &Value) -> Value {
        let named = text(object, "/metadata/name").starts_with(text(object, "/metadata/generateName"));
        let mut spec = at(object, "/spec").clone();
        replace(&mut spec, &|found| found.starts_with(TOKEN_VOLUME), TOKEN_VOLUME);
        let conditions = at(object, "/status/conditions").as_array();
        let ready = conditions
            .into_iter()
            .flatten()
            .any(|condition| text(condition, "/type") == "Ready" && text(condition, "/status") == "True");
        json!({
            "metadata": self.metadata(at(object, "/metadata")),
            "nameBeginsWithGenerateName": named,
            "spec": spec,
            "phase": at(object, "/status/phase"),
            "ready": ready,
        })
    }

    fn revision(&self, object: &Revision) -> Value {
        let name = format!("{}-{}", owner(object), text(&object.metadata, HASH));
        json!({
            "metadata": self.metadata(&object.metadata),
            "nameIsOwnerAndHash": text(&object.metadata, "/name") == name,
            "revision": object.number,
            "data": without_restart_time(object.data.get()),
        })
    }

    /// Returns the parts of an object's metadata that are compared: generated name, labels, annotations, finalizers,
    /// owners, and whether the object is being deleted.
    fn metadata(&self, metadata: &Value) -> Value {
        let mut kept = json!({"deleting": !at(metadata, "/deletionTimestamp").is_null()});
        for field in [
            "generateName",
            "labels",
            "annotations",
            "finalizers",
            "ownerReferences",
        ] {
            if let (Some(kept), Some(value)) = (kept.as_object_mut(), metadata.get(field)) {
                kept.insert(field.to_owned(), value.clone());
            }
        }
        if let Some(hash) = kept.pointer_mut(HASH) {
            let meaning = self.by_hash.get(hash.as_str().unwrap_or_default());
            *hash = meaning.map_or("of nothing", String::as_str).into();
        }
        mask_restart(&mut kept);
        let owners = kept.pointer_mut("/ownerReferences").and_then(Value::as_array_mut);
        for uid in owners
            .into_iter()
            .flatten()
            .filter_map(|owner| owner.get_mut("uid"))
        {
            let is_set = |set: &Value| at(set, "/metadata/uid") == &*uid;
            let is_known = self.state.daemon_sets.iter().any(is_set);
            *uid = if is_known { "of a DaemonSet" } else { "unknown" }.into();
        }
        kept
    }
}

fn owner(revision: &Revision) -> &str {
    text(&revision.metadata, "/ownerReferences/0/name")
}

/// Returns a `DaemonSet` without the conditions of its status, which only Everynode writes.
fn daemon_set(object: &Value) -> Value {
    let metadata = at(object, "/metadata");
    let mut status = at(object, "/status").clone();
    if let Some(fields) = status.as_object_mut() {
        fields.remove("conditions");
    }
    let mut spec = at(object, "/spec").clone();
    if let Some(template) = spec.pointer_mut("/template/metadata") {
        mask_restart(template);
    }
    json!({
        "labels": at(metadata, "/labels"),
        "annotations": at(metadata, "/annotations"),
        "finalizers": at(metadata, "/finalizers"),
        "generation": at(metadata, "/generation"),
        "deleting": !at(metadata, "/deletionTimestamp").is_null(),
        "spec": spec,
        "status": status,
    })
}

/// Replaces the time of a restart in an object's annotations.
fn mask_restart(metadata: &mut Value) {
    let annotations = metadata.get_mut("annotations");
    if let Some(time) = annotations.and_then(|annotations| annotations.get_mut(RESTARTED)) {
        *time = "a time".into();
    }
}

/// Returns the text of a revision's data with the time of a restart replaced.
fn without_restart_time(data: &str) -> String {
    let start = format!("\"{RESTARTED}\":\"");
    match data.split_once(&start) {
        Some((before, after)) => {
            let rest = after.split_once('"').map_or("", |(_, rest)| rest);
            format!("{before}{start}a time\"{rest}")
        }
        None => data.to_owned(),
    }
}

/// Returns the node that a pod is bound to or meant for.
fn node_of(pod: &Value) -> &str {
    let bound = text(pod, "/spec/nodeName");
    if bound.is_empty() {
        let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
        return text(
            pod,
            &format!("{required}/nodeSelectorTerms/0/matchFields/0/values/0"),
        );
    }
    bound
}

/// Replaces every string that `chosen` accepts.
fn replace(value: &mut Value, chosen: &impl Fn(&str) -> bool, by: &str) {
    match value {
        Value::String(found) if chosen(found) => by.clone_into(found),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, chosen, by)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, chosen, by)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
