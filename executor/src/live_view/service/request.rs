//! Validates requests.

use tonic::Status;
use tonic_types::FieldViolation;

use super::status::invalid;
use crate::apiserver::names::{NAME_RULE, is_name};

/// Returns the violation if a text isn't a valid name.
fn name_violation(field: &str, text: &str) -> Option<FieldViolation> {
    let message = || format!("{text:?} isn't a valid name: {NAME_RULE}");
    (!is_name(text)).then(|| FieldViolation::new(field, message()))
}

/// Selects `DaemonSet`s by namespace and name.
#[derive(Debug)]
pub(super) struct Filter {
    namespace: String,
    name: String,
}

impl Filter {
    /// Creates a filter by namespace and name. An empty field matches all.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when a field isn't a valid name.
    pub(super) fn new(namespace: String, name: String) -> Result<Self, Status> {
        let fields = [("namespace", &namespace), ("name", &name)];
        let fields = fields.into_iter().filter(|(_, text)| !text.is_empty());
        let violations: Vec<_> = fields
            .filter_map(|(field, text)| name_violation(field, text))
            .collect();
        if violations.is_empty() {
            Ok(Self { namespace, name })
        } else {
            Err(invalid(violations))
        }
    }

    /// Whether the filter selects a `DaemonSet`.
    pub(super) fn matches(&self, namespace: &str, name: &str) -> bool {
        (self.namespace.is_empty() || self.namespace == namespace)
            && (self.name.is_empty() || self.name == name)
    }

    /// Whether the filter selects the `DaemonSet` with the key `namespace/name`.
    pub(super) fn matches_key(&self, key: &str) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        self.matches(namespace, name)
    }
}

/// A `DaemonSet`, a node or both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExplainTarget {
    /// The key, `namespace/name`.
    pub(super) daemon_set: Option<String>,
    pub(super) node: Option<String>,
}

impl ExplainTarget {
    /// Validates the names. An empty name means all `DaemonSet`s or all nodes.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when both are empty, or one is invalid.
    pub(super) fn new(daemon_set: String, node: String) -> Result<Self, Status> {
        let (daemon_set, node) = (non_empty(daemon_set), non_empty(node));
        let mut violations = Vec::new();
        if let Some(key) = &daemon_set {
            let is_key = key
                .split_once('/')
                .is_some_and(|(namespace, name)| is_name(namespace) && is_name(name));
            let message = format!("{key:?} doesn't have the form namespace/name");
            violations.extend((!is_key).then(|| FieldViolation::new("daemon_set", message)));
        }
        violations.extend(node.as_ref().and_then(|node| name_violation("node", node)));
        if daemon_set.is_none() && node.is_none() {
            let message = "a DaemonSet, a node or both are required";
            violations.extend(["daemon_set", "node"].map(|field| FieldViolation::new(field, message)));
        }
        if violations.is_empty() {
            Ok(Self { daemon_set, node })
        } else {
            Err(invalid(violations))
        }
    }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Validates the name of a node.
///
/// # Errors
/// `INVALID_ARGUMENT` when the name is missing or invalid.
pub(super) fn node(name: String) -> Result<String, Status> {
    let missing = || FieldViolation::new("node", "is required");
    let violation = match name.as_str() {
        "" => Some(missing()),
        name => name_violation("node", name),
    };
    violation.map_or(Ok(name), |violation| Err(invalid(vec![violation])))
}

#[cfg(test)]
mod tests;
