//! Validates requests.

use tonic::Status;
use tonic_types::FieldViolation;

use super::status::invalid;
use crate::apiserver::names::is_name;

/// Returns the violation if a text isn't a valid name.
fn fault(field: &str, text: &str) -> Option<FieldViolation> {
    let words = || format!("{text:?} can't be a name: those are of a-z, 0-9, - and . only");
    (!is_name(text)).then(|| FieldViolation::new(field, words()))
}

/// Selects the `DaemonSet`s that a request asks for.
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
        let given = [("namespace", &namespace), ("name", &name)];
        let given = given.into_iter().filter(|(_, text)| !text.is_empty());
        let violations: Vec<_> = given.filter_map(|(field, text)| fault(field, text)).collect();
        if violations.is_empty() {
            Ok(Self { namespace, name })
        } else {
            Err(invalid(violations))
        }
    }

    /// Whether the filter selects a `DaemonSet`.
    pub(super) fn fits(&self, namespace: &str, name: &str) -> bool {
        (self.namespace.is_empty() || self.namespace == namespace)
            && (self.name.is_empty() || self.name == name)
    }

    /// Whether the filter selects the `DaemonSet` with the key `namespace/name`.
    pub(super) fn fits_key(&self, key: &str) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        self.fits(namespace, name)
    }
}

/// A `DaemonSet` and a node. One of them may be missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The key, `namespace/name`.
    pub(super) daemon_set: Option<String>,
    /// The node's name.
    pub(super) node: Option<String>,
}

impl Pair {
    /// Validates a pair. An empty name is left out.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when both are empty, or one is invalid.
    pub(super) fn new(daemon_set: String, node: String) -> Result<Self, Status> {
        let (daemon_set, node) = (given(daemon_set), given(node));
        let mut violations = Vec::new();
        if let Some(key) = &daemon_set {
            let is_key = key
                .split_once('/')
                .is_some_and(|(namespace, name)| is_name(namespace) && is_name(name));
            let words = format!("{key:?} is not namespace/name");
            violations.extend((!is_key).then(|| FieldViolation::new("daemon_set", words)));
        }
        violations.extend(node.as_ref().and_then(|node| fault("node", node)));
        if daemon_set.is_none() && node.is_none() {
            let words = "a DaemonSet, a node or both have to be given";
            violations.extend(["daemon_set", "node"].map(|field| FieldViolation::new(field, words)));
        }
        if violations.is_empty() {
            Ok(Self { daemon_set, node })
        } else {
            Err(invalid(violations))
        }
    }
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Validates the name of a node.
///
/// # Errors
/// `INVALID_ARGUMENT` when the name is missing or invalid.
pub(super) fn node(name: String) -> Result<String, Status> {
    let missing = || FieldViolation::new("node", "has to be given");
    let violation = match name.as_str() {
        "" => Some(missing()),
        name => fault("node", name),
    };
    violation.map_or(Ok(name), |violation| Err(invalid(vec![violation])))
}

#[cfg(test)]
mod tests;
