//! The syntax of label keys and values. A node selector that violates it can't be parsed (contract P3), as in
//! `labels.NewRequirement`.

const MAX_NAME_LENGTH: usize = 63;
const MAX_PREFIX_LENGTH: usize = 253;

/// Returns what is wrong with a label key, or `None` if it is valid. A key has the form `name` or `prefix/name`.
pub(crate) fn key_error(key: &str) -> Option<&'static str> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            if !is_dns_subdomain(prefix) {
                return Some("the part before the slash must be a DNS subdomain in lower case");
            }
            name
        }
        None => key,
    };
    if name.is_empty() {
        return Some("the name must not be empty");
    }
    value_error(name)
}

/// Returns what is wrong with a label value, or `None` if it is valid.
pub(crate) fn value_error(value: &str) -> Option<&'static str> {
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

fn is_dns_subdomain(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let part = |part: &str| !part.is_empty() && part.bytes().all(inner) && has_alphanumeric_ends(part);
    text.len() <= MAX_PREFIX_LENGTH && text.split('.').all(part)
}
