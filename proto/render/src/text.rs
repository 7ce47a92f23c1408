//! Makes untrusted text safe to print for people.
//!
//! Names, labels and messages come from callers, clusters, files and servers. In such text, an escape sequence can
//! recolor a terminal, overwrite earlier lines or set the title. A line break can forge a log line, and an invisible
//! character can make one name look like another. So all code that prints for people passes such text through
//! [`printable`], which shows each of these characters as an escape, such as `\x1b`. All other characters stay as they
//! are, including letters of any script.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// Returns the text as one line. Escapes every control character and every invisible character.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape_where(text, |character| !is_printable(character), write_escape)
}

/// Like [`printable`], but keeps line breaks.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let is_unsafe = |character| character != '\n' && !is_printable(character);
    escape_where(text, is_unsafe, write_escape)
}

/// Returns JSON with the same meaning and only printable characters. JSON writers escape only the control characters
/// below U+0020, but terminals also obey others, such as U+009B.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    // Valid JSON has no such characters outside of strings.
    escape_where(json, is_left_raw_by_json, |character, out| {
        let mut units = [0; 2];
        character
            .encode_utf16(&mut units)
            .iter()
            .try_for_each(|unit| write!(out, "\\u{unit:04x}"))
    })
}

/// Returns YAML with the same meaning as the JSON and only printable characters. YAML parsers accept JSON, except for
/// surrogate pairs.
pub fn printable_json_as_yaml(json: &str) -> Cow<'_, str> {
    escape_where(json, is_left_raw_by_json, |character, out| {
        match u32::from(character) {
            code @ 0..=0xFFFF => write!(out, "\\u{code:04x}"),
            code => write!(out, "\\U{code:08x}"),
        }
    })
}

/// Whether the character is unprintable, and JSON writers don't escape it.
fn is_left_raw_by_json(character: char) -> bool {
    character >= ' ' && !is_printable(character)
}

/// Whether the character can be printed as it is: it isn't a control character, doesn't break the line, and is visible.
pub fn is_printable(character: char) -> bool {
    let is_invisible = matches!(character,
        // Line and paragraph separators, and annotation marks.
        '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}'
        // Unicode's Default_Ignorable_Code_Point: directions, joiners, fillers, variation selectors and tags.
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    !character.is_control() && !is_invisible
}

/// Escapes the text written through it, as [`printable`] does.
#[derive(Debug)]
pub struct EscapingWriter<'a, W>(pub &'a mut W);

impl<W: Write> Write for EscapingWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&printable(text))
    }
}

fn escape_where(
    text: &str,
    is_unsafe: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String) -> fmt::Result,
) -> Cow<'_, str> {
    if !text.contains(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unsafe(character) {
            // Writing to a String can't fail.
            let _ = escape(character, &mut safe);
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

fn write_escape(character: char, out: &mut String) -> fmt::Result {
    match character {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        ascii if ascii.is_ascii() => write!(out, "\\x{:02x}", u32::from(ascii)),
        other => write!(out, "\\u{{{:x}}}", u32::from(other)),
    }
}

#[cfg(test)]
mod tests;
