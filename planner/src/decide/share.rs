//! What one cell comes to: a few marks, which a decision then counts.

/// Something that may hold of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// S1: the node should run a pod.
    Desired,
    /// S1: it should, and has one.
    Current,
    /// S1: it has one though it shouldn't run it.
    Misscheduled,
    /// S1: the pod that it should run is ready.
    Ready,
    /// S1: the pod that it should run is current.
    Updated,
    /// S1: the pod that it should run is available.
    Available,
    /// R4: it counts against maxUnavailable.
    Lacking,
    /// R5: a pod is available, old or new.
    Served,
    /// R5: a new pod that isn't available yet stands beside an old one, or is about to.
    Surging,
    /// N1 to N6: it has pods to create or to delete for its own sake.
    Acts,
    /// R5: a new pod comes beside the old one in any case.
    SurgesFreely,
    /// R5: a new pod comes beside the old one when it's the node's turn.
    SurgesInTurn,
    /// R4, R5: the old pod goes in any case.
    GoesFreely,
    /// R4, R5: the old pod goes when it's the node's turn.
    GoesInTurn,
}

/// How many marks there are.
pub const MARKS: usize = Mark::GoesInTurn as usize + 1;

/// The marks that hold of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share(u16);

impl Share {
    /// Sets a mark if it holds.
    pub fn put(&mut self, mark: Mark, holds: bool) {
        self.0 |= u16::from(holds) << mark as u8;
    }

    /// Whether a mark holds.
    pub fn has(self, mark: Mark) -> bool {
        self.0 >> mark as u8 & 1 != 0
    }

    /// The marks that hold here or there but not in both, by number.
    pub fn differing(self, other: Self) -> impl Iterator<Item = usize> {
        let mut rest = self.0 ^ other.0;
        std::iter::from_fn(move || {
            let number = rest.trailing_zeros() as usize;
            // Takes the lowest mark away.
            rest &= rest.checked_sub(1)?;
            Some(number)
        })
    }

    /// The mark of this number, if it holds.
    pub fn holds(self, number: usize) -> bool {
        self.0 >> number & 1 != 0
    }
}

/// How many cells each mark holds of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally([usize; MARKS]);

impl Tally {
    /// How many cells a mark holds of.
    pub fn count(&self, mark: Mark) -> usize {
        self.0.get(mark as usize).copied().unwrap_or_default()
    }

    /// Counts one cell more or less for the mark of this number.
    pub fn add(&mut self, number: usize, holds: bool) {
        if let Some(count) = self.0.get_mut(number) {
            *count = if holds {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
        }
    }
}
