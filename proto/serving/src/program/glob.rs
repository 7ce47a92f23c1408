//! Names with wildcards on the command line, such as `ip-10-0-1-*`.

/// The character that stands for any text.
const WILDCARD: char = '*';

/// Whether the pattern stands for more than one name.
pub fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(WILDCARD)
}

/// Whether a name matches a pattern, in which each `*` stands for any text, also for none.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, others)) = pattern.split_once(WILDCARD) else {
        return pattern == name;
    };
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<_> = others.split(WILDCARD).collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The first occurrence leaves the most text for the parts behind it.
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wildcard_stands_for_any_text() {
        for (pattern, name, is_match) in [
            ("worker-1", "worker-1", true),
            ("worker-1", "worker-10", false),
            ("worker-*", "worker-", true),
            ("worker-*", "worker-10", true),
            ("*", "", true),
            ("*-1", "worker-1", true),
            ("*-1", "worker-1-2", false),
            ("ip-*.ec2.*", "ip-10.ec2.internal", true),
            ("ip-*.ec2.*", "ip-10.gce.internal", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*b", "ab", false),
            ("a*b*b", "abxb", true),
            ("**", "anything", true),
            ("", "a", false),
            ("ż*w", "żółw", true),
        ] {
            assert_eq!(matches(pattern, name), is_match, "{pattern} {name}");
        }
        assert!(has_wildcard("a*") && !has_wildcard("a"));
    }
}
