//! Places in the input.

use std::{fmt, sync::Arc};

use super::lines::Lines;

/// A place in the input. It is shown as `FILE:LINE`, followed by the path of an item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was given.
    pub file: Arc<str>,
    /// The document, counted from 1. Documents without content don't count.
    pub document: usize,
    /// The line, counted from 1. If the line of the value isn't known, that of the innermost known value around it.
    pub line: u64,
    /// The path within the document, such as `items[3]`. Empty for the document itself.
    pub path: String,
    /// The lines of the document's values.
    pub lines: Arc<Lines>,
}

impl Place {
    /// The place of an item of the list at this place. `list` is the field that holds the list, or empty.
    #[must_use]
    pub fn item(&self, list: &str, index: usize) -> Self {
        let path = self.path_of(&format!("{list}[{index}]"));
        Self {
            line: self.lines.find(&path).unwrap_or(self.line),
            path,
            ..self.clone()
        }
    }

    /// The place of a field of the object at this place. It still has the path of the object.
    #[must_use]
    pub fn field(&self, field: &str) -> Self {
        Self {
            line: self.lines.find(&self.path_of(field)).unwrap_or(self.line),
            ..self.clone()
        }
    }

    /// The path within the document of a field of the value at this place.
    fn path_of(&self, field: &str) -> String {
        let is_joined = self.path.is_empty() || field.is_empty() || field.starts_with('[');
        let separator = if is_joined { "" } else { "." };
        format!("{}{separator}{field}", self.path)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, path, .. } = self;
        write!(formatter, "{file}:{line}")?;
        if path.is_empty() {
            Ok(())
        } else {
            write!(formatter, ", {path}")
        }
    }
}
