//! Prints the answers of both services: as tables for people, and as JSON or YAML for programs.
//!
//! The planner's commands and the kubectl plugin both print through this crate, so an answer looks the same in both.
//!
//! - [`mod@format`]: the output format that `-o` selects, and the abilities of the terminal.
//! - [`message`]: any message in protobuf's JSON mapping.
//! - [`table`]: columns as kubectl prints them.
//! - [`explain`], [`plan`], [`simulate`], [`live`]: the tables of each answer. [`words`]: the parts that they share.
//! - [`ErrorChain`]: an error with its causes; [`text`]: makes text from elsewhere safe to print for people.

mod error_chain;
pub mod explain;
pub mod format;
pub mod live;
pub mod message;
pub mod plan;
pub mod simulate;
pub mod table;
pub mod text;
pub mod words;

use std::io::{self, Write};

use prost::Name;

pub use error_chain::ErrorChain;
pub use format::{Format, View};
pub use message::PrintError;

/// Renders an answer in the requested format. `table` makes the tables.
///
/// # Errors
/// The program was built wrongly, so that it can't print the message.
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

/// Writes to standard output, and returns whether there still is a reader. A reader that has gone, as with `| head`,
/// isn't an error.
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
