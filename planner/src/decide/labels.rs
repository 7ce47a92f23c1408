//! The syntax of label keys and values. A node selector that violates it can't be parsed (contract P3), as in
//! `labels.NewRequirement`.

use super::suggestion::quoted;

const MAX_NAME_LENGTH: usize = 63;
const MAX_PREFIX_LENGTH: usize = 253;

/// Says why a label key is invalid, and which key is probably meant. `None` if the key is valid.
pub(crate) fn invalid_key(key: &str) -> Option<String> {
    let error = key_error(key)?;
    let hint = match similar_key(key) {
        Some(similar) => format!("; did you mean {similar}?"),
        None => String::new(),
    };
    Some(format!("{} is not a valid label key: {error}{hint}", quoted(key)))
}

/// Says why a label value is invalid. `None` if it is valid.
pub(crate) fn invalid_value(value: &str) -> Option<String> {
    let error = value_error(value)?;
    Some(format!("{} is not a valid label value: {error}", quoted(value)))
}

/// Returns what is wrong with a label key, or `None` if it is valid. A key has the form `name` or `prefix/name`.
fn key_error(key: &str) -> Option<&'static str> {
    let name = match key.split_once('/') {
        Some((_, name)) if name.contains('/') => return Some("it has more than one slash"),
        Some((prefix, _)) if prefix.len() > MAX_PREFIX_LENGTH => {
            return Some("the part before the slash must have at most 253 characters");
        }
        Some((prefix, _)) if !is_dns_subdomain(prefix) => {
            return Some("the part before the slash must be a DNS subdomain in lower case");
        }
        Some((_, name)) if name.len() > MAX_NAME_LENGTH => {
            return Some("the part after the slash must have at most 63 characters");
        }
        Some((_, name)) => name,
        None => key,
    };
    if name.is_empty() {
        return Some("the name must not be empty");
    }
    value_error(name)
}

/// Returns a valid key that differs from an invalid one only by a slash in the prefix, the case of the prefix, or blanks
/// around the key.
fn similar_key(key: &str) -> Option<String> {
    // No valid key is longer.
    if key.len() > MAX_PREFIX_LENGTH + 1 + MAX_NAME_LENGTH {
        return None;
    }
    let key = key.trim();
    let similar = match key.rsplit_once('/') {
        Some((prefix, name)) => format!("{}/{name}", prefix.replace('/', ".").to_ascii_lowercase()),
        None => key.to_owned(),
    };
    key_error(&similar).is_none().then_some(similar)
}

/// Returns what is wrong with a label value, or `None` if it is valid.
fn value_error(value: &str) -> Option<&'static str> {
    if value.len() > MAX_NAME_LENGTH {
        return Some("it must have at most 63 characters");
    }
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !value.bytes().all(inner) || !has_alphanumeric_ends(value) {
        return Some(
            "it must consist of letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        );
    }
    None
}

fn has_alphanumeric_ends(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_alphanumeric();
    text.as_bytes().first().is_none_or(alphanumeric) && text.as_bytes().last().is_none_or(alphanumeric)
}

/// Whether a text is a DNS subdomain, whatever its length.
pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    text.split('.').all(is_part)
}

/// Whether a text is a DNS label.
pub(crate) fn is_dns_label(text: &str) -> bool {
    text.len() <= MAX_NAME_LENGTH && is_part(text)
}

/// Whether a text can be part of a DNS subdomain.
fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && has_alphanumeric_ends(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_key_has_a_suggestion_if_a_valid_key_is_similar() {
        for (key, hint) in [
            (
                "node-role/kubernetes.io/worker",
                "; did you mean node-role.kubernetes.io/worker?",
            ),
            ("Example.com/zone", "; did you mean example.com/zone?"),
            (" zone", "; did you mean zone?"),
            ("a b", ""),
            ("", ""),
            ("/a", ""),
        ] {
            let message = invalid_key(key).unwrap();
            let error = key_error(key).unwrap();
            assert_eq!(
                message,
                format!("{key:?} is not a valid label key: {error}{hint}")
            );
        }
        assert_eq!(invalid_key("node-role.kubernetes.io/worker"), None);
    }

    #[test]
    fn lengths_of_keys_and_values_are_limited() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        let prefix = |length: usize| "a".repeat(length);
        for (key, error) in [
            (longer.clone(), "it must have at most 63 characters"),
            (
                format!("a/{longer}"),
                "the part after the slash must have at most 63 characters",
            ),
            (
                format!("{}/a", prefix(254)),
                "the part before the slash must have at most 253 characters",
            ),
        ] {
            assert_eq!(key_error(&key), Some(error));
        }
        assert_eq!(key_error(&format!("{}/{long}", prefix(253))), None);
        assert_eq!(value_error(&long), None);
        assert_eq!(value_error(&longer), Some("it must have at most 63 characters"));
        assert!(invalid_key(&"a/".repeat(1_000_000)).unwrap().len() < 1_000);
    }
}
