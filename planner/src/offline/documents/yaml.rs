//! Reads a YAML document as kubectl does. kubectl's reader, go-yaml, follows YAML 1.1 in what plain scalars mean, takes
//! the last of several equal keys, and limits how much a document may repeat through aliases.
//!
//! - [`composer`]: values, aliases and merges.
//! - [`scalar`]: the meaning of a scalar.

mod composer;
mod scalar;

use std::borrow::Cow;

use granit_parser::{ErrorKind, Event, Parser, ScanError, Span};
use serde_json::Value;

use self::composer::Composer;
use super::{super::lines::Lines, newlines};

/// The deepest nesting that is read. No Kubernetes object comes near it.
const MAX_DEPTH: usize = 1_000;
/// The number of comments in a document that may follow a bracket or a quote without a blank. The document is read again
/// for each of them.
const MAX_JOINED_COMMENTS: usize = 100;
const NEXT_LINE: char = '\u{85}';

/// A YAML document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    /// The document's content.
    pub(super) value: Value,
    /// The line on which the content begins, counted from 1.
    pub(super) line: u64,
    /// The keys that occur again in the same mapping.
    pub(super) duplicates: Vec<Duplicate>,
    /// The lines of the values.
    pub(super) lines: Lines,
    /// The line of what follows the root value, such as a document after a line `...`. kubectl doesn't read it.
    pub(super) ignored: Option<u64>,
}

/// A key that occurs again in the same mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Duplicate {
    /// The key.
    pub(super) key: String,
    /// The line on which it occurs again, counted from 1.
    pub(super) line: u64,
}

/// The reason why a text isn't YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Describes the error.
    pub(super) message: String,
    /// The line, counted from 1.
    pub(super) line: u64,
}

/// Reads the first document of a text. Returns `None` when the text has none, or only an empty one.
///
/// # Errors
/// The text isn't YAML, nests too deeply, repeats itself too often through aliases, or holds something that JSON can't
/// express.
pub(super) fn read(text: &str) -> Result<Option<Document>, SyntaxError> {
    // In YAML 1.1, this character ends a line.
    let mut text = if text.contains(NEXT_LINE) {
        Cow::Owned(text.replace(NEXT_LINE, "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let mut line = 1;
    for _ in 0..MAX_JOINED_COMMENTS {
        match read_strictly(&text) {
            Err(ReadError::JoinedComment(at)) => {
                let Some(before) = text.get(..at) else { break };
                line = newlines(before) + 1;
                text.to_mut().insert(at, ' ');
            }
            Err(ReadError::Syntax(error)) => return Err(error),
            Ok(document) => return Ok(document),
        }
    }
    Err(SyntaxError {
        message: "a comment needs a blank before it".to_owned(),
        line,
    })
}

/// Why the parser refuses a text.
enum ReadError {
    /// A comment follows a closing bracket or quote without a blank, at this byte. Unlike this parser, kubectl's reader
    /// allows it.
    JoinedComment(usize),
    Syntax(SyntaxError),
}

impl From<SyntaxError> for ReadError {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl From<&ScanError> for ReadError {
    fn from(error: &ScanError) -> Self {
        match (error.kind(), error.marker().byte_offset()) {
            (ErrorKind::CommentNotSeparated, Some(at)) => Self::JoinedComment(at),
            _ => Self::Syntax(error.into()),
        }
    }
}

fn read_strictly(text: &str) -> Result<Option<Document>, ReadError> {
    let options = granit_parser::options! {
        emit_comments: false,
        bom_inside_document_as_content: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut events = Parser::new_from_str_with_options(text, options);
    let mut composer = Composer::default();
    let mut root = None;
    // kubectl's reader stops at the end of the root value, so what follows needn't be YAML.
    while root.is_none()
        && let Some(event) = events.next()
    {
        let (event, span) = event.map_err(|error| ReadError::from(&error))?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        let line = line_number(span.start.line());
        root = composer
            .add(event, line)
            .map_err(|message| SyntaxError { message, line })?;
    }
    let Some((node, line)) = root else {
        return Ok(None);
    };
    let (duplicates, lines) = composer.into_findings();
    let document = Document {
        value: node
            .into_value()
            .map_err(|message| SyntaxError { message, line })?,
        line,
        duplicates,
        lines,
        ignored: events.find_map(ignored_line),
    };
    Ok((document.value != Value::Null).then_some(document))
}

/// Returns the line of an event if it is content, or where an error is.
fn ignored_line(event: Result<(Event<'_>, Span), ScanError>) -> Option<u64> {
    match event {
        Ok((event, span)) => event.is_node().then(|| line_number(span.start.line())),
        Err(error) => Some(line_number(error.marker().line())),
    }
}

fn line_number(line: usize) -> u64 {
    u64::try_from(line).unwrap_or(u64::MAX)
}

impl From<&ScanError> for SyntaxError {
    fn from(error: &ScanError) -> Self {
        Self {
            message: error.info(),
            line: line_number(error.marker().line()),
        }
    }
}

#[cfg(test)]
mod tests;
