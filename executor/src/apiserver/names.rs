//! Validates the names of Kubernetes objects in requests and URLs.

/// The longest name that Kubernetes accepts, in bytes.
const MAX_NAME_BYTES: usize = 253;
/// Maximum number of characters of an invalid name that an error shows.
const MAX_SHOWN_CHARS: usize = 64;
/// The rule for names, as errors state it.
pub(crate) const NAME_RULE: &str = "a name has at most 253 characters, which are a-z, 0-9, '-' and '.', and each part \
     between dots begins and ends with a letter or a digit";

/// Whether the text is a valid name: a DNS subdomain.
pub(crate) fn is_name(text: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(is_alphanumeric)
            && bytes.last().copied().is_some_and(is_alphanumeric)
            && bytes.iter().all(|byte| is_alphanumeric(*byte) || *byte == b'-')
    };
    text.len() <= MAX_NAME_BYTES && text.split('.').all(is_part)
}

/// A name or a namespace that no Kubernetes object can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {field} {name:?} is not valid: {}", self::NAME_RULE)]
pub(crate) struct InvalidName {
    field: &'static str,
    /// The beginning of the name.
    name: String,
}

/// Returns a name as an element of a URL's path. Any other text could end the path, leave it, or add a query to it.
///
/// # Errors
/// The text isn't a valid name. The error calls it `field`.
pub(crate) fn path_element<'n>(field: &'static str, name: &'n str) -> Result<&'n str, InvalidName> {
    if is_name(name) {
        return Ok(name);
    }
    Err(InvalidName {
        field,
        name: name.chars().take(MAX_SHOWN_CHARS).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_become_part_of_a_path() {
        for name in ["p1", "agent-x7bq2", "node-01.example.com", "0", &"a".repeat(253)] {
            assert_eq!(path_element("pod name", name), Ok(name));
        }
        for name in [
            "",
            ".",
            "..",
            "p1?gracePeriodSeconds=0",
            "p1/eviction",
            "../p1",
            "p1%2Fstatus",
            "p1#",
            "p 1",
            "P1",
            "p1\r\n",
            "-p1",
            "p1.",
            "ä",
            &"a".repeat(254),
        ] {
            assert!(path_element("pod name", name).is_err(), "{name:?}");
        }
        let error = path_element("pod name", "p1?x=0").unwrap_err().to_string();
        assert!(
            error.starts_with("the pod name \"p1?x=0\" is not valid"),
            "{error}"
        );
        assert!(
            error.ends_with("begins and ends with a letter or a digit"),
            "{error}"
        );
    }
}
