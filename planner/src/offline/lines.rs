//! The lines of the values of a document, by their paths.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher as _},
};

/// How many ends of a key are tried in a path. Only keys of labels and annotations contain dots.
const MAX_ENDS: usize = 16;

/// The lines on which the values of a document begin. Empty for JSON, whose reader doesn't report lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// The number of lines of the file before the document.
    before: u64,
    /// The line within the document, by the path of the value.
    lines: HashMap<ValuePath, u64>,
}

/// The path of a value in a document, as a hash. So each value takes a few bytes, whatever the length of its path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct ValuePath(u64);

impl ValuePath {
    /// The path of the value of a key in the mapping at this path.
    pub(crate) fn key(self, key: &str) -> Self {
        self.child(key)
    }

    /// The path of an item of the list at this path.
    pub(crate) fn item(self, index: usize) -> Self {
        self.child(index)
    }

    fn child(self, step: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.0, step).hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl Lines {
    /// Records the line of a value.
    pub(crate) fn record(&mut self, path: ValuePath, line: u64) {
        self.lines.insert(path, line);
    }

    /// The same lines of a document that begins after this number of lines of its file.
    pub(crate) fn after(self, before: u64) -> Self {
        Self { before, ..self }
    }

    /// Returns the line in the file of the value at a path such as `spec.taints[0].key`. If that isn't known, it returns
    /// the line of the innermost known value around it.
    pub(crate) fn find(&self, path: &str) -> Option<u64> {
        let (mut at, mut rest, mut line) = (ValuePath::default(), path, None);
        while !rest.is_empty()
            && let Some((next, found, after)) = self.step(at, rest)
        {
            (at, line, rest) = (next, Some(found), after);
        }
        line.map(|line| line + self.before)
    }

    /// Follows the first key or index of a path. Returns the path of its value, its line, and the rest of the path.
    fn step<'p>(&self, at: ValuePath, path: &'p str) -> Option<(ValuePath, u64, &'p str)> {
        let known = |next: ValuePath, rest: &'p str| {
            let line = self.lines.get(&next)?;
            Some((next, *line, rest.strip_prefix('.').unwrap_or(rest)))
        };
        if let Some(path) = path.strip_prefix('[') {
            let (index, rest) = path.split_once(']')?;
            return match index.parse() {
                Ok(index) => known(at.item(index), rest),
                Err(_) => known(at.key(index), rest),
            };
        }
        // A key may contain dots, so it may end at any of them.
        let ends = path.match_indices(['.', '[']).map(|(end, _)| end);
        let ends = ends.take(MAX_ENDS).chain([path.len()]);
        ends.filter_map(|end| path.split_at_checked(end))
            .find_map(|(key, rest)| known(at.key(key), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_a_path_is_that_of_the_value_or_of_the_innermost_one_around_it() {
        let spec = ValuePath::default().key("spec");
        let taints = spec.key("taints");
        let labels = ValuePath::default().key("labels");
        let mut lines = Lines::default();
        for (path, line) in [
            (spec, 1),
            (taints, 2),
            (taints.item(0), 3),
            (taints.item(1), 5),
            (taints.item(1).key("key"), 6),
            (labels, 8),
            (labels.key("example.com/a.b"), 9),
        ] {
            lines.record(path, line);
        }
        let lines = lines.after(100);
        for (path, line) in [
            ("spec", Some(101)),
            ("spec.taints[1].key", Some(106)),
            ("spec.taints[1].effect", Some(105)),
            ("spec.taints[7]", Some(102)),
            ("spec.taints", Some(102)),
            ("labels.example.com/a.b", Some(109)),
            ("labels[example.com/a.b]", Some(109)),
            ("labels.example.com/a", Some(108)),
            ("spec.[", Some(101)),
            ("status", None),
            ("[0]", None),
            ("", None),
        ] {
            assert_eq!(lines.find(path), line, "{path}");
        }
        assert_eq!(Lines::default().find("spec"), None);
        assert_eq!(lines.find(&".".repeat(1 << 20)), None);
    }
}
