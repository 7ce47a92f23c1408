//! Prints a value as JSON or YAML that is safe to print.

use serde::Serialize;

use crate::{
    message::PrintError,
    text::{printable_json, printable_json_as_yaml, printable_lines},
};

/// Returns the value as JSON over several lines, with a newline at its end.
///
/// # Errors
/// The value can't be written, which is a bug of the program.
pub fn json(value: &impl Serialize) -> Result<String, PrintError> {
    let text = serde_json::to_string_pretty(value)?;
    Ok(printable_json(&text).into_owned() + "\n")
}

/// Returns the value as a YAML document, with a newline at its end.
///
/// # Errors
/// The value can't be written, which is a bug of the program.
pub fn yaml(value: &impl Serialize) -> Result<String, PrintError> {
    let options = serde_saphyr::ser_options! {
        prefer_block_scalars: false,
    };
    let text = serde_saphyr::to_string_with_options(value, options)?;
    if printable_lines(&text) == text {
        return Ok(text);
    }
    // The YAML writer leaves invisible characters as they are. YAML parsers read JSON, in which every character can be
    // escaped.
    let json = serde_json::to_string_pretty(value)?;
    Ok(printable_json_as_yaml(&json).into_owned() + "\n")
}
