//! Places in the input.

use std::{fmt, sync::Arc};

/// A place in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was given.
    pub file: Arc<str>,
    /// The document, counted from 1. Documents without content don't count.
    pub document: usize,
    /// The line on which the document's content begins, counted from 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, line } = self;
        write!(formatter, "{file}, document {document} (line {line})")
    }
}
