//! Writes the paths of fields, such as `spec.taints[0].key` and `metadata.labels[example.com/pool]`.

use serde_path_to_error::{Path, Segment};

/// Appends the name of a field, or the key of a map's entry, to the path of the object that holds it. A key that isn't
/// plain, such as `nvidia.com/gpu`, is in brackets, as Kubernetes writes it.
pub fn with_key(path: &str, key: &str) -> String {
    if !is_plain(key) {
        return format!("{path}[{key}]");
    }
    let separator = if path.is_empty() { "" } else { "." };
    format!("{path}{separator}{key}")
}

/// Whether a key can follow a period without ambiguity.
fn is_plain(key: &str) -> bool {
    let is_allowed = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_');
    !key.is_empty() && key.chars().all(is_allowed)
}

/// Writes the path at which an object can't be read.
pub(super) fn of_error(path: &Path) -> String {
    let append = |path: String, segment: &Segment| match segment {
        Segment::Seq { index } => format!("{path}[{index}]"),
        Segment::Map { key } | Segment::Enum { variant: key } => with_key(&path, key),
        // A key that can't be read. The path ends at its object.
        Segment::Unknown => path,
    };
    path.iter().fold(String::new(), append)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_key_follows_a_period_and_any_other_key_is_in_brackets() {
        for (path, key, expected) in [
            ("", "kind", "kind"),
            ("spec", "nodeName", "spec.nodeName"),
            ("requests", "ephemeral-storage", "requests.ephemeral-storage"),
            ("requests", "nvidia.com/gpu", "requests[nvidia.com/gpu]"),
            ("labels", "a.b", "labels[a.b]"),
            ("labels", "", "labels[]"),
            ("labels", "a b", "labels[a b]"),
            ("", "example.com/pool", "[example.com/pool]"),
        ] {
            assert_eq!(with_key(path, key), expected);
        }
    }
}
