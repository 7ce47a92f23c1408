//! A pair of `DaemonSet` and node, and its rows in a table.

use std::collections::HashSet;

use everynode_proto::{
    executor::v1::{Placement, Pod, Wait},
    planner::v1::{NodeVerdict, Reason, ReasonCode, Verdict},
};

use crate::{
    TableStyle,
    table::{Cell, Table},
    values,
};

/// A pair of `DaemonSet` and node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) found: &'a NodeVerdict,
    /// The pods on the node. Only the executor knows them.
    pub(crate) pods: &'a [Pod],
    /// What the pods wait for. Only the executor knows it.
    pub(crate) waits: &'a [Wait],
}

impl<'a> Pair<'a> {
    pub(super) fn of_verdict(found: &'a NodeVerdict) -> Self {
        Self {
            found,
            pods: &[],
            waits: &[],
        }
    }

    /// Returns the pair of an executor's answer. `None` if the answer has no verdict.
    pub(crate) fn of_placement(placement: &'a Placement) -> Option<Self> {
        Some(Self {
            found: placement.verdict.as_ref()?,
            pods: &placement.pods,
            waits: &placement.waits,
        })
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.found.verdict()
    }

    /// Whether a pod runs on the node: it should, it waits for nothing, and nothing keeps it pending.
    pub(crate) fn runs_without_waiting(&self) -> bool {
        self.verdict() == Verdict::Run && self.waits.is_empty() && self.unmet().next().is_none()
    }

    /// Returns the reasons why no pod runs, each with its condition.
    pub(super) fn unmet(&self) -> impl Iterator<Item = (&'a Reason, &'a str)> {
        let runs = self.verdict() == Verdict::Run;
        self.found.reasons.iter().filter_map(move |reason| {
            let condition = match reason.condition.as_str() {
                // The one reason for RUN has no condition. A reason against it always has one.
                "" if runs || reason.code() == ReasonCode::Fits => return None,
                "" => &reason.message,
                condition => condition,
            };
            Some((reason, condition))
        })
    }

    /// Returns the reasons, the waits and the place in the rollout, a text for each row. `advises` is that of
    /// [`Pair::reason_texts`].
    pub(super) fn texts(&self, advises: impl FnMut(&'a Reason) -> bool) -> Vec<String> {
        let mut texts = self.reason_texts(advises);
        let rollout = self.found.rollout.as_ref();
        texts.extend(rollout.map(|rollout| format!("rollout: {}", rollout.message)));
        texts
    }

    /// Returns the reasons and the waits. `advises` says whether the text for a reason has advice: the toleration that
    /// would admit the pod.
    pub(crate) fn reason_texts(&self, mut advises: impl FnMut(&'a Reason) -> bool) -> Vec<String> {
        let reasons = self.found.reasons.iter().map(|reason| {
            if reason.code() != ReasonCode::UntoleratedTaint || advises(reason) {
                reason.message.clone()
            } else {
                format!("{} is not tolerated", reason.condition)
            }
        });
        let waits = self.waits.iter().map(|wait| format!("waits: {}", wait.message));
        reasons.chain(waits).collect()
    }
}

/// The columns of a table of pairs.
pub(crate) struct Layout<'a> {
    /// The headings. That of the reason is last.
    pub(crate) headings: &'a [&'a str],
    /// Returns the cells before the reason.
    pub(crate) leading_cells: &'a dyn Fn(&Pair<'_>) -> Vec<Cell>,
}

impl std::fmt::Debug for Layout<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Layout")
            .field("headings", &self.headings)
            .finish_non_exhaustive()
    }
}

impl Layout<'_> {
    /// The layout of the planner's answers, which know no pods.
    pub(super) const VERDICTS: Layout<'static> = Layout {
        headings: &["DAEMONSET", "NODE", "VERDICT", "REASON"],
        leading_cells: &leading_cells,
    };

    /// Renders the pairs, with a row for each reason and each wait. Only the first of the rows about a taint has advice.
    /// Without pairs, the text is empty.
    pub(super) fn table<'p, 'a: 'p>(
        &self,
        pairs: impl IntoIterator<Item = &'p Pair<'a>>,
        style: TableStyle,
    ) -> String {
        let mut advised = HashSet::new();
        self.table_with(pairs, |reason| advised.insert(reason.condition.as_str()), style)
    }

    /// Renders the pairs as [`Layout::table`] does, but without advice, which is in another table.
    pub(super) fn table_without_advice<'p, 'a: 'p>(
        &self,
        pairs: impl IntoIterator<Item = &'p Pair<'a>>,
        style: TableStyle,
    ) -> String {
        self.table_with(pairs, |_| false, style)
    }

    fn table_with<'p, 'a: 'p>(
        &self,
        pairs: impl IntoIterator<Item = &'p Pair<'a>>,
        mut advises: impl FnMut(&'a Reason) -> bool,
        style: TableStyle,
    ) -> String {
        let mut table = Table::new(self.headings.iter().copied());
        for pair in pairs {
            let mut texts = pair.texts(&mut advises);
            if texts.is_empty() {
                texts.push(String::new());
            }
            for text in texts {
                let mut cells = (self.leading_cells)(pair);
                cells.push(text.into());
                table.add_row(cells);
            }
        }
        if table.is_empty() {
            return String::new();
        }
        table.render(style)
    }
}

/// Returns the cells that every table of pairs begins with.
pub(crate) fn leading_cells(pair: &Pair<'_>) -> Vec<Cell> {
    vec![
        pair.found.daemon_set.as_str().into(),
        pair.found.node.as_str().into(),
        values::verdict(pair.verdict()),
    ]
}
