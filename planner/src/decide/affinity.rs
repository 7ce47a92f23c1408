//! Node selectors and required node affinity (contract P3).
//!
//! Terms are parsed once per `DaemonSet` and then matched against many nodes. A term that can't be parsed matches
//! nothing and says why; the other terms go on. Mirrors `nodeaffinity.LazyErrorNodeSelector`.

use std::fmt;

use super::labels;
use crate::model::{LabelKey, Node, Requirement, Term, Text, same};

/// The one field of a node that a term may ask for.
const NAME_FIELD: &str = "metadata.name";

/// A term, ready to be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedTerm {
    /// Requirements that must all be met.
    All(Vec<Check>),
    /// A term without requirements, which matches nothing.
    Empty,
    /// A term that can't be parsed, which matches nothing.
    Malformed(Vec<SyntaxError>),
}

/// What is wrong with one requirement of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where in the term, such as `matchExpressions[0].values`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// One requirement, ready to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    subject: Subject,
    test: Test,
    /// Where a node's value is among those that [`Terms`] look up.
    place: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Label(LabelKey),
    Name,
}

impl Subject {
    fn of<'n>(&self, node: &'n Node) -> Option<&'n Text> {
        match self {
            Self::Label(key) => node.labels.get(key),
            Self::Name => Some(&node.name),
        }
    }
}

/// How many of a node's values [`Terms`] look up beforehand.
const LOOKED_UP: usize = 8;

/// All terms of a node affinity. They tend to ask for the same few labels again and again, so each of those is looked up
/// once for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    terms: Vec<ParsedTerm>,
    subjects: Vec<Subject>,
}

impl Terms {
    /// Parses terms.
    pub fn new(terms: &[Term]) -> Self {
        let mut terms: Vec<_> = terms.iter().map(ParsedTerm::new).collect();
        let mut subjects = Vec::new();
        let all = terms.iter_mut().filter_map(|term| match term {
            ParsedTerm::All(checks) => Some(checks),
            ParsedTerm::Empty | ParsedTerm::Malformed(_) => None,
        });
        for check in all.flatten() {
            let known = subjects.iter().position(|subject| *subject == check.subject);
            check.place = known.unwrap_or(subjects.len());
            if known.is_none() {
                subjects.push(check.subject.clone());
            }
        }
        Self { terms, subjects }
    }

    /// The terms one by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ParsedTerm> {
        self.terms.iter()
    }

    /// Whether one of the terms matches the node.
    pub fn match_node(&self, node: &Node) -> bool {
        let mut values = [None; LOOKED_UP];
        for (value, subject) in values.iter_mut().zip(&self.subjects) {
            *value = subject.of(node);
        }
        let value = |check: &Check| match values.get(check.place) {
            Some(value) => *value,
            None => check.subject.of(node),
        };
        self.terms.iter().any(|term| term.holds_for(value))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<Text>),
    NotIn(Vec<Text>),
    Exists,
    DoesNotExist,
    Gt(i64),
    Lt(i64),
}

impl ParsedTerm {
    /// Parses a term.
    pub fn new(term: &Term) -> Self {
        if term.expressions.is_empty() && term.fields.is_empty() {
            return Self::Empty;
        }
        let expressions = term.expressions.iter().enumerate().map(|(index, requirement)| {
            parse_expression(requirement).map_err(|error| error.within(&format!("matchExpressions[{index}]")))
        });
        let fields = term.fields.iter().enumerate().map(|(index, requirement)| {
            parse_field(requirement).map_err(|error| error.within(&format!("matchFields[{index}]")))
        });
        let (mut checks, mut errors) = (Vec::new(), Vec::new());
        for parsed in expressions.chain(fields) {
            match parsed {
                Ok(check) => checks.push(check),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Self::All(checks)
        } else {
            Self::Malformed(errors)
        }
    }

    /// Whether the term matches the node.
    pub fn matches(&self, node: &Node) -> bool {
        self.holds_for(|check| check.subject.of(node))
    }

    /// Whether the term matches a node with these values.
    fn holds_for<'n>(&self, value: impl Fn(&Check) -> Option<&'n Text>) -> bool {
        match self {
            Self::All(checks) => checks.iter().all(|check| check.test.holds(value(check))),
            Self::Empty | Self::Malformed(_) => false,
        }
    }

    /// Everything for which the term doesn't match the node; nothing when it does.
    pub fn failures(&self, node: &Node) -> Vec<String> {
        match self {
            Self::All(checks) => checks
                .iter()
                .filter(|check| !check.test.holds(check.subject.of(node)))
                .map(|check| check.failure(node))
                .collect(),
            Self::Empty => vec!["it is empty, which matches no node".to_owned()],
            Self::Malformed(errors) => {
                let text =
                    |error: &SyntaxError| format!("it can't be parsed ({}: {})", error.field, error.message);
                errors.iter().map(text).collect()
            }
        }
    }
}

