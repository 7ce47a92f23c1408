//! Reads files of JSON or YAML, which may hold several documents. Reads whatever kubectl reads, with the same meaning.
//!
//! - `text`: the encodings of a file.
//! - `json`: JSON, which is read many times faster than YAML.
//! - `yaml`: YAML, as kubectl's reader understands it.

mod json;
mod text;
mod yaml;

use std::{
    fs,
    io::{self, Read as _},
    sync::Arc,
};

use serde_json::Value;

use super::{error::Error, hints::HELM, lines::Lines, place::Place};

/// The file name that means standard input.
pub(crate) const STDIN: &str = "-";
/// The first bytes of a file that gzip compressed.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The number of repeated keys of a file that have a note of their own.
const MAX_DUPLICATES: usize = 20;

/// A document and its place in the input.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The document's content.
    pub value: Value,
    /// The place where the document begins.
    pub place: Place,
}

/// The content of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// The documents.
    pub documents: Vec<Document>,
    /// Notes about content that has a meaning but is probably a mistake. Each names the file and the line.
    pub notes: Vec<String>,
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// The file doesn't exist, can't be read, or is neither JSON nor YAML.
pub fn read(file: &str) -> Result<Contents, Error> {
    let bytes = if file == STDIN {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let name = if file == STDIN { "standard input" } else { file };
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound {
            file: name.to_owned(),
        },
        _ => Error::Unreadable {
            file: name.to_owned(),
            error,
        },
    })?;
    parse(name, &bytes)
}

/// Parses the content of a file: any number of JSON values one after another, then any number of YAML documents.
///
/// # Errors
/// The content is neither JSON nor YAML.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Contents, Error> {
    let text = text::decode(bytes);
    let mut parser = Parser {
        file: file.into(),
        rest: text::without_mark(&text),
        lines_before: 0,
        duplicates: 0,
        contents: Contents::default(),
    };
    if let Some((before, _)) = text.split_once('\0') {
        let message = if bytes.starts_with(&GZIP_MAGIC) {
            "the file is compressed; decompress it first, such as with gunzip"
        } else {
            "a file of objects has no NUL characters; if it is UTF-16, it needs a byte-order mark"
        };
        return Err(parser.syntax_error(newlines(before) + 1, message.to_owned()));
    }
    let json_error = parser.json();
    let documents = parser.contents.documents.len();
    match (parser.yaml(), json_error) {
        (Ok(()), _) => Ok(parser.finish()),
        // If both readers fail at the same document, it was meant to be JSON.
        (Err(_), Some(error)) if parser.contents.documents.len() == documents => Err(error),
        (Err(error), _) => Err(error),
    }
}

struct Parser<'a> {
    file: Arc<str>,
    rest: &'a str,
    /// The number of lines that end before `rest`.
    lines_before: u64,
    /// The number of repeated keys so far.
    duplicates: usize,
    contents: Contents,
}

