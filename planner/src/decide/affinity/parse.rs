//! Parses requirements. Mirrors `nodeSelectorRequirementsAsSelector` and `nodeSelectorRequirementsAsFieldSelector`.

use super::{NAME_FIELD, ParsedRequirement, Predicate, Subject, SyntaxError, Values};
use crate::{
    decide::{
        labels::{invalid_key, invalid_value},
        suggestion::closest,
    },
    model::{LabelKey, Requirement},
};

/// The operators of requirements on labels.
const OPERATORS: [&str; 6] = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

/// Parses a requirement on a label.
pub(super) fn expression(requirement: &Requirement) -> Result<ParsedRequirement, SyntaxError> {
    if let Some(message) = invalid_key(&requirement.key) {
        return Err(SyntaxError::new("key", message));
    }
    let values = &requirement.values;
    for (index, value) in values.iter().enumerate() {
        if let Some(message) = invalid_value(value) {
            return Err(SyntaxError::new(&format!("values[{index}]"), message));
        }
    }
    let operator = requirement.operator.as_ref();
    let none = |predicate| match values.as_slice() {
        [] => Ok(predicate),
        [..] => Err(SyntaxError::new(
            "values",
            format!("must be empty for operator {operator}"),
        )),
    };
    let some = |predicate: fn(Values) -> Predicate| match values.as_slice() {
        [] => Err(SyntaxError::new(
            "values",
            format!("must not be empty for operator {operator}"),
        )),
        [..] => Ok(predicate(Values::new(values.clone()))),
    };
    let integer = |predicate: fn(i64) -> Predicate| {
        let [value] = values.as_slice() else {
            let message = format!(
                "must be one integer for operator {operator}, found {}",
                values.len()
            );
            return Err(SyntaxError::new("values", message));
        };
        value.parse().map(predicate).map_err(|_| {
            let message = format!("{value:?} must be an integer for operator {operator}");
            SyntaxError::new("values[0]", message)
        })
    };
    let predicate = match operator {
        "In" => some(Predicate::In)?,
        "NotIn" => some(Predicate::NotIn)?,
        "Exists" => none(Predicate::Exists)?,
        "DoesNotExist" => none(Predicate::DoesNotExist)?,
        "Gt" => integer(Predicate::Gt)?,
        "Lt" => integer(Predicate::Lt)?,
        other => {
            let hint = match closest(other, OPERATORS) {
                Some(operator) => format!("; did you mean {operator}?"),
                None => String::new(),
            };
            let message = format!("{other:?} must be one of {}{hint}", OPERATORS.join(", "));
            return Err(SyntaxError::new("operator", message));
        }
    };
    Ok(ParsedRequirement {
        subject: Subject::Label(LabelKey::new(requirement.key.clone())),
        predicate,
        value_index: 0,
    })
}

/// Parses a requirement on a field.
pub(super) fn field(requirement: &Requirement) -> Result<ParsedRequirement, SyntaxError> {
    if requirement.key.as_ref() != NAME_FIELD {
        let message = format!(
            "{:?} must be {NAME_FIELD}, the only supported field",
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
    let predicate = match requirement.operator.as_ref() {
        "In" => Predicate::In(Values::new(vec![value.clone()])),
        "NotIn" => Predicate::NotIn(Values::new(vec![value.clone()])),
        other => {
            return Err(SyntaxError::new(
                "operator",
                format!("{other:?} must be In or NotIn for a field"),
            ));
        }
    };
    Ok(ParsedRequirement {
        subject: Subject::Name(requirement.key.clone()),
        predicate,
        value_index: 0,
    })
}
