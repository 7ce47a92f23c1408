//! Aligned columns, as kubectl prints them: headings in capitals, each column as wide as its widest cell, and three
//! spaces between columns.
//!
//! If the width of lines is limited, the text of the last column wraps within the column. The other columns hold names,
//! which aren't broken.

use std::iter;

use super::TableStyle;
use crate::text::printable;

const COLUMN_GAP: usize = 3;
/// The minimum width of a last column that wraps. In a narrower one, the terminal's own wrapping is easier to read.
pub(crate) const MIN_WRAP_WIDTH: usize = 24;

/// The severity of a state. It selects the color of the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    /// Not a state, or neither good nor bad.
    #[default]
    Neutral,
    /// The desired state.
    Ok,
    /// Not yet the desired state, or unknown.
    Warning,
    /// Not the desired state.
    Error,
}

impl Severity {
    /// Returns the text in the color of this severity, if the style has colors.
    pub(crate) fn paint(self, text: &str, style: TableStyle) -> String {
        let code = match self {
            Self::Ok => 32,
            Self::Warning => 33,
            Self::Error => 31,
            Self::Neutral => return text.to_owned(),
        };
        if !style.has_colors || text.is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// One cell. Its text is escaped when the cell is created, so widths are those of the printed text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    severity: Severity,
}

impl Cell {
    /// Creates a cell with a severity.
    pub(crate) fn with_severity(text: impl Into<String>, severity: Severity) -> Self {
        let text = text.into();
        Self {
            text: printable(&text).into_owned(),
            severity,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::with_severity(text, Severity::Neutral)
    }
}

/// Rows below headings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    headings: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Creates a table without rows.
    pub(crate) fn new<T: Into<String>>(headings: impl IntoIterator<Item = T>) -> Self {
        Self {
            headings: headings.into_iter().map(Cell::from).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn add_row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether the table has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the table's lines, each with a newline at its end.
    pub(crate) fn render(&self, style: TableStyle) -> String {
        let widths = self.widths();
        let available = style.width.and_then(|width| width_of_last_column(&widths, width));
        let mut text = String::new();
        for row in self.all_rows() {
            write_row(&mut text, row, &widths, available, style);
        }
        text
    }

    /// Returns the width that lines of `width` characters leave for the last column. `None` when it would be so narrow
    /// that it doesn't wrap.
    pub(crate) fn last_column_width(&self, width: usize) -> Option<usize> {
        width_of_last_column(&self.widths(), width)
    }

    fn all_rows(&self) -> impl Iterator<Item = &Vec<Cell>> {
        iter::once(&self.headings).chain(&self.rows)
    }

    /// Returns the width of each column: that of its widest cell.
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.headings.len()];
        for row in self.all_rows() {
            for (width, cell) in widths.iter_mut().zip(row.iter()) {
                *width = (*width).max(length(&cell.text));
            }
        }
        widths
    }
}

fn width_of_last_column(widths: &[usize], width: usize) -> Option<usize> {
    let before_last: usize = widths.iter().rev().skip(1).map(|width| width + COLUMN_GAP).sum();
    let available = width.checked_sub(before_last);
    available.filter(|available| *available >= MIN_WRAP_WIDTH)
}

fn write_row(text: &mut String, row: &[Cell], widths: &[usize], available: Option<usize>, style: TableStyle) {
    let mut line = String::new();
    // The spaces before the next text. They are written only when text follows.
    let mut pending_spaces = 0;
    let mut column = 0;
    let last = widths.len().saturating_sub(1);
    for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
        let pieces = match available {
            Some(width) if index == last => wrap(&cell.text, width),
            _ => vec![cell.text.as_str()],
        };
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                line.push('\n');
                pending_spaces = column;
            }
            if !piece.is_empty() {
                line.extend(iter::repeat_n(' ', pending_spaces));
                pending_spaces = 0;
                line.push_str(&cell.severity.paint(piece, style));
            }
        }
        pending_spaces += width.saturating_sub(pieces.last().map_or(0, |piece| length(piece))) + COLUMN_GAP;
        column += width + COLUMN_GAP;
    }
    text.push_str(&line);
    text.push('\n');
}

/// Returns the width in characters. This is exact for ASCII, such as names, and close enough for messages.
pub(crate) fn length(text: &str) -> usize {
    text.chars().count()
}

/// Breaks a text between words into pieces of at most `width` characters. A longer word stays in one piece.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while length(rest) > width {
        let limit = rest
            .char_indices()
            .nth(width)
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