impl Parser<'_> {
    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.lines_before += newlines(skipped);
        self.rest = rest;
    }

    fn add(&mut self, value: Value, line: u64, lines: Lines) {
        self.contents.documents.push(Document {
            value,
            place: Place {
                file: self.file.clone(),
                document: self.contents.documents.len() + 1,
                line,
                path: String::new(),
                lines: Arc::new(lines),
            },
        });
    }

    fn finish(mut self) -> Contents {
        let Self { file, duplicates, .. } = &self;
        if *duplicates > MAX_DUPLICATES {
            let note = format!(
                "{file}: {duplicates} keys are set more than once; only the first {MAX_DUPLICATES} are listed"
            );
            self.contents.notes.push(note);
        }
        self.contents
    }

    fn note(&mut self, line: u64, text: &str) {
        self.contents.notes.push(format!("{}:{line}: {text}", self.file));
    }

    fn note_duplicate(&mut self, line: u64, key: &str) {
        self.duplicates += 1;
        if self.duplicates <= MAX_DUPLICATES {
            self.note(
                line,
                &format!("{key} is set more than once; the last value counts"),
            );
        }
    }

    /// Notes the repeated keys of a JSON value that begins on a line. The JSON reader doesn't know their lines, but the
    /// YAML reader finds them in the same text.
    fn note_duplicates_of_json(&mut self, text: &str, line: u64, keys: &[String]) {
        match yaml::read(text) {
            Ok(Some(document)) if document.duplicates.len() == keys.len() => {
                for duplicate in document.duplicates {
                    self.note_duplicate(line - 1 + duplicate.line, &duplicate.key);
                }
            }
            _ => {
                for key in keys {
                    self.note_duplicate(line, key);
                }
            }
        }
    }

    fn syntax_error(&self, line: u64, message: String) -> Error {
        Error::Syntax {
            file: self.file.to_string(),
            line,
            message,
        }
    }

    /// Parses JSON values as long as there are any. Returns the error that ended them, because YAML can begin like JSON.
    fn json(&mut self) -> Option<Error> {
        loop {
            let trimmed = self.rest.trim_start();
            if !is_json(trimmed) {
                return None;
            }
            let blank = self.rest.len() - trimmed.len();
            let line = self.lines_before + newlines(self.rest.get(..blank).unwrap_or_default()) + 1;
            match json::read(trimmed) {
                Ok(parsed) => {
                    self.add(parsed.value, line, Lines::default());
                    if !parsed.duplicates.is_empty() {
                        let text = trimmed.get(..parsed.bytes).unwrap_or_default();
                        self.note_duplicates_of_json(text, line, &parsed.duplicates);
                    }
                    self.skip(blank + parsed.bytes);
                }
                Err(error) => return Some(self.syntax_error(line - 1 + error.line, error.message)),
            }
        }
    }

    /// Parses the rest as YAML.
    fn yaml(&mut self) -> Result<(), Error> {
        while !self.rest.is_empty() {
            let Extent { start, end, next } = Extent::of_first(self.rest);
            let document = self.rest.get(start..end).unwrap_or_default();
            let before = self.lines_before + newlines(self.rest.get(..start).unwrap_or_default());
            let parsed = yaml::read(document).map_err(|error| {
                let hint = if document.contains("{{") {
                    format!("; {HELM}")
                } else {
                    String::new()
                };
                self.syntax_error(before + error.line, error.message + &hint)
            })?;
            let after_end = self.rest.get(end..next).unwrap_or_default();
            let after_end = first_content(after_end).map(|line| newlines(document) + line);
            if let Some(parsed) = parsed {
                self.add(parsed.value, before + parsed.line, parsed.lines.after(before));
                for duplicate in parsed.duplicates {
                    self.note_duplicate(before + duplicate.line, &duplicate.key);
                }
                if let Some(line) = parsed.ignored.or(after_end) {
                    self.note(
                        before + line,
                        "content after the end of a document is ignored; begin the next document with a line `---`",
                    );
                }
            }
            self.skip(next);
        }
        Ok(())
    }
}

/// Whether a text begins like a JSON object or a list of objects. The keys of JSON have quotes, and no YAML writer begins
/// a document with a quoted key in braces.
fn is_json(text: &str) -> bool {
    let object = |text: &str| {
        let inner = text.strip_prefix('{').map(str::trim_start);
        inner.is_some_and(|inner| inner.starts_with(['"', '}']))
    };
    let list = text.strip_prefix('[').map(str::trim_start);
    object(text) || list.is_some_and(object)
}

/// The part of a text that is its first YAML document, in bytes.
struct Extent {
    start: usize,
    end: usize,
    /// The beginning of the next document. The text between the two isn't read.
    next: usize,
}

impl Extent {
    /// A document ends before the next line `---` that doesn't begin it, or before a line `...`.
    fn of_first(text: &str) -> Self {
        let (mut start, mut end, mut next) = (0, None, 0);
        // A document begins with its separator or with its content.
        let (mut has_begun, mut has_content) = (false, false);
        for line in text.split_inclusive('\n') {
            let unmarked = text::without_mark(line);
            let is_separator = is_marker(unmarked, "---");
            if is_separator && has_begun {
                break;
            }
            if is_marker(unmarked, "...") {
                end.get_or_insert(next);
            }
            if !has_content {
                let is_separator_with_comment = unmarked.starts_with("---#");
                // kubectl accepts a separator and a comment without a blank between them.
                let skipped = if is_separator_with_comment { 3 } else { 0 };
                if line.len() > unmarked.len() || is_separator_with_comment {
                    start = next + (line.len() - unmarked.len()) + skipped;
                }
            }
            // A directive belongs to the document that begins after it.
            let is_content = !unmarked.trim().is_empty() && !unmarked.starts_with(['#', '%']);
            has_begun |= is_content;
            has_content |= is_content && !is_separator;
            next += line.len();
        }
        let end = end.unwrap_or(next);
        Self {
            start: start.min(end),
            end,
            next,
        }
    }
}

/// Whether a line begins with `---` or `...` as the marker of a document.
fn is_marker(line: &str, marker: &str) -> bool {
    let after = line.strip_prefix(marker);
    after.is_some_and(|after| {
        after.is_empty() || after.starts_with(|next: char| next.is_whitespace() || next == '#')
    })
}

/// Returns the number of the first line with content after a line `...`, which is line 1.
fn first_content(text: &str) -> Option<u64> {
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let line = text.lines().skip(1).position(is_content)?;
    u64::try_from(line).ok().map(|line| line + 2)
}

fn newlines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
