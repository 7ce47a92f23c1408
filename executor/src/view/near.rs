//! Names that may have been meant by one that isn't there.

/// How many are proposed.
const PROPOSED: usize = 3;
/// How alike two names have to be, from 0 to 1.
const ALIKE: f64 = 0.7;

/// Of these names, those that are nearest to `name`, best first.
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

/// Of `namespace/name`s, the same name in another namespace counts as nearly the same.
fn likeness(a: &str, b: &str) -> f64 {
    let whole = strsim::normalized_damerau_levenshtein(a, b);
    match (a.split_once('/'), b.split_once('/')) {
        (Some((_, a)), Some((_, b))) if a == b => whole.max(0.9),
        _ => whole,
    }
}

/// Says that something isn't there, and what may have been meant.
pub fn missing<'n>(kind: &str, name: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    match near(name, names).as_slice() {
        [] => format!("there is no {kind} {name}"),
        near => format!("there is no {kind} {name}; did you mean {}?", near.join(" or ")),
    }
}
