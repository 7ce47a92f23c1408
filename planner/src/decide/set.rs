//! A set of cells. A plan takes the first ones from it, in the order of the nodes' names.

use super::cell::CellIndex;

const BITS: usize = u64::BITS as usize;

/// A set of cells with one bit for each, so that a few thousand cells fit into about ten cache lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct CellSet {
    words: Vec<u64>,
    count: usize,
}

impl CellSet {
    /// Adds or removes a cell.
    pub(crate) fn set(&mut self, index: CellIndex, is_in: bool) {
        let (word, bit) = (index as usize / BITS, 1 << (index as usize % BITS));
        if word >= self.words.len() {
            if !is_in {
                return;
            }
            self.words.resize(word + 1, 0);
        }
        let Some(word) = self.words.get_mut(word) else {
            return;
        };
        let was_in = *word & bit != 0;
        match (was_in, is_in) {
            (false, true) => self.count += 1,
            (true, false) => self.count -= 1,
            _ => return,
        }
        *word ^= bit;
    }

    /// Whether the set contains a cell.
    pub(crate) fn contains(&self, index: CellIndex) -> bool {
        let word = self.words.get(index as usize / BITS).copied().unwrap_or_default();
        word >> (index as usize % BITS) & 1 != 0
    }

    /// The first cells of the set in the given order, at most `limit`.
    pub(crate) fn first(&self, order: &[CellIndex], limit: usize) -> Vec<CellIndex> {
        let most = limit.min(self.count);
        if most == 0 {
            return Vec::new();
        }
        let mut first = Vec::with_capacity(most);
        first.extend(self.members(order).take(most));
        first
    }

    /// The cells of the set in the given order.
    pub(crate) fn members(&self, order: &[CellIndex]) -> impl Iterator<Item = CellIndex> {
        order.iter().copied().filter(|index| self.contains(*index))
    }
}

impl PartialEq for CellSet {
    /// Ignores trailing empty words, which are left over from cells that were removed.
    fn eq(&self, other: &Self) -> bool {
        let common = self.words.len().min(other.words.len());
        let (own, rest) = self.words.split_at_checked(common).unwrap_or_default();
        let (others, others_rest) = other.words.split_at_checked(common).unwrap_or_default();
        own == others && rest.iter().chain(others_rest).all(|word| *word == 0)
    }
}

impl Eq for CellSet {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn first_cells_follow_the_given_order(
            puts in vec((0..300_u32, any::<bool>()), 0..400),
            order in Just((0..300_u32).collect::<Vec<_>>()).prop_shuffle(),
            limit in 0..320_usize,
        ) {
            let (mut set, mut expected) = (CellSet::default(), BTreeSet::new());
            for (index, is_in) in puts {
                set.set(index, is_in);
                if is_in {
                    expected.insert(index);
                } else {
                    expected.remove(&index);
                }
            }
            let members = order.iter().copied().filter(|index| expected.contains(index));
            prop_assert_eq!(set.first(&order, limit), members.take(limit).collect::<Vec<_>>());
            let mut fresh = CellSet::default();
            for index in &expected {
                fresh.set(*index, true);
            }
            prop_assert_eq!(set, fresh, "removed cells leave no difference");
        }
    }
}
