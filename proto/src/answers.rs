//! The answers of both services, printed: as tables for people, and as JSON or YAML for programs.
//!
//! The planner's commands and the kubectl plugin print through this, so an answer looks the same whoever gave it.
//!
//! - [`mod@format`]: what `-o` asks for, and what the terminal can show.
//! - [`message`]: any message in protobuf's JSON mapping.
//! - [`table`]: columns as kubectl prints them.
//! - [`explain`], [`plan`], [`simulate`], [`live`]: the tables of each answer; [`words`]: what they have in common.
//! - [`exit`]: how a command ends.

pub mod exit;
pub mod explain;
pub mod format;
pub mod live;
pub mod message;
pub mod plan;
pub mod simulate;
pub mod table;
pub mod words;

use std::io::{self, Write};

use prost::Name;

pub use format::{Format, View};
pub use message::PrintError;

/// An answer in the format that is asked for; `table` makes the tables.
///
/// # Errors
/// The program was built wrongly.
pub fn render(
    answer: &impl Name,
    format: Format,
    table: impl FnOnce(View) -> String,
) -> Result<String, PrintError> {
    match format {
        Format::Table | Format::Wide => Ok(table(View::of_stdout(format))),
        Format::Json => message::json(answer),
        Format::Yaml => message::yaml(answer),
    }
}

/// Writes to standard output, and says whether anybody reads it; that nobody does any more (as with `| head`) is no failure.
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
