//! Reads files of JSON or YAML, which may hold several documents.

use std::{
    fs,
    io::{self, Read as _},
    sync::Arc,
};

use serde_json::Value;
use serde_saphyr::{SnippetMode, Spanned, UserMessageFormatter};

use super::{error::Error, place::Place};

/// The file name that means standard input.
const STDIN: &str = "-";

/// A document and its place in the input.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The document's content.
    pub value: Value,
    /// The place where the document begins.
    pub place: Place,
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// The file doesn't exist, can't be read, or is neither JSON nor YAML.
pub fn read(file: &str) -> Result<Vec<Document>, Error> {
    let bytes = if file == STDIN {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let name = if file == STDIN { "standard input" } else { file };
    let file = || name.to_owned();
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound { file: file() },
        _ => Error::Unreadable { file: file(), error },
    })?;
    let text = String::from_utf8(bytes).map_err(|_| Error::NotText { file: file() })?;
    parse(name, &text)
}

/// Parses a text: any number of JSON objects one after another, then any number of YAML documents.
///
/// # Errors
/// The text is neither JSON nor YAML.
pub fn parse(file: &str, text: &str) -> Result<Vec<Document>, Error> {
    let mut parser = Parser {
        file: file.into(),
        rest: text.trim_start_matches('\u{feff}'),
        lines_before: 0,
        documents: Vec::new(),
    };
    while is_json(parser.skip_blank()) {
        parser.json()?;
    }
    parser.yaml()?;
    Ok(parser.documents)
}

struct Parser<'a> {
    file: Arc<str>,
    rest: &'a str,
    /// The number of lines that end before `rest`.
    lines_before: u64,
    documents: Vec<Document>,
}

impl<'a> Parser<'a> {
    fn skip_blank(&mut self) -> &'a str {
        let blank = self.rest.len() - self.rest.trim_start().len();
        self.skip(blank);
        self.rest
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.lines_before += newlines(skipped);
        self.rest = rest;
    }

    fn add(&mut self, value: Value, line: u64) {
        self.documents.push(Document {
            value,
            place: Place {
                file: self.file.clone(),
                document: self.documents.len() + 1,
                line,
            },
        });
    }

    fn syntax_error(&self, message: String) -> Error {
        Error::Syntax {
            file: self.file.to_string(),
            document: self.documents.len() + 1,
            message,
        }
    }

    /// Parses one JSON object. A YAML parser would accept it too, but the JSON parser is many times faster.
    fn json(&mut self) -> Result<(), Error> {
        let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter();
        match stream.next() {
            Some(Ok(value)) => {
                let end = stream.byte_offset();
                self.add(value, self.lines_before + 1);
                self.skip(end);
                Ok(())
            }
            Some(Err(error)) => {
                let line = self.lines_before + error.line() as u64;
                // The error's own text ends with a line number that counts from the beginning of the document.
                let text = error.to_string();
                let place = format!(" at line {} column {}", error.line(), error.column());
                let text = text.strip_suffix(&place).unwrap_or(&text);
                Err(self.syntax_error(format!("{text} at line {line}, column {}", error.column())))
            }
            None => Ok(()),
        }
    }

    /// Parses the rest as YAML.
    fn yaml(&mut self) -> Result<(), Error> {
        // There is no budget, because the files are the caller's own and grow with the cluster.
        let options = serde_saphyr::options! { budget: None };
        let mut bytes = self.rest.as_bytes();
        for document in serde_saphyr::read_with_options::<_, Spanned<Value>>(&mut bytes, options) {
            let document = document.map_err(|error| {
                let text = error.render_with_options(serde_saphyr::render_options! {
                    formatter: &UserMessageFormatter,
                    snippets: SnippetMode::Off,
                    line_offset: self.lines_before,
                });
                self.syntax_error(text)
            })?;
            let line = self.lines_before + document.referenced.line();
            self.add(document.value, line);
        }
        Ok(())
    }
}

/// Whether a text begins with a JSON object: a brace, and then a quoted key or the closing brace. YAML writers don't
/// begin a document with a brace and a quoted key.
fn is_json(text: &str) -> bool {
    let inner = text.strip_prefix('{').map(str::trim_start);
    inner.is_some_and(|inner| inner.starts_with(['"', '}']))
}

fn newlines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