impl SyntaxError {
    fn new(field: &str, message: String) -> Self {
        Self {
            field: field.to_owned(),
            message,
        }
    }

    fn within(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}

fn parse_expression(requirement: &Requirement) -> Result<Check, SyntaxError> {
    if let Some(fault) = labels::key_fault(&requirement.key) {
        return Err(SyntaxError::new(
            "key",
            format!("{:?} is no label key: {fault}", requirement.key),
        ));
    }
    let values = &requirement.values;
    for (index, value) in values.iter().enumerate() {
        if let Some(fault) = labels::value_fault(value) {
            let message = format!("{value:?} is no label value: {fault}");
            return Err(SyntaxError::new(&format!("values[{index}]"), message));
        }
    }
    let operator = requirement.operator.as_ref();
    let none = |test| match values.as_slice() {
        [] => Ok(test),
        [..] => Err(SyntaxError::new(
            "values",
            format!("must be empty for operator {operator}"),
        )),
    };
    let some = |test: fn(Vec<Text>) -> Test| match values.as_slice() {
        [] => Err(SyntaxError::new(
            "values",
            format!("must not be empty for operator {operator}"),
        )),
        [..] => Ok(test(values.clone())),
    };
    let integer = |test: fn(i64) -> Test| {
        let [value] = values.as_slice() else {
            let message = format!(
                "must be one integer for operator {operator}, found {}",
                values.len()
            );
            return Err(SyntaxError::new("values", message));
        };
        value.parse().map(test).map_err(|_| {
            let message = format!("{value:?} must be an integer for operator {operator}");
            SyntaxError::new("values[0]", message)
        })
    };
    let test = match operator {
        "In" => some(Test::In)?,
        "NotIn" => some(Test::NotIn)?,
        "Exists" => none(Test::Exists)?,
        "DoesNotExist" => none(Test::DoesNotExist)?,
        "Gt" => integer(Test::Gt)?,
        "Lt" => integer(Test::Lt)?,
        other => {
            let message = format!("{other:?} must be one of In, NotIn, Exists, DoesNotExist, Gt, Lt");
            return Err(SyntaxError::new("operator", message));
        }
    };
    Ok(Check {
        subject: Subject::Label(LabelKey::new(requirement.key.clone())),
        test,
        place: 0,
    })
}

fn parse_field(requirement: &Requirement) -> Result<Check, SyntaxError> {
    if requirement.key.as_ref() != NAME_FIELD {
        let message = format!(
            "{:?} must be {NAME_FIELD}, the only field that can be asked for",
            requirement.key
        );
        return Err(SyntaxError::new("key", message));
    }
    let [value] = requirement.values.as_slice() else {
        let found = requirement.values.len();
        return Err(SyntaxError::new(
            "values",
            format!("must be one node name, found {found}"),
        ));
    };
    let test = match requirement.operator.as_ref() {
        "In" => Test::In(vec![value.clone()]),
        "NotIn" => Test::NotIn(vec![value.clone()]),
        other => {
            return Err(SyntaxError::new(
                "operator",
                format!("{other:?} must be In or NotIn for a field"),
            ));
        }
    };
    Ok(Check {
        subject: Subject::Name,
        test,
        place: 0,
    })
}

impl Test {
    fn holds(&self, actual: Option<&Text>) -> bool {
        let number = || actual.and_then(|value| value.parse::<i64>().ok());
        let is_among =
            |values: &[Text]| actual.is_some_and(|actual| values.iter().any(|value| same(value, actual)));
        match self {
            Self::In(values) => is_among(values),
            Self::NotIn(values) => !is_among(values),
            Self::Exists => actual.is_some(),
            Self::DoesNotExist => actual.is_none(),
            Self::Gt(bound) => number().is_some_and(|number| number > *bound),
            Self::Lt(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl Check {
    fn failure(&self, node: &Node) -> String {
        let key = match &self.subject {
            Subject::Label(key) => key.text().as_ref(),
            Subject::Name => NAME_FIELD,
        };
        match self.subject.of(node) {
            Some(actual) => format!("{key} {} is wanted, the node has {key}={actual}", self.test),
            None => format!("{key} {} is wanted, the node has no label {key}", self.test),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(values) => write!(formatter, "In [{}]", values.join(", ")),
            Self::NotIn(values) => write!(formatter, "NotIn [{}]", values.join(", ")),
            Self::Exists => formatter.write_str("Exists"),
            Self::DoesNotExist => formatter.write_str("DoesNotExist"),
            Self::Gt(bound) => write!(formatter, "Gt {bound}"),
            Self::Lt(bound) => write!(formatter, "Lt {bound}"),
        }
    }
}

#[cfg(test)]
mod tests;
