//! The values that the API server refuses in a `DaemonSet`, except those of its placement. Mirrors `ValidateDaemonSet`.

use everynode_proto::facts::{
    self, Selector,
    object::{
        IntOrString, LabelSelector, Requirement, StringMap, UpdateStrategy,
        checks::{CheckedDaemonSet, CheckedPodSpec, CheckedToleration},
    },
    selector::OPERATORS,
};

use crate::{
    decide::{
        labels::{invalid_key, invalid_value},
        suggestion::{closest, expected, quoted},
        validation::{self, NameKind},
    },
    model::Problem,
};

const TEMPLATE_LABELS: &str = "spec.template.metadata.labels";
const STRATEGY: &str = "spec.updateStrategy";
const STRATEGIES: [&str; 2] = ["RollingUpdate", "OnDelete"];

/// The maximum number of invalid labels, values and tolerations in one place that are problems.
const MAX_SHOWN: usize = 20;

/// The maximum number of a selector's unmet requirements that a message names.
const MAX_UNMET: usize = 5;

/// Returns the problems of a `DaemonSet`.
pub(super) fn problems(daemon_set: &facts::DaemonSet, checked: &CheckedDaemonSet) -> Vec<Problem> {
    let spec = &checked.spec;
    let labels = &spec.template.metadata.labels;
    let metadata = &daemon_set.metadata;
    let name = validation::name("metadata.name", &metadata.name, NameKind::Subdomain);
    let namespace = validation::name("metadata.namespace", &metadata.namespace, NameKind::Label);
    let mut problems: Vec<_> = name.into_iter().chain(namespace).collect();
    problems.extend(of_labels("metadata.labels", &metadata.labels));
    // A missing or empty selector is a problem of the placement.
    if let Some(selector) = spec.selector.as_ref().filter(|selector| !selector.is_empty()) {
        problems.extend(of_selector(selector, labels));
    }
    problems.extend(of_labels(TEMPLATE_LABELS, labels));
    problems.extend(of_pod_spec(&spec.template.spec));
    problems.extend(of_strategy(&spec.update_strategy));
    let min_ready_seconds = daemon_set.spec.min_ready_seconds;
    if min_ready_seconds < 0 {
        problems.push(Problem::invalid(
            "spec.minReadySeconds",
            format!("must not be negative, found {min_ready_seconds}; it counts as 0"),
        ));
    }
    if spec.revision_history_limit.is_some_and(|limit| limit < 0) {
        problems.push(Problem::invalid(
            "spec.revisionHistoryLimit",
            "must not be negative",
        ));
    }
    problems
}

/// Returns the problems of the template's spec.
fn of_pod_spec(spec: &CheckedPodSpec) -> Vec<Problem> {
    let field = |name: &str| format!("spec.template.spec.{name}");
    let mut problems = Vec::new();
    if spec.containers.is_empty() {
        problems.push(Problem::invalid(
            field("containers"),
            "must have at least one container",
        ));
    }
    problems.extend(of_tolerations(&spec.tolerations).take(MAX_SHOWN));
    let restart_policy = &spec.restart_policy;
    if !matches!(restart_policy.as_str(), "" | "Always") {
        let message = format!(
            "must be Always, found {}; daemon pods always restart",
            quoted(restart_policy)
        );
        problems.push(Problem::invalid(field("restartPolicy"), message));
    }
    if spec.active_deadline_seconds.is_some() {
        problems.push(Problem::invalid(
            field("activeDeadlineSeconds"),
            "must not be set, because daemon pods have no deadline",
        ));
    }
    problems
}

/// Returns the problems of labels. `field` is their path.
fn of_labels(field: &str, labels: &StringMap) -> Vec<Problem> {
    let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    validation::labels(field, labels).take(MAX_SHOWN).collect()
}

/// Returns the problems of a selector that isn't empty.
fn of_selector(selector: &LabelSelector, template_labels: &StringMap) -> Vec<Problem> {
    let mut problems = of_labels("spec.selector.matchLabels", &selector.match_labels);
    let expressions = selector.match_expressions.iter().enumerate();
    problems.extend(expressions.flat_map(of_expression).take(MAX_SHOWN));
    match Selector::new(selector) {
        Ok(selector) => problems.extend(mismatch(&selector, template_labels)),
        Err(error) => {
            let operator = error.unknown_operator.as_deref();
            let hint = operator.and_then(|operator| closest(operator, OPERATORS));
            let hint = hint.map_or_else(String::new, |known| format!("; did you mean {known}?"));
            problems.push(Problem::invalid(
                format!("spec.selector.{}", error.field),
                error.message + &hint,
            ));
        }
    }
    problems
}

