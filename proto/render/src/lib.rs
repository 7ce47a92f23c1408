//! Prints the answers of both services: as tables for people, and as JSON, YAML or CSV for programs.
//!
//! The planner's commands and the kubectl plugin both use this crate, so an answer looks the same in both.
//!
//! - [`mod@format`]: the output formats of `-o`, and the style of tables.
//! - [`message`]: prints any message in protobuf's JSON mapping.
//! - [`document`]: prints any value as JSON or YAML; [`columns()`]: any rows as aligned columns.
//! - `table`: aligned columns, as kubectl prints them; `csv`: comma-separated values; `units`: quantities for people.
//! - [`explain`], [`plan`], [`rollout`], [`simulate`], [`live`]: the tables of each answer. [`values`]: formats the values that they
//!   have in common.
//! - [`ErrorChain`]: displays an error with its causes; [`text`]: makes untrusted text safe to print.

mod columns;
mod csv;
pub mod document;
mod error_chain;
pub mod explain;
pub mod format;
pub mod live;
pub mod message;
pub mod plan;
pub mod rollout;
pub mod simulate;
mod table;
pub mod text;
mod units;
pub mod values;

use std::io::{self, Write};

use prost::Name;

pub use columns::columns;
pub use error_chain::ErrorChain;
pub use format::{OutputFormat, TableStyle};
pub use message::PrintError;

/// Renders an answer in the requested format. `table` renders it as tables, and `csv` as comma-separated values.
///
/// # Errors
/// The message can't be converted, which is a bug of the program.
pub fn render(
    answer: &impl Name,
    format: OutputFormat,
    table: impl FnOnce(TableStyle) -> String,
    csv: impl FnOnce() -> String,
) -> Result<String, PrintError> {
    render_all(std::slice::from_ref(answer), format, table, csv)
}

/// Renders several answers in the requested format. In JSON and YAML, each answer is a document of its own; the tables
/// and the comma-separated values cover all answers.
///
/// # Errors
/// A message can't be converted, which is a bug of the program.
pub fn render_all<A: Name>(
    answers: &[A],
    format: OutputFormat,
    table: impl FnOnce(TableStyle) -> String,
    csv: impl FnOnce() -> String,
) -> Result<String, PrintError> {
    match format {
        OutputFormat::Table | OutputFormat::Wide => Ok(table(TableStyle::for_stdout(format))),
        OutputFormat::Csv => Ok(csv()),
        OutputFormat::Json => answers.iter().map(message::json).collect(),
        OutputFormat::Yaml => match answers {
            [answer] => message::yaml(answer),
            answers => answers.iter().map(message::yaml_document).collect(),
        },
    }
}

/// Writes to standard output. Returns false when the reader has closed it, as `| head` does.
///
/// # Errors
/// Standard output can't be written to.
pub fn print(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
