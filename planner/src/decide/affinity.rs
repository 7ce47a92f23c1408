//! Node selectors and required node affinity (contract P3).
//!
//! Terms are parsed once per `DaemonSet` and then matched against many nodes. A term that can't be parsed matches
//! nothing and reports why; the other terms still count. Mirrors `nodeaffinity.LazyErrorNodeSelector`.

mod parse;
mod values;

use std::fmt;

use hashbrown::HashSet;

use self::values::Values;
use crate::model::{LabelKey, Node, Requirement, Term, Text};

/// The only field of a node that a term can require.
const NAME_FIELD: &str = "metadata.name";

/// A term, ready to be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParsedTerm {
    /// Requirements that must all be met.
    All(Vec<ParsedRequirement>),
    /// A term without requirements, which matches nothing.
    Empty,
    /// A term that can't be parsed, which matches nothing.
    Malformed(Vec<SyntaxError>),
}

/// A syntax error in one requirement of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The path in the term, such as `matchExpressions[0].values`.
    pub(crate) field: String,
    /// What is wrong, and what would be valid.
    pub(crate) message: String,
}

/// One reason why a term doesn't match a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The condition that the node doesn't meet.
    pub(crate) condition: String,
    /// That condition, and what the node has instead.
    pub(crate) message: String,
    /// The requirement, and the value that the node has. `None` if the term matches no node at all.
    pub(crate) requirement: Option<(Requirement, Option<Text>)>,
}

impl Mismatch {
    fn of_term(message: String) -> Self {
        Self {
            condition: message.clone(),
            message,
            requirement: None,
        }
    }
}

/// One requirement, ready to be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParsedRequirement {
    subject: Subject,
    predicate: Predicate,
    /// Index of the node's value among those that [`Terms`] looks up beforehand. An index past their end means that the
    /// value is looked up when it is needed.
    value_index: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Label(LabelKey),
    /// The node's name. The text is the name of the field.
    Name(Text),
}

impl Subject {
    fn of<'n>(&self, node: &'n Node) -> Option<&'n Text> {
        match self {
            Self::Label(key) => node.labels.get(key),
            Self::Name(_) => Some(&node.name),
        }
    }
}

/// The maximum number of a node's values that [`Terms`] looks up beforehand.
const CACHED_VALUES: usize = 8;

/// All terms of a node affinity. They tend to use the same few labels, so each label is looked up once per node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    terms: Vec<ParsedTerm>,
    subjects: Vec<Subject>,
}

impl Terms {
    /// Parses terms.
    pub(crate) fn new(terms: &[Term]) -> Self {
        let mut terms: Vec<_> = terms.iter().map(ParsedTerm::new).collect();
        let mut subjects = Vec::new();
        let all = terms.iter_mut().filter_map(|term| match term {
            ParsedTerm::All(checks) => Some(checks),
            ParsedTerm::Empty | ParsedTerm::Malformed(_) => None,
        });
        for check in all.flatten() {
            let index = subjects.iter().position(|subject| *subject == check.subject);
            check.value_index = index.unwrap_or(subjects.len());
            // The array of values in `match_node` has no room for more, and searching a longer list would take time.
            if index.is_none() && subjects.len() < CACHED_VALUES {
                subjects.push(check.subject.clone());
            }
        }
        Self { terms, subjects }
    }

