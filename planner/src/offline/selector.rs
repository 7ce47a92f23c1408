//! Label selectors on the command line, with the syntax and the meaning of `kubectl get -l`. Mirrors `labels.Parse` of
//! `k8s.io/apimachinery`.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// A label selector. All of its requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The selector as written.
    text: String,
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Exists,
    DoesNotExist,
    In(BTreeSet<String>),
    /// Holds also if there is no such label.
    NotIn(BTreeSet<String>),
    GreaterThan(i64),
    LessThan(i64),
}

impl Selector {
    /// Whether the labels match. `value_of` returns the value of the label with a key.
    pub(crate) fn matches<'v>(&self, value_of: impl Fn(&str) -> Option<&'v str>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.condition.matches(value_of(&requirement.key)))
    }
}

impl Condition {
    fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.contains(value)),
            Self::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Self::GreaterThan(limit) => number().is_some_and(|number| number > *limit),
            Self::LessThan(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = split(text)?;
        let requirements = match parts.as_slice() {
            [part] if part.trim().is_empty() => Vec::new(),
            parts => parts
                .iter()
                .map(|part| requirement(part.trim()))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            text: text.to_owned(),
            requirements,
        })
    }
}

/// Splits a selector at the commas outside of parentheses.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let mut is_inside = false;
    let mut begin = 0;
    for (index, character) in text.char_indices() {
        match character {
            '(' if is_inside => return Err(format!("has a second ( before a ) in {text:?}")),
            '(' => is_inside = true,
            ')' if !is_inside => return Err(format!("has a ) without a ( in {text:?}")),
            ')' => is_inside = false,
            ',' if !is_inside => {
                parts.extend(text.get(begin..index));
                begin = index + 1;
            }
            _ => {}
        }
    }
    if is_inside {
        return Err(format!("has a ( without a ) in {text:?}"));
    }
    parts.extend(text.get(begin..));
    Ok(parts)
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if part.is_empty() {
        return Err("has an empty requirement; remove the extra comma".to_owned());
    }
    if let Some(key) = part.strip_prefix('!') {
        return new(key, part, Condition::DoesNotExist);
    }
    if let Some(before) = part.strip_suffix(')') {
        let (head, values) = before.split_once('(').unwrap_or((before, ""));
        return set_requirement(head, values, part);
    }
    // The order matters, because = is a part of != and ==.
    for operator in ["!=", "==", "=", ">", "<"] {
        let Some((key, value)) = part.split_once(operator) else {
            continue;
        };
        let value = checked_value(value, part)?;
        let number = || {
            let number = value.parse::<i64>();
            number.map_err(|_| format!("must have a whole number after {operator} in {part:?}"))
        };
        let condition = match operator {
            "!=" => Condition::NotIn([value.clone()].into()),
            ">" => Condition::GreaterThan(number()?),
            "<" => Condition::LessThan(number()?),
            _ => Condition::In([value.clone()].into()),
        };
        return new(key, part, condition);
    }
    new(part, part, Condition::Exists)
}

/// Parses `KEY in (VALUE, …)` or `KEY notin (VALUE, …)`. `head` is the text before the parenthesis.
fn set_requirement(head: &str, values: &str, part: &str) -> Result<Requirement, String> {
    let values: BTreeSet<_> = values
        .split(',')
        .map(|value| checked_value(value, part))
        .collect::<Result<_, _>>()?;
    let words: Vec<_> = head.split_whitespace().collect();
    match words.as_slice() {
        [key, "in"] => new(key, part, Condition::In(values)),
        [key, "notin"] => new(key, part, Condition::NotIn(values)),
        _ => Err(form_error(part)),
    }
}

fn form_error(part: &str) -> String {
    format!("must have the form KEY in (VALUE, …) or KEY notin (VALUE, …), not {part:?}")
}

fn new(key: &str, part: &str, condition: Condition) -> Result<Requirement, String> {
    let key = key.trim();
    let words: Vec<_> = key.split_whitespace().collect();
    if let [_, "in" | "notin", ..] = words.as_slice() {
        return Err(form_error(part));
    }
    let is_key = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
    if key.is_empty() || !key.chars().all(is_key) || key.matches('/').count() > 1 {
        return Err(format!(
            "must have a label key such as app or example.com/tier in {part:?}"
        ));
    }
    Ok(Requirement {
        key: key.to_owned(),
        condition,
    })
}

fn checked_value(value: &str, part: &str) -> Result<String, String> {
    let value = value.trim();
    let is_value = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if value.chars().all(is_value) {
        Ok(value.to_owned())
    } else {
        Err(format!(
            "must have a label value of letters, digits, - _ and . in {part:?}"
        ))
    }
}

#[cfg(test)]
mod tests;
