//! Takes the requests of `DaemonSet`s from their pods.
//!
//! A `LimitRange`, a webhook or the `VerticalPodAutoscaler` may change a pod when it is created, so a pod may request
//! something else than its template. They change the next pod in the same way. So if the input has pods of a
//! `DaemonSet`, the resources of the newest one replace those of the template, as in cluster autoscalers.

use std::collections::{BTreeMap, HashMap};

use everynode_proto::facts::REVISION_LABEL;
use serde_json::{Map, Value};

use super::{
    kind::Kind,
    listing::listed,
    objects::{Fields, Object, Objects},
};
use crate::model::Quantity;

/// The annotation of a `DaemonSet`, and the label of a pod, with the generation of its template.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";
const POD_TEMPLATE_GENERATION: &str = "pod-template-generation";
/// The lists of containers that request resources.
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];

/// Replaces the resources in the templates of `DaemonSet`s with those of their newest pods. Returns the `DaemonSet`s whose
/// requests change, each with its pod.
pub(crate) fn replace(objects: &mut Objects) -> Vec<(String, String)> {
    let newest = newest_pods(objects);
    let mut changed = Vec::new();
    for daemon_set in objects.of_mut(Kind::DaemonSet) {
        let key = daemon_set.key();
        let Some(pod) = newest.get(&key) else { continue };
        let Some(template) = template_spec(daemon_set) else {
            continue;
        };
        let before = requests(template);
        replace_resources(template, &pod.spec);
        if requests(template) != before {
            changed.push((key, pod.name.clone()));
        }
    }
    changed
}

/// Says which requests are those of pods. `None` if there are none.
pub(crate) fn note(changed: &[(String, String)]) -> Option<String> {
    const MAX: usize = 5;
    let names = changed
        .iter()
        .map(|(daemon_set, pod)| format!("{daemon_set} (pod {pod})"));
    let names: Vec<_> = names.collect();
    (!names.is_empty()).then(|| {
        format!(
            "requests are those of the newest pod, which differ from the template's: {}",
            listed(&names, MAX)
        )
    })
}

/// The newest pod of a `DaemonSet`.
struct NewestPod {
    name: String,
    created: String,
    spec: Fields,
}

/// Returns the newest pod of the current template for each `DaemonSet`, by the key of the `DaemonSet`.
fn newest_pods(objects: &Objects) -> BTreeMap<String, NewestPod> {
    let daemon_sets: BTreeMap<_, _> = objects
        .of(Kind::DaemonSet)
        .iter()
        .map(|daemon_set| (daemon_set.key(), daemon_set))
        .collect();
    let revisions = revisions(objects);
    let mut newest: BTreeMap<String, NewestPod> = BTreeMap::new();
    for pod in objects.of(Kind::Pod) {
        let Some((owner, uid)) = controlling_daemon_set(pod) else {
            continue;
        };
        let Some(Value::Object(spec)) = pod.get("spec") else {
            continue;
        };
        let is_current = daemon_sets.get(&owner).is_some_and(|daemon_set| {
            has_uid(daemon_set, uid)
                && is_of_current_template(pod, daemon_set)
                && has_requests_of_revision(&revisions, &owner, pod, daemon_set)
                && requests(spec).values().all(Amount::is_known)
        });
        // Times in RFC 3339 and UTC, as the API server writes them, sort as text.
        let created = pod.metadata("creationTimestamp");
        let is_newer = newest
            .get(&owner)
            .is_none_or(|known| (known.created.as_str(), known.name.as_str()) < (created, pod.name()));
        if is_current && is_newer {
            let pod = NewestPod {
                name: pod.name().to_owned(),
                created: created.to_owned(),
                spec: spec.clone(),
            };
            newest.insert(owner, pod);
        }
    }
    newest
}

/// Returns the key and the uid of the `DaemonSet` that the pod's controller reference names.
fn controlling_daemon_set(pod: &Object) -> Option<(String, &str)> {
    let references = pod.get("metadata")?.get("ownerReferences")?.as_array()?;
    let controller = references
        .iter()
        .find(|reference| reference.get("controller") == Some(&Value::Bool(true)))?;
    let text = |key: &str| controller.get(key).and_then(Value::as_str);
    if text("kind")? != Kind::DaemonSet.name() {
        return None;
    }
    let namespace = pod.namespace();
    let key = format!("{namespace}/{}", text("name")?);
    Some((key, text("uid").unwrap_or_default()))
}

/// Whether a reference with this uid can mean the `DaemonSet`. A manifest has no uid.
fn has_uid(daemon_set: &Object, uid: &str) -> bool {
    let actual = daemon_set.metadata("uid");
    actual.is_empty() || uid.is_empty() || actual == uid
}

/// Whether the pod was made from the current template. It counts as such if one of the objects doesn't name the
/// template's generation, as a manifest doesn't.
fn is_of_current_template(pod: &Fields, daemon_set: &Fields) -> bool {
    let text = |object: &Fields, part: &str, key: &str| -> Option<String> {
        Some(object.get("metadata")?.get(part)?.get(key)?.as_str()?.to_owned())
    };
    let wanted = text(daemon_set, "annotations", TEMPLATE_GENERATION);
    let found = text(pod, "labels", POD_TEMPLATE_GENERATION);
    match (wanted, found) {
        (Some(wanted), Some(found)) => wanted == found,
        _ => true,
    }
}

