//! Prints the answers of both services: as tables for people, and as JSON or YAML for programs.
//!
//! The planner's commands and the kubectl plugin both use this crate, so an answer looks the same in both.
//!
//! - [`mod@format`]: the output formats of `-o`, and the style of tables.
//! - [`message`]: prints any message in protobuf's JSON mapping.
//! - `table`: aligned columns, as kubectl prints them.
//! - [`explain`], [`plan`], [`simulate`], [`live`]: the tables of each answer. [`values`]: formats the values that they
//!   have in common.
//! - [`ErrorChain`]: displays an error with its causes; [`text`]: makes untrusted text safe to print.

mod error_chain;
pub mod explain;
pub mod format;
pub mod live;
pub mod message;
pub mod plan;
pub mod simulate;
mod table;
pub mod text;
pub mod values;

use std::io::{self, Write};

use prost::Name;

pub use error_chain::ErrorChain;
pub use format::{OutputFormat, TableStyle};
pub use message::PrintError;

/// Renders an answer in the requested format. `table` renders it as tables.
///
/// # Errors
/// The message can't be converted, which is a bug of the program.
pub fn render(
    answer: &impl Name,
    format: OutputFormat,
    table: impl FnOnce(TableStyle) -> String,
) -> Result<String, PrintError> {
    match format {
        OutputFormat::Table | OutputFormat::Wide => Ok(table(TableStyle::for_stdout(format))),
        OutputFormat::Json => message::json(answer),
        OutputFormat::Yaml => message::yaml(answer),
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
