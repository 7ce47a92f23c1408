//! Parses requirements. Mirrors `nodeSelectorRequirementsAsSelector` and `nodeSelectorRequirementsAsFieldSelector`.

use super::{NAME_FIELD, ParsedRequirement, Predicate, Subject, SyntaxError, Values};
use crate::{
    decide::labels,
    model::{LabelKey, Requirement},
};

/// Parses a requirement on a label.
pub(super) fn expression(requirement: &Requirement) -> Result<ParsedRequirement, SyntaxError> {
    if let Some(error) = labels::key_error(&requirement.key) {
        return Err(SyntaxError::new(
            "key",
            format!("{:?} is not a valid label key: {error}", requirement.key),
        ));
    }
    let values = &requirement.values;
    for (index, value) in values.iter().enumerate() {
        if let Some(error) = labels::value_error(value) {
            let message = format!("{value:?} is not a valid label value: {error}");
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
            let message = format!("{other:?} must be one of In, NotIn, Exists, DoesNotExist, Gt, Lt");
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