/// What the templates in `ControllerRevision`s request, by the key of the `DaemonSet` and the hash.
type Revisions = HashMap<(String, String), Amounts>;

fn revisions(objects: &Objects) -> Revisions {
    let read = |revision: &Object| {
        let (owner, _) = controlling_daemon_set(revision)?;
        let template = revision.get("data")?.get("spec")?.get("template")?;
        Some((
            (owner, hash(revision)?),
            requests(template.get("spec")?.as_object()?),
        ))
    };
    objects
        .of(Kind::ControllerRevision)
        .iter()
        .filter_map(read)
        .collect()
}

/// Whether the revision of the pod requests the same as the current template. It counts as such if the revision isn't in
/// the input.
fn has_requests_of_revision(revisions: &Revisions, owner: &str, pod: &Fields, daemon_set: &Fields) -> bool {
    let revision = hash(pod).and_then(|hash| revisions.get(&(owner.to_owned(), hash)));
    let template = daemon_set.get("spec").and_then(|spec| spec.get("template"));
    let spec = template.and_then(|template| template.get("spec")?.as_object());
    match (revision, spec) {
        (Some(revision), Some(spec)) => *revision == requests(spec),
        _ => true,
    }
}

fn hash(object: &Fields) -> Option<String> {
    let labels = object.get("metadata")?.get("labels")?;
    Some(labels.get(REVISION_LABEL)?.as_str()?.to_owned())
}

fn template_spec(daemon_set: &mut Fields) -> Option<&mut Fields> {
    let template = daemon_set.get_mut("spec")?.get_mut("template")?;
    template.get_mut("spec")?.as_object_mut()
}

/// Copies the resources of the pod into the template: those of the pod as a whole, the overhead, and those of containers,
/// by their names. Adds the containers that only the pod has.
fn replace_resources(template: &mut Fields, pod: &Fields) {
    for field in ["resources", "overhead"] {
        copy(template, pod, field);
    }
    for list in CONTAINERS {
        let Some(Value::Array(of_pod)) = pod.get(list) else {
            continue;
        };
        let containers = template.entry(list).or_insert(Value::Null);
        if containers.is_null() {
            *containers = Value::Array(Vec::new());
        }
        if let Value::Array(containers) = containers {
            replace_in_containers(containers, of_pod);
        }
    }
}

fn replace_in_containers(containers: &mut Vec<Value>, of_pod: &[Value]) {
    let name = |container: &Value| container.get("name").and_then(Value::as_str).map(str::to_owned);
    let objects = containers
        .iter()
        .enumerate()
        .filter(|(_, container)| container.is_object());
    let by_name: HashMap<_, _> = objects
        .map(|(index, container)| (name(container), index))
        .collect();
    for container in of_pod {
        let index = by_name.get(&name(container));
        let same = index.and_then(|index| containers.get_mut(*index));
        match (same.and_then(Value::as_object_mut), container.as_object()) {
            (Some(same), Some(container)) => copy(same, container, "resources"),
            // A webhook has added the container.
            (None, Some(_)) => containers.push(container.clone()),
            (_, None) => {}
        }
    }
}

/// Copies a field if there is one.
fn copy(to: &mut Fields, from: &Fields, field: &str) {
    if let Some(value) = from.get(field) {
        to.insert(field.to_owned(), value.clone());
    }
}

/// What containers request, by the path of each amount.
type Amounts = BTreeMap<String, Amount>;

/// A quantity, or the text of something that isn't one.
#[derive(PartialEq, Eq)]
enum Amount {
    Known(Quantity),
    Unknown(String),
}

impl Amount {
    fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// Returns everything that decides what a pod requests. A limit counts as the request if there is no request.
fn requests(spec: &Fields) -> Amounts {
    let mut amounts = Amounts::new();
    add_resources(&mut amounts, "resources", spec.get("resources"));
    add_quantities(&mut amounts, "overhead", spec.get("overhead"));
    for list in CONTAINERS {
        let containers = spec.get(list).and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            add_resources(
                &mut amounts,
                &format!("{list}/{name}"),
                container.get("resources"),
            );
        }
    }
    amounts
}

fn add_resources(amounts: &mut Amounts, path: &str, resources: Option<&Value>) {
    for kind in ["limits", "requests"] {
        add_quantities(amounts, path, resources.and_then(|resources| resources.get(kind)));
    }
}

fn add_quantities(amounts: &mut Amounts, path: &str, quantities: Option<&Value>) {
    let none = Map::new();
    let quantities = quantities.and_then(Value::as_object).unwrap_or(&none);
    for (resource, quantity) in quantities {
        let text = match quantity {
            Value::String(text) => text.trim().to_owned(),
            Value::Null => "0".to_owned(),
            other => other.to_string(),
        };
        let amount = text.parse().map_or(Amount::Unknown(text), Amount::Known);
        amounts.insert(format!("{path}/{resource}"), amount);
    }
}

#[cfg(test)]
mod tests;
