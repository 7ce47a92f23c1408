//! Matches labels against label selectors. Mirrors `metav1.LabelSelectorAsSelector`.

use std::collections::BTreeSet;

use super::object::{LabelSelector, Requirement, StringMap};

/// The operators of a label selector's matchExpressions.
pub const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// A label selector whose expressions are known to be valid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    labels: StringMap,
    expressions: Vec<(String, Predicate)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Predicate {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

/// The reason why a label selector can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError {
    /// The path of the field in the selector, such as `matchExpressions[0].operator`.
    pub field: String,
    /// What is wrong, and what would be valid.
    pub message: String,
    /// The operator, if it is unknown.
    pub unknown_operator: Option<String>,
}

impl Selector {
    /// Parses a selector. An empty one matches everything. Callers decide whether they accept that.
    ///
    /// # Errors
    /// The operator of an expression is unknown, or its number of values doesn't suit the operator.
    pub fn new(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let expressions = selector.match_expressions.iter().enumerate();
        let expressions = expressions.map(|(index, requirement)| {
            let predicate = Predicate::new(requirement).map_err(|error| SelectorError {
                field: format!("matchExpressions[{index}].{}", error.field),
                ..error
            })?;
            Ok((requirement.key.clone(), predicate))
        });
        Ok(Self {
            labels: selector.match_labels.clone(),
            expressions: expressions.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the labels meet all requirements.
    pub fn matches(&self, labels: &StringMap) -> bool {
        let mut pairs = self.labels.iter();
        pairs.all(|(key, value)| labels.get(key) == Some(value))
            && self
                .expressions
                .iter()
                .all(|(key, predicate)| predicate.holds(labels.get(key)))
    }

    /// The requirements that the labels don't meet, such as `app=agent` and `tier In [a, b]`.
    pub fn unmet(&self, labels: &StringMap) -> impl Iterator<Item = String> {
        let pairs = self.labels.iter();
        let pairs = pairs.filter(|(key, value)| labels.get(*key) != Some(*value));
        let expressions = self.expressions.iter();
        let expressions = expressions.filter(|(key, predicate)| !predicate.holds(labels.get(key)));
        pairs
            .map(|(key, value)| format!("{key}={value}"))
            .chain(expressions.map(|(key, predicate)| predicate.describe(key)))
    }
}

impl Predicate {
    fn new(requirement: &Requirement) -> Result<Self, SelectorError> {
        let Requirement { operator, values, .. } = requirement;
        let error = |field: &str, message: String| SelectorError {
            field: field.to_owned(),
            message,
            unknown_operator: None,
        };
        let wants_values = || error("values", format!("must not be empty for operator {operator}"));
        let wants_none = || error("values", format!("must be empty for operator {operator}"));
        match (operator.as_str(), values.is_empty()) {
            ("In" | "NotIn", true) => Err(wants_values()),
            ("Exists" | "DoesNotExist", false) => Err(wants_none()),
            ("In", false) => Ok(Self::In(values.iter().cloned().collect())),
            ("NotIn", false) => Ok(Self::NotIn(values.iter().cloned().collect())),
            ("Exists", true) => Ok(Self::Exists),
            ("DoesNotExist", true) => Ok(Self::DoesNotExist),
            (other, _) => Err(SelectorError {
                unknown_operator: Some(other.to_owned()),
                ..error("operator", format!("must be one of {}", OPERATORS.join(", ")))
            }),
        }
    }

    fn holds(&self, actual: Option<&String>) -> bool {
        match self {
            Self::In(values) => actual.is_some_and(|actual| values.contains(actual)),
            Self::NotIn(values) => actual.is_none_or(|actual| !values.contains(actual)),
            Self::Exists => actual.is_some(),
            Self::DoesNotExist => actual.is_none(),
        }
    }

    fn describe(&self, key: &str) -> String {
        let listed =
            |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Self::In(values) => format!("{key} In [{}]", listed(values)),
            Self::NotIn(values) => format!("{key} NotIn [{}]", listed(values)),
            Self::Exists => format!("{key} Exists"),
            Self::DoesNotExist => format!("{key} DoesNotExist"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn label_selector(value: Value) -> LabelSelector {
        serde_json::from_value(value).unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> StringMap {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn labels_and_expressions_must_all_match() {
        #[track_caller]
        fn check(given: Value, pairs: &[(&str, &str)], unmet: &[&str]) {
            let (selector, labels) = (Selector::new(&label_selector(given)).unwrap(), labels(pairs));
            assert_eq!(selector.unmet(&labels).collect::<Vec<_>>(), unmet);
            assert_eq!(selector.matches(&labels), unmet.is_empty());
        }
        let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        check(json!({}), &[], &[]);
        check(json!({"matchLabels": {"a": "1"}}), &[("a", "1"), ("b", "2")], &[]);
        check(json!({"matchLabels": {"a": "1"}}), &[("a", "2")], &["a=1"]);
        check(json!({"matchLabels": {"a": "", "b": "1"}}), &[], &["a=", "b=1"]);
        check(expression("a", "In", json!(["1", "2"])), &[("a", "2")], &[]);
        check(expression("a", "In", json!(["2", "1"])), &[], &["a In [1, 2]"]);
        check(expression("a", "In", json!([null])), &[("a", "")], &[]);
        check(expression("a", "NotIn", json!(["1"])), &[], &[]);
        check(
            expression("a", "NotIn", json!(["1"])),
            &[("a", "1")],
            &["a NotIn [1]"],
        );
        check(expression("a", "Exists", json!([])), &[("a", "")], &[]);
        check(expression("a", "Exists", Value::Null), &[], &["a Exists"]);
        check(expression("a", "DoesNotExist", json!([])), &[], &[]);
        check(
            expression("a", "DoesNotExist", json!([])),
            &[("a", "1")],
            &["a DoesNotExist"],
        );
    }

    #[test]
    fn invalid_expression_is_an_error_at_its_field() {
        for (operator, values, field) in [
            ("in", json!(["1"]), "operator"),
            ("", json!([]), "operator"),
            ("Gt", json!(["1"]), "operator"),
            ("In", json!([]), "values"),
            ("NotIn", json!([]), "values"),
            ("Exists", json!(["1"]), "values"),
            ("DoesNotExist", json!(["1"]), "values"),
        ] {
            let good = json!({"key": "b", "operator": "Exists"});
            let bad = json!({"key": "a", "operator": operator, "values": values});
            let error = Selector::new(&label_selector(json!({"matchExpressions": [good, bad]}))).unwrap_err();
            assert_eq!(error.field, format!("matchExpressions[1].{field}"));
            assert_eq!(error.unknown_operator.is_some(), field == "operator");
            assert!(!error.message.is_empty());
        }
    }
}
