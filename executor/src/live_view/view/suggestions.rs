//! Suggests similar names for one that doesn't exist.

/// Maximum number of suggestions.
const MAX_SUGGESTIONS: usize = 3;
/// Minimum similarity of a suggestion, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.7;

/// Returns the names most similar to `name`, best first.
pub(crate) fn similar<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let mut similar: Vec<_> = names
        .into_iter()
        .map(|other| (similarity(name, other), other))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .collect();
    similar.sort_by(|(a, a_name), (b, b_name)| b.total_cmp(a).then_with(|| a_name.cmp(b_name)));
    similar.truncate(MAX_SUGGESTIONS);
    similar.into_iter().map(|(_, name)| name).collect()
}

/// Returns the similarity of two names, from 0 to 1. For the same name in another namespace, it is at least 0.9.
fn similarity(a: &str, b: &str) -> f64 {
    let whole = strsim::normalized_damerau_levenshtein(a, b);
    match (a.split_once('/'), b.split_once('/')) {
        (Some((_, a)), Some((_, b))) if a == b => whole.max(0.9),
        _ => whole,
    }
}

/// Builds the message for a missing object, with suggestions.
pub(crate) fn missing<'n>(kind: &str, name: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    match similar(name, names).as_slice() {
        [] => format!("there is no {kind} {name}"),
        similar => format!(
            "there is no {kind} {name}; did you mean {}?",
            similar.join(" or ")
        ),
    }
}
