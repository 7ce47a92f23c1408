//! Displays errors with their causes, for logs and messages.

use std::{error::Error, fmt};

/// Shows an error with all its causes on one line.
#[derive(Debug)]
pub struct ErrorChain<'a, E>(pub &'a E);

impl<E: Error> fmt::Display for ErrorChain<'_, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors repeat their cause in their own text.
            if !shown.contains(&text) {
                shown = format!("{shown}: {text}");
            }
            source = cause.source();
        }
        formatter.write_str(&shown)
    }
}
