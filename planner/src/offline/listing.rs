//! Lists of names in messages.

/// Lists the first `max` names, and the number of the others.
pub(super) fn listed(names: &[String], max: usize) -> String {
    let (shown, others) = names.split_at_checked(max).unwrap_or((names, &[]));
    let shown = shown.join(", ");
    match others.len() {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_names_are_listed() {
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        assert_eq!(listed(&names, 2), "a, b, and 2 more");
        assert_eq!(listed(&names, 4), "a, b, c, d");
        assert_eq!(listed(&names, 5), "a, b, c, d");
        assert_eq!(listed(&[], 5), "");
    }
}
