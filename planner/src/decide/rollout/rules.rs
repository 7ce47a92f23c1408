//! Names the rules of a rollout, so that tests can switch off one at a time and see that something notices.
//!
//! Outside tests, every rule counts, and the compiler removes the check.

/// A rule of the rollouts under a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// No more nodes are without an available pod than the policy says.
    TotalBudget,
    /// The same within a stage.
    StageBudget,
    /// The same within a domain.
    DomainBudget,
    /// Nothing is replaced if too many nodes were unavailable before the rollout.
    IgnoredCap,
    /// A stage is open only if those before it are done.
    StageOrder,
    /// A stage is updated only if all nodes that it waits for are.
    StageIsUpdated,
    /// A stage is updated only if at least one of its nodes is.
    StageIsNotEmpty,
    /// A stage is done only when its soak has ended.
    Soak,
    /// A stage with manual promotion is done only when somebody promotes it.
    ManualPromotion,
    /// A verb counts only for the rollout whose number it names.
    VerbNumber,
    /// An aborted rollout goes back.
    Abort,
    /// Nothing is replaced while the rollout is paused.
    Pause,
    /// Nothing is replaced while the policies are unknown.
    PoliciesKnown,
    /// Nothing is replaced if no policy applies any more.
    PolicyThere,
    /// Nothing is replaced under an invalid policy.
    PolicyValid,
    /// Nothing is replaced before the rollout has been remembered.
    Remembered,
    /// Old pods that were there before the policy wait for a promotion.
    Attached,
    /// A pod with the update revision isn't old, whatever its stage.
    UpdatedStays,
    /// A node that hasn't been released gets the current revision.
    CurrentRevision,
    /// A label of a node holds its pod.
    HoldLabel,
    /// The update revision becomes current only when every node has it.
    Completion,
}

impl Rule {
    /// Whether the rule counts.
    #[cfg(not(test))]
    #[inline]
    pub(crate) const fn counts(self) -> bool {
        let _ = self;
        true
    }

    /// Whether the rule counts: whether no test of this thread has switched it off.
    #[cfg(test)]
    pub(crate) fn counts(self) -> bool {
        switch::OFF.get() != Some(self)
    }
}

#[cfg(test)]
pub(crate) mod switch {
    use std::cell::Cell;

    use super::Rule;

    thread_local! {
        pub(super) static OFF: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    /// All rules.
    pub(crate) const ALL: [Rule; 21] = [
        Rule::TotalBudget,
        Rule::StageBudget,
        Rule::DomainBudget,
        Rule::IgnoredCap,
        Rule::StageOrder,
        Rule::StageIsUpdated,
        Rule::StageIsNotEmpty,
        Rule::Soak,
        Rule::ManualPromotion,
        Rule::VerbNumber,
        Rule::Abort,
        Rule::Pause,
        Rule::PoliciesKnown,
        Rule::PolicyThere,
        Rule::PolicyValid,
        Rule::Remembered,
        Rule::Attached,
        Rule::UpdatedStays,
        Rule::CurrentRevision,
        Rule::HoldLabel,
        Rule::Completion,
    ];

    /// Runs something on this thread without a rule. The rule counts again afterwards, even after a panic.
    pub(crate) fn without<T>(rule: Rule, run: impl FnOnce() -> T) -> T {
        struct On;
        impl Drop for On {
            fn drop(&mut self) {
                OFF.set(None);
            }
        }
        OFF.set(Some(rule));
        let _on = On;
        run()
    }
}
