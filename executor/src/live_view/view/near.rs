//! Suggests similar names for one that doesn't exist.

/// Maximum number of suggestions.
const PROPOSED: usize = 3;
/// Minimum similarity of a suggestion, from 0 to 1.
const ALIKE: f64 = 0.7;

/// Returns the names most similar to `name`, best first.
pub fn near<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let mut alike: Vec<_> = names
        .into_iter()
        .map(|other| (likeness(name, other), other))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    alike.sort_by(|(a, a_name), (b, b_name)| b.total_cmp(a).then_with(|| a_name.cmp(b_name)));
    alike.truncate(PROPOSED);
    alike.into_iter().map(|(_, name)| name).collect()
}

/// Returns the similarity of two names, from 0 to 1. The same name in another namespace is at least 0.9.
fn likeness(a: &str, b: &str) -> f64 {
    let whole = strsim::normalized_damerau_levenshtein(a, b);
    match (a.split_once('/'), b.split_once('/')) {
        (Some((_, a)), Some((_, b))) if a == b => whole.max(0.9),
        _ => whole,
    }
}

/// Builds the message for a missing object, with suggestions.
pub fn missing<'n>(kind: &str, name: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    match near(name, names).as_slice() {
        [] => format!("there is no {kind} {name}"),
        near => format!("there is no {kind} {name}; did you mean {}?", near.join(" or ")),
    }
}
