//! The values of an `In` or `NotIn` requirement.

use hashbrown::HashSet;

use crate::model::{Text, same_text};

/// Up to this many values are compared one by one, which is faster than a look-up.
const MAX_SCANNED: usize = 16;

/// Values in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values {
    list: Vec<Text>,
    /// The same values. Empty unless there are more than `MAX_SCANNED`.
    index: HashSet<Text>,
}

impl Values {
    /// Indexes values.
    pub(super) fn new(list: Vec<Text>) -> Self {
        let index = if list.len() > MAX_SCANNED {
            list.iter().cloned().collect()
        } else {
            HashSet::new()
        };
        Self { list, index }
    }

    /// Whether `value` is one of the values.
    pub(super) fn contains(&self, value: &Text) -> bool {
        if self.index.is_empty() {
            self.list.iter().any(|candidate| same_text(candidate, value))
        } else {
            self.index.contains(value)
        }
    }

    /// The values, in the order in which they were written.
    pub(super) fn to_vec(&self) -> Vec<Text> {
        self.list.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_with_and_without_an_index() {
        for count in [0, 1, MAX_SCANNED, MAX_SCANNED + 1, 10 * MAX_SCANNED] {
            let list: Vec<_> = (0..count).map(|number| Text::from(number.to_string())).collect();
            let values = Values::new(list.clone());
            assert!(list.iter().all(|value| values.contains(value)), "{count}");
            assert!(!values.contains(&"other".into()), "{count}");
            assert_eq!(values.to_vec(), list);
        }
    }
}