/// Returns the problems of the key and the values of an expression in a selector.
fn of_expression((index, requirement): (usize, &Requirement)) -> impl Iterator<Item = Problem> {
    let field = format!("spec.selector.matchExpressions[{index}]");
    let key = invalid_key(&requirement.key);
    let key = key.map(|message| Problem::invalid(format!("{field}.key"), message));
    let values = requirement.values.iter().enumerate();
    let values = values.filter_map(move |(index, value)| {
        let message = invalid_value(value)?;
        Some(Problem::invalid(format!("{field}.values[{index}]"), message))
    });
    key.into_iter().chain(values)
}

/// Returns the problem of a selector that doesn't match the labels of its own template.
fn mismatch(selector: &Selector, template_labels: &StringMap) -> Option<Problem> {
    let mut unmet = selector.unmet(template_labels);
    let shown: Vec<_> = unmet.by_ref().take(MAX_UNMET).collect();
    if shown.is_empty() {
        return None;
    }
    let more = match unmet.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "doesn't match the template, so the API server refuses the DaemonSet; {TEMPLATE_LABELS} must meet {}{more}",
        shown.join(", ")
    );
    Some(Problem::invalid("spec.selector", message))
}

/// Returns the problems of tolerations with a time limit. The placement reports the other problems of tolerations.
fn of_tolerations(tolerations: &[CheckedToleration]) -> impl Iterator<Item = Problem> {
    let limited = tolerations.iter().enumerate().filter(|(_, toleration)| {
        toleration.toleration_seconds.is_some() && toleration.effect != "NoExecute"
    });
    limited.map(|(index, _)| {
        Problem::invalid(
            format!("spec.template.spec.tolerations[{index}].effect"),
            "must be NoExecute if tolerationSeconds is set",
        )
    })
}

/// Returns the problems of the update strategy.
fn of_strategy(strategy: &UpdateStrategy) -> Vec<Problem> {
    let mut problems = Vec::new();
    let kind = strategy.r#type.as_str();
    if !kind.is_empty() && !STRATEGIES.contains(&kind) {
        let message = format!(
            "{} is not an update strategy of DaemonSets, so RollingUpdate is assumed; {}",
            quoted(kind),
            expected(kind, &STRATEGIES)
        );
        problems.push(Problem::invalid(format!("{STRATEGY}.type"), message));
    }
    if kind == "OnDelete" {
        return problems;
    }
    let rolling = strategy.rolling_update.clone().unwrap_or_default();
    let field = |name: &str| format!("{STRATEGY}.rollingUpdate.{name}");
    let budgets = [
        ("maxUnavailable", &rolling.max_unavailable),
        ("maxSurge", &rolling.max_surge),
    ];
    for (name, budget) in budgets {
        let error = budget.as_ref().and_then(budget_error);
        problems.extend(error.map(|message| Problem::invalid(field(name), message)));
    }
    let is_zero = |budget: &IntOrString| Some(amount(budget)?.0 == 0);
    // The API server's defaults are maxUnavailable 1 and maxSurge 0.
    let unavailable_is_zero = rolling.max_unavailable.as_ref().map_or(Some(false), is_zero);
    let surge_is_zero = rolling.max_surge.as_ref().map_or(Some(true), is_zero);
    match (unavailable_is_zero, surge_is_zero) {
        (Some(true), Some(true)) => problems.push(Problem::invalid(
            field("maxUnavailable"),
            "must not be 0 while maxSurge is 0; it counts as 1",
        )),
        (Some(false), Some(false)) => {
            let default = if rolling.max_unavailable.is_none() {
                ", which is 1 by default; set maxUnavailable: 0"
            } else {
                ""
            };
            let message = format!("must be 0 unless maxUnavailable is 0{default}");
            problems.push(Problem::invalid(field("maxSurge"), message));
        }
        _ => {}
    }
    problems
}

/// Returns the number of a budget, and whether it is a percentage. `None` if it is neither a number nor a percentage,
/// which the conversion to facts reports.
fn amount(budget: &IntOrString) -> Option<(i64, bool)> {
    match budget {
        IntOrString::Int(count) => Some((i64::from(*count), false)),
        IntOrString::String(text) => Some((text.strip_suffix('%')?.parse::<i32>().ok()?.into(), true)),
    }
}

/// Says what is wrong with a budget that is a number or a percentage.
fn budget_error(budget: &IntOrString) -> Option<String> {
    let (number, is_percentage) = amount(budget)?;
    let unit = if is_percentage { "%" } else { "" };
    match number {
        ..0 => Some(format!(
            "must not be negative, found {number}{unit}; it counts as 0"
        )),
        101.. if is_percentage => Some(format!("must not be more than 100%, found {number}%")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
