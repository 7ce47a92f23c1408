//! Columns as kubectl prints them: headings in capitals, each column as wide as its widest cell, three spaces between
//! columns.
//!
//! When the width of lines is limited, the last column wraps within itself. The others hold names, which are only
//! useful in one piece.

use std::iter;

use super::View;
use crate::text::printable;

const GAP: usize = 3;
/// A last column that would be narrower than this is not wrapped: the terminal's own wrapping is easier to read then.
const NARROWEST: usize = 24;

/// Whether a word is good or bad news. Only its colour shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Neutral.
    #[default]
    Plain,
    /// The desired state.
    Good,
    /// Not yet the desired state, or not quite.
    Doubtful,
    /// Not the desired state.
    Bad,
}

impl Tone {
    /// Returns the text in this tone's colour if the view has colours.
    pub fn paint(self, text: &str, view: View) -> String {
        let code = match self {
            Self::Good => 32,
            Self::Doubtful => 33,
            Self::Bad => 31,
            Self::Plain => return text.to_owned(),
        };
        if !view.colours || text.is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// One cell. Its text is made printable when the cell is made, so widths are measured on the text that is printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Creates a cell with a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        let text = text.into();
        Self {
            text: printable(&text).into_owned(),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Rows under headings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    headings: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Creates a table without rows.
    pub fn new<T: Into<String>>(headings: impl IntoIterator<Item = T>) -> Self {
        Self {
            headings: headings.into_iter().map(Cell::from).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether the table has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the table's lines, each with a newline at its end.
    pub fn render(&self, view: View) -> String {
        let rows: Vec<&Vec<Cell>> = iter::once(&self.headings).chain(&self.rows).collect();
        let mut widths = vec![0; self.headings.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row.iter()) {
                *width = (*width).max(length(&cell.text));
            }
        }
        let before_last: usize = widths.iter().rev().skip(1).map(|width| width + GAP).sum();
        let room = view.width.and_then(|width| width.checked_sub(before_last));
        let room = room.filter(|room| *room >= NARROWEST);
        let mut text = String::new();
        for row in rows {
            line(&mut text, row, &widths, room, view);
        }
        text
    }
}

fn line(text: &mut String, row: &[Cell], widths: &[usize], room: Option<usize>, view: View) {
    let mut line = String::new();
    // The spaces before the next text. They are written only if some text follows.
    let mut due = 0;
    let mut column = 0;
    let last = widths.len().saturating_sub(1);
    for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
        let pieces = match room {
            Some(room) if index == last => wrap(&cell.text, room),
            _ => vec![cell.text.as_str()],
        };
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                line.push('\n');
                due = column;
            }
            if !piece.is_empty() {
                line.extend(iter::repeat_n(' ', due));
                due = 0;
                line.push_str(&cell.tone.paint(piece, view));
            }
        }
        due += width.saturating_sub(pieces.last().map_or(0, |piece| length(piece))) + GAP;
        column += width + GAP;
    }
    text.push_str(&line);
    text.push('\n');
}

/// Returns the width in characters. Names are ASCII; for messages, this is close enough.
fn length(text: &str) -> usize {
    text.chars().count()
}

/// Breaks a text between words into pieces of at most `room` characters. A longer word stays in one piece.
fn wrap(text: &str, room: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while length(rest) > room {
        let limit = rest
            .char_indices()
            .nth(room)
            .map_or(rest.len(), |(index, _)| index);
        let (fitting, beyond) = rest.split_at(limit);
        let end = if beyond.starts_with(' ') {
            Some(limit)
        } else {
            fitting.rfind(' ')
        };
        let Some(end) = end.or_else(|| rest.find(' ')) else {
            break;
        };
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after.trim_start();
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests;
