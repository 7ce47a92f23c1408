//! Finds names, and values of labels, taints and tolerations, that the API server refuses. An object with such a value
//! still gets verdicts, because it may come from a file that no API server has read.
//!
//! Mirrors `NameIsDNSSubdomain`, `ValidateLabels`, `validateNodeTaints` and `ValidateTolerations`.

use hashbrown::HashSet;

use super::{
    labels::{invalid_key, invalid_value, is_dns_label, is_dns_subdomain},
    suggestion::{alternatives, expected, quoted},
};
use crate::model::{Labels, Node, Problem, Taint, Toleration};

/// The effects that a taint can have.
pub(crate) const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// The operators of tolerations that the planner knows.
const OPERATORS: [&str; 2] = ["Equal", "Exists"];
/// The operators of tolerations that Kubernetes knows only with a feature gate.
const GATED_OPERATORS: [&str; 2] = ["Lt", "Gt"];

/// Returns the problems of an object's labels, or of a node selector. `field` is their path.
pub(crate) fn labels<'l>(
    field: &'l str,
    labels: impl IntoIterator<Item = (&'l str, &'l str)>,
) -> impl Iterator<Item = Problem> {
    labels.into_iter().filter_map(move |(key, value)| {
        let message = invalid_key(key).or_else(|| {
            let error = invalid_value(value)?;
            Some(format!("{key}: {error}"))
        })?;
        Some(Problem::invalid(field, message))
    })
}

/// The syntax of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// One part, as in the names of namespaces.
    Label,
    /// Parts that are separated by periods.
    Subdomain,
}

impl NameKind {
    fn fits(self, name: &str) -> bool {
        match self {
            Self::Label => is_dns_label(name),
            Self::Subdomain => is_dns_subdomain(name),
        }
    }
}

/// Returns the problem of a name. An empty or overlong name has none, because it is refused elsewhere.
pub(crate) fn name(field: &str, name: &str, kind: NameKind) -> Option<Problem> {
    if name.is_empty() || kind.fits(name) {
        return None;
    }
    let syntax = match kind {
        NameKind::Label => {
            "at most 63 lower-case letters, digits and '-', with a letter or digit at both ends"
        }
        NameKind::Subdomain => {
            "lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
        }
    };
    let similar = name.trim().replace(['_', ' '], "-").to_ascii_lowercase();
    let hint = if name.contains("{{") || name.contains("${") {
        "; the input looks like a template, which must be rendered first".to_owned()
    } else if kind.fits(&similar) {
        format!("; did you mean {similar}?")
    } else {
        String::new()
    };
    let message = format!(
        "{} is not a valid name: it must consist of {syntax}{hint}",
        quoted(name)
    );
    Some(Problem::invalid(field, message))
}

/// Returns the keys and values of labels.
pub(crate) fn pairs(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
}

/// Returns the problems of a node.
pub(crate) fn node(node: &Node) -> impl Iterator<Item = Problem> {
    labels("metadata.labels", pairs(&node.labels)).chain(taints("spec.taints", &node.taints))
}

/// Returns the problems of a node template, which isn't a Kubernetes object.
pub(crate) fn node_template(node: &Node) -> impl Iterator<Item = Problem> {
    labels("labels", pairs(&node.labels)).chain(taints("taints", &node.taints))
}

/// Returns the problems of taints. `field` is their path.
fn taints<'t>(field: &'t str, taints: &'t [Taint]) -> impl Iterator<Item = Problem> + use<'t> {
    let mut known = HashSet::new();
    taints.iter().enumerate().flat_map(move |(index, taint)| {
        let is_new = taints.len() < 2 || known.insert((&taint.key, &taint.effect));
        let duplicate = (!is_new).then(|| {
            let message = format!(
                "the node has another taint with the key and effect {}",
                shown(taint)
            );
            Problem::invalid(format!("{field}[{index}]"), message)
        });
        let own = taint_problems(taint).map(move |problem| problem.within(&format!("{field}[{index}]")));
        own.chain(duplicate)
    })
}

fn shown(taint: &Taint) -> String {
    format!("{}:{}", taint.key, taint.effect)
}

fn taint_problems(taint: &Taint) -> impl Iterator<Item = Problem> {
    let Taint { key, value, effect } = taint;
    let key = if key.is_empty() {
        Some("must not be empty".to_owned())
    } else {
        invalid_key(key)
    };
    let effect = match effect.as_ref() {
        "" => Some(format!(
            "must be {}; the taint is ignored",
            alternatives(&EFFECTS)
        )),
        known if EFFECTS.contains(&known) => None,
        other => Some(format!(
            "{} is not a taint effect, so the taint is ignored; {}",
            quoted(other),
            expected(other, &EFFECTS)
        )),
    };
    [("key", key), ("value", invalid_value(value)), ("effect", effect)]
        .into_iter()
        .filter_map(|(field, message)| Some(Problem::invalid(field, message?)))
}

/// Returns the problems of tolerations. `field` is their path.
pub(crate) fn tolerations<'t>(
    field: &'t str,
    tolerations: &'t [Toleration],
) -> impl Iterator<Item = Problem> + use<'t> {
    tolerations
        .iter()
        .enumerate()
        .flat_map(move |(index, toleration)| {
            toleration_problems(toleration).map(move |problem| problem.within(&format!("{field}[{index}]")))
        })
}

fn toleration_problems(toleration: &Toleration) -> impl Iterator<Item = Problem> {
    const CONSEQUENCE: &str = "so the toleration tolerates nothing";
    let Toleration {
        key,
        operator,
        value,
        effect,
    } = toleration;
    let is_equal = matches!(operator.as_ref(), "" | "Equal");
    let operator = match operator.as_ref() {
        _ if is_equal && key.is_empty() => {
            Some("must be Exists if there is no key; {operator: Exists} tolerates every taint".to_owned())
        }
        "" | "Equal" | "Exists" => None,
        gated if GATED_OPERATORS.contains(&gated) => Some(format!(
            "this planner doesn't know the operator {gated} of the feature gate \
             TaintTolerationComparisonOperators, {CONSEQUENCE}"
        )),
        other => Some(format!(
            "{} is not an operator of tolerations, {CONSEQUENCE}; {}",
            quoted(other),
            expected(other, &OPERATORS)
        )),
    };
    let value = if is_equal {
        invalid_value(value)
    } else {
        let is_ignored = toleration.operator.as_ref() == "Exists" && !value.is_empty();
        is_ignored.then(|| "must be empty for operator Exists, which tolerates every value".to_owned())
    };
    let effect = (!effect.is_empty() && !EFFECTS.contains(&effect.as_ref())).then(|| {
        let hint = expected(effect, &EFFECTS);
        format!("{} is not a taint effect, {CONSEQUENCE}; {hint}", quoted(effect))
    });
    let key = if key.is_empty() { None } else { invalid_key(key) };
    [
        ("key", key),
        ("operator", operator),
        ("value", value),
        ("effect", effect),
    ]
    .into_iter()
    .filter_map(|(field, message)| Some(Problem::invalid(field, message?)))
}

#[cfg(test)]
mod tests;
