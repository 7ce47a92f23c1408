//! Parses requirements. Mirrors `nodeSelectorRequirementsAsSelector` and its field counterpart.

use super::{Check, NAME_FIELD, Subject, SyntaxError, Test, Values};
use crate::{
    decide::labels,
    model::{LabelKey, Requirement},
};

/// Parses a requirement on a label.
pub(super) fn expression(requirement: &Requirement) -> Result<Check, SyntaxError> {
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
    let some = |test: fn(Values) -> Test| match values.as_slice() {
        [] => Err(SyntaxError::new(
            "values",
            format!("must not be empty for operator {operator}"),
        )),
        [..] => Ok(test(Values::new(values.clone()))),
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

/// Parses a requirement on a field.
pub(super) fn field(requirement: &Requirement) -> Result<Check, SyntaxError> {
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
        "In" => Test::In(Values::new(vec![value.clone()])),
        "NotIn" => Test::NotIn(Values::new(vec![value.clone()])),
        other => {
            return Err(SyntaxError::new(
                "operator",
                format!("{other:?} must be In or NotIn for a field"),
            ));
        }
    };
    Ok(Check {
        subject: Subject::Name(requirement.key.clone()),
        test,
        place: 0,
    })
}
