//! Keeps one copy of each string that a session has seen.

pub use everynode_proto::facts::shared_values::SharedValues;

use crate::model::Text;

/// Shares strings: one copy of each string that a session has seen.
#[derive(Debug, Default)]
pub struct Interner {
    strings: SharedValues<str>,
}

impl Interner {
    /// The shared copy of a string.
    pub fn text(&mut self, text: &str) -> Text {
        self.strings.share(text)
    }
}
