//! Compares a `DaemonSet`'s template with the one in a `ControllerRevision`.
//!
//! A stored template has the API server's defaults, and a template from a manifest doesn't have them. So a field that
//! only one of the two has is ignored if its value is the default. Mirrors `SetDefaults_PodSpec` and `SetDefaults_Container`.

use serde_json::{Map, Value};

use crate::model::Quantity;

/// The parent of the template's own fields.
const ROOT: &str = "";
/// The patch directive, which only a stored template has.
const PATCH: &str = "$patch";

/// Fields whose keys are chosen by users, so that none of them has a default.
const MAPS: [&str; 6] = [
    "labels",
    "annotations",
    "nodeSelector",
    "matchLabels",
    "requests",
    "limits",
];

/// The defaults of texts: the field that holds the object, or a list of it, the field in the object, and its value. An
/// empty parent stands for any.
const TEXTS: [(&str, &str, &str); 20] = [
    ("spec", "restartPolicy", "Always"),
    ("spec", "dnsPolicy", "ClusterFirst"),
    ("spec", "schedulerName", "default-scheduler"),
    ("", "terminationMessagePath", "/dev/termination-log"),
    ("", "terminationMessagePolicy", "File"),
    ("ports", "protocol", "TCP"),
    ("httpGet", "path", "/"),
    ("httpGet", "scheme", "HTTP"),
    ("fieldRef", "apiVersion", "v1"),
    ("resourceFieldRef", "divisor", "0"),
    // The claim of an ephemeral volume.
    ("spec", "volumeMode", "Filesystem"),
    ("iscsi", "iscsiInterface", "default"),
    ("azureDisk", "cachingMode", "ReadWrite"),
    ("azureDisk", "fsType", "ext4"),
    ("azureDisk", "kind", "Shared"),
    ("rbd", "pool", "rbd"),
    ("rbd", "user", "admin"),
    ("rbd", "keyring", "/etc/ceph/keyring"),
    ("scaleIO", "storageMode", "ThinProvisioned"),
    ("scaleIO", "fsType", "xfs"),
];

/// The defaults of numbers, in the same form.
const NUMBERS: [(&str, &str, i64); 9] = [
    ("spec", "terminationGracePeriodSeconds", 30),
    ("", "timeoutSeconds", 1),
    ("", "periodSeconds", 10),
    ("", "successThreshold", 1),
    ("", "failureThreshold", 3),
    ("", "initialDelaySeconds", 0),
    ("", "defaultMode", 0o644),
    ("serviceAccountToken", "expirationSeconds", 3600),
    ("ports", "hostPort", 0),
];

/// The fields that mean the same when they are false and when they are missing.
const FALSE: [&str; 8] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "stdin",
    "stdinOnce",
    "tty",
    "readOnly",
    "publishNotReadyAddresses",
];

/// The fields that mean the same when they are empty objects and when they are missing.
const EMPTY: [&str; 8] = [
    "securityContext",
    "resources",
    "affinity",
    "labels",
    "annotations",
    "nodeSelector",
    "metadata",
    "emptyDir",
];

/// Whether a `DaemonSet`'s template means the same as a stored one.
pub(super) fn same_template(template: &Value, stored: &Value) -> bool {
    match (template, stored) {
        (Value::Object(template), Value::Object(stored)) => same_objects(ROOT, template, stored),
        _ => template == stored,
    }
}

fn same_objects(parent: &str, one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let only_in_other = other.keys().filter(|key| !one.contains_key(*key));
    let keys = one.keys().chain(only_in_other);
    let mut keys = keys.filter(|key| parent != ROOT || *key != PATCH);
    keys.all(|key| match (value_of(one, key), value_of(other, key)) {
        (None, None) => true,
        (Some(one), Some(other)) => same_values(parent, key, one, other),
        (Some(only), None) => is_default(parent, key, only, one),
        (None, Some(only)) => is_default(parent, key, only, other),
    })
}

/// The value of a field. A null means the same as a missing field. The API server takes the name of the service account
/// from the field's old name too.
fn value_of<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    let value = |key: &str| object.get(key).filter(|value| !value.is_null());
    match key {
        "serviceAccountName" => value(key).or_else(|| value("serviceAccount")),
        _ => value(key),
    }
}

fn same_values(parent: &str, key: &str, one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => same_objects(key, one, other),
        (Value::Array(one), Value::Array(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| same_values(parent, key, one, other))
        }
        (Value::String(_) | Value::Number(_), Value::String(_) | Value::Number(_)) => {
            one == other || (is_quantity(parent, key) && same_quantities(one, other))
        }
        _ => one == other,
    }
}

fn is_quantity(parent: &str, key: &str) -> bool {
    matches!(parent, "requests" | "limits" | "overhead") || matches!(key, "sizeLimit" | "divisor")
}

fn same_quantities(one: &Value, other: &Value) -> bool {
    let quantity = |value: &Value| -> Option<Quantity> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        text.parse().ok()
    };
    quantity(one).is_some_and(|one| quantity(other) == Some(one))
}

/// Whether a field of `object` has its default value, which means the same as no value.
fn is_default(parent: &str, key: &str, value: &Value, object: &Map<String, Value>) -> bool {
    if MAPS.contains(&parent) {
        return false;
    }
    let sibling = |key: &str| object.get(key).and_then(Value::as_str);
    match value {
        Value::Null => true,
        Value::Bool(value) if *value => key == "enableServiceLinks",
        Value::Bool(_) => FALSE.contains(&key),
        Value::Number(number) => NUMBERS.iter().any(|(of, name, default)| {
            (of.is_empty() || *of == parent) && *name == key && number.as_i64() == Some(*default)
        }),
        Value::String(text) => match key {
            "imagePullPolicy" => sibling("image").is_some_and(|image| text == pull_policy(image)),
            // A volume with the content of an image.
            "pullPolicy" => sibling("reference").is_some_and(|image| text == pull_policy(image)),
            // The old name of the same field.
            "serviceAccount" => sibling("serviceAccountName") == Some(text),
            _ => {
                text.is_empty()
                    || TEXTS.iter().any(|(of, name, default)| {
                        (of.is_empty() || *of == parent) && *name == key && text == default
                    })
            }
        },
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(Value::is_null) && EMPTY.contains(&key),
    }
}

/// Returns the default of imagePullPolicy, which depends on the tag of the image. An image with a digest has no default
/// tag.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    let (name, has_digest) = name
        .split_once('@')
        .map_or((name, false), |(name, _)| (name, true));
    match name.split_once(':') {
        Some((_, "latest")) => "Always",
        None if !has_digest => "Always",
        _ => "IfNotPresent",
    }
}

#[cfg(test)]
mod tests;