    /// The terms one by one.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &ParsedTerm> {
        self.terms.iter()
    }

    /// Whether one of the terms matches the node.
    pub(crate) fn match_node(&self, node: &Node) -> bool {
        let mut values = [None; CACHED_VALUES];
        for (value, subject) in values.iter_mut().zip(&self.subjects) {
            *value = subject.of(node);
        }
        let value = |check: &ParsedRequirement| match values.get(check.value_index) {
            Some(value) => *value,
            None => check.subject.of(node),
        };
        self.terms.iter().any(|term| term.matches_values(value))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Predicate {
    In(Values),
    NotIn(Values),
    Exists,
    DoesNotExist,
    Gt(i64),
    Lt(i64),
}

impl ParsedTerm {
    /// Parses a term.
    pub(crate) fn new(term: &Term) -> Self {
        if term.expressions.is_empty() && term.fields.is_empty() {
            return Self::Empty;
        }
        let expressions = term.expressions.iter().enumerate().map(|(index, requirement)| {
            parse::expression(requirement)
                .map_err(|error| error.within(&format!("matchExpressions[{index}]")))
        });
        let fields = term.fields.iter().enumerate().map(|(index, requirement)| {
            parse::field(requirement).map_err(|error| error.within(&format!("matchFields[{index}]")))
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
    #[cfg(test)]
    pub(crate) fn matches(&self, node: &Node) -> bool {
        self.matches_values(|check| check.subject.of(node))
    }

    /// Whether the term matches a node with these values.
    fn matches_values<'n>(&self, value: impl Fn(&ParsedRequirement) -> Option<&'n Text>) -> bool {
        match self {
            Self::All(checks) => checks.iter().all(|check| check.predicate.holds(value(check))),
            Self::Empty | Self::Malformed(_) => false,
        }
    }

    /// Whether the term matches a node whose `unknown` labels have unknown values. `None` if the result depends on
    /// these labels.
    pub(crate) fn may_match(&self, node: &Node, unknown: &HashSet<Text>) -> Option<bool> {
        let Self::All(checks) = self else {
            return Some(false);
        };
        let (open, known): (Vec<_>, Vec<_>) = checks.iter().partition(|check| check.is_among(unknown));
        if !known
            .iter()
            .all(|check| check.predicate.holds(check.subject.of(node)))
        {
            return Some(false);
        }
        open.is_empty().then_some(true)
    }

    /// The term's requirements on unknown labels.
    pub(crate) fn depending_on(&self, unknown: &HashSet<Text>) -> impl Iterator<Item = &ParsedRequirement> {
        let checks = match self {
            Self::All(checks) => checks.as_slice(),
            Self::Empty | Self::Malformed(_) => &[],
        };
        checks.iter().filter(|check| check.is_among(unknown))
    }

    /// Every reason why the term doesn't match the node. Empty when it does.
    pub(crate) fn mismatches(&self, node: &Node) -> Vec<Mismatch> {
        match self {
            Self::All(checks) => {
                let failed = checks
                    .iter()
                    .filter(|check| !check.predicate.holds(check.subject.of(node)));
                failed.map(|check| check.mismatch(node)).collect()
            }
            Self::Empty => vec![Mismatch::of_term("it is empty, which matches no node".to_owned())],
            Self::Malformed(errors) => {
                let text =
                    |error: &SyntaxError| format!("it can't be parsed ({}: {})", error.field, error.message);
                errors
                    .iter()
                    .map(|error| Mismatch::of_term(text(error)))
                    .collect()
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

impl Predicate {
    /// The operator and its values. Numbers are normalized: `007` becomes `7`.
    fn operator_and_values(&self) -> (&'static str, Vec<Text>) {
        let number = |bound: &i64| vec![bound.to_string().into()];
        match self {
            Self::In(values) => ("In", values.to_vec()),
            Self::NotIn(values) => ("NotIn", values.to_vec()),
            Self::Exists => ("Exists", Vec::new()),
            Self::DoesNotExist => ("DoesNotExist", Vec::new()),
            Self::Gt(bound) => ("Gt", number(bound)),
            Self::Lt(bound) => ("Lt", number(bound)),
        }
    }

    fn holds(&self, actual: Option<&Text>) -> bool {
        let number = || actual.and_then(|value| value.parse::<i64>().ok());
        let is_among = |values: &Values| actual.is_some_and(|actual| values.contains(actual));
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

impl ParsedRequirement {
    /// The label's key, or the field's name.
    pub(crate) fn key(&self) -> &Text {
        match &self.subject {
            Subject::Label(key) => key.text(),
            Subject::Name(field) => field,
        }
    }

    fn is_among(&self, unknown: &HashSet<Text>) -> bool {
        match &self.subject {
            Subject::Label(key) => unknown.contains(key.text()),
            Subject::Name(_) => false,
        }
    }

    fn mismatch(&self, node: &Node) -> Mismatch {
        let key = self.key();
        let actual = self.subject.of(node);
        let message = match actual {
            Some(actual) => format!("{self} is required, the node has {key}={actual}"),
            None => format!("{self} is required, the node has no label {key}"),
        };
        let (operator, values) = self.predicate.operator_and_values();
        let requirement = Requirement {
            key: key.clone(),
            operator: operator.into(),
            values,
        };
        Mismatch {
            condition: self.to_string(),
            message,
            requirement: Some((requirement, actual.cloned())),
        }
    }
}

impl fmt::Display for ParsedRequirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.key(), self.predicate)
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, values) = self.operator_and_values();
        match self {
            Self::In(_) | Self::NotIn(_) => write!(formatter, "{operator} [{}]", values.join(", ")),
            Self::Exists | Self::DoesNotExist => formatter.write_str(operator),
            Self::Gt(bound) | Self::Lt(bound) => write!(formatter, "{operator} {bound}"),
        }
    }
}

#[cfg(test)]
mod tests;
