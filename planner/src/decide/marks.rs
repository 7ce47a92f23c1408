//! The marks of one cell, which a decision counts over all cells.

/// A property that a cell may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mark {
    /// S1: the node should run a pod.
    Desired,
    /// S1: the node should run a pod, and has one.
    Current,
    /// S1: the node has a pod that it shouldn't run.
    Misscheduled,
    /// S1: the node should run a pod, and its pod is ready.
    Ready,
    /// S1: the node should run a pod, and its pod is current.
    Updated,
    /// S1: the node should run a pod, and its pod is available.
    Available,
    /// R4: the node counts against maxUnavailable.
    Unavailable,
    /// R5: the node has an available pod, old or new.
    HasAvailable,
    /// R5: the node has a new pod beside an old one, or its creation is in flight, and the new pod isn't available yet.
    Surging,
    /// Under a policy: the node should run a pod, and has one of the update revision.
    HasUpdated,
    /// Under a policy: the node should run a pod, and has an available one of the update revision.
    HasUpdatedAvailable,
    /// Under a policy: the node existed when its stage opened, and the stage waits for it.
    Pending,
    /// Under a policy: the pod was unavailable before the rollout began, so the node doesn't hold it up.
    Ignored,
    /// Under a policy: a label of the node holds the pod at its revision.
    Held,
    /// Under a policy: the old pod is being replaced, and the new one isn't available yet.
    InReplacement,
    /// Under a policy: the old pod waits to be replaced, and its replacement takes no slot of a budget.
    QueuedFree,
    /// Under a policy: the old pod waits to be replaced, and its replacement takes an available pod.
    QueuedAvailable,
    /// N1 to N6: the node needs actions that aren't part of an update.
    NeedsActions,
    /// R5: a new pod is created beside the old one, whatever the budget is.
    SurgeAtOnce,
    /// R5: a new pod is created beside the old one if the budget allows it.
    SurgeWithinBudget,
    /// R4, R5: the old pod is deleted, whatever the budget is.
    DeleteAtOnce,
    /// R4, R5: the old pod is deleted if the budget allows it.
    DeleteWithinBudget,
    /// Under a policy: the old pod waits to be replaced.
    Queued,
}

/// The number of marks.
pub(crate) const MARK_COUNT: usize = Mark::Queued as usize + 1;

/// The marks that one cell has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks(u32);

impl Marks {
    /// Sets a mark if it holds.
    pub(crate) fn set(&mut self, mark: Mark, holds: bool) {
        self.0 |= u32::from(holds) << mark as u8;
    }

    /// The numbers of the marks that only one of the two has.
    pub(crate) fn differing(self, other: Self) -> impl Iterator<Item = usize> {
        let mut rest = self.0 ^ other.0;
        std::iter::from_fn(move || {
            let number = rest.trailing_zeros() as usize;
            // Clears the lowest mark.
            rest &= rest.checked_sub(1)?;
            Some(number)
        })
    }

    /// Whether a mark holds.
    pub(crate) fn has(self, mark: Mark) -> bool {
        self.holds(mark as usize)
    }

    /// Whether the mark of this number holds.
    pub(crate) fn holds(self, number: usize) -> bool {
        self.0 >> number & 1 != 0
    }
}

/// The number of cells that have each mark.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tally([usize; MARK_COUNT]);

impl Tally {
    /// The number of cells that have a mark.
    pub(crate) fn count(&self, mark: Mark) -> usize {
        self.0.get(mark as usize).copied().unwrap_or_default()
    }

    /// Counts one more cell for the mark of this number, or one fewer if it doesn't hold.
    pub(crate) fn add(&mut self, number: usize, holds: bool) {
        if let Some(count) = self.0.get_mut(number) {
            *count = if holds {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
        }
    }
}
