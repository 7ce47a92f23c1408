//! Labels of the metrics. Each has a closed set of values.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};

/// The kinds of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(
    missing_docs,
    reason = "the variants are the planner's actions, by their names there"
)]
pub(crate) enum ActionKind {
    Create,
    Delete,
}

impl ActionKind {
    pub(super) const ALL: [Self; 2] = [Self::Create, Self::Delete];
}

/// How actions end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// Carried out.
    Done,
    /// Refused by the API server.
    Refused,
    /// No longer needed.
    Skipped,
}

impl Outcome {
    pub(super) const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Skipped];
}

/// Work that another controller has done on a `DaemonSet` of this executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum CompetitorWork {
    /// Created a pod.
    Pod,
    /// Written the status.
    Status,
}

impl CompetitorWork {
    pub(super) const ALL: [Self; 2] = [Self::Pod, Self::Status];
}

/// How a plan can violate the executor's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum PlanViolation {
    /// The deletion of a pod that doesn't belong to the `DaemonSet`.
    ForeignPod,
    /// More pods on a node than the `DaemonSet` may have there.
    TooManyPods,
    /// A condition that the planner may not set.
    Condition,
    /// A toleration that isn't for the taint of a node condition.
    Toleration,
    /// Too many actions, a duplicate action id, or an overlong name.
    Bounds,
}

impl PlanViolation {
    pub(super) const ALL: [Self; 5] = [
        Self::ForeignPod,
        Self::TooManyPods,
        Self::Condition,
        Self::Toleration,
        Self::Bounds,
    ];
}

/// The calls of the live view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(
    missing_docs,
    reason = "the variants are the service's methods, by their names there"
)]
pub(crate) enum Method {
    GetInfo,
    ListDaemonSets,
    Explain,
    GetNodeOverhead,
    WatchPlans,
}

impl Method {
    pub(super) const ALL: [Self; 5] = [
        Self::GetInfo,
        Self::ListDaemonSets,
        Self::Explain,
        Self::GetNodeOverhead,
        Self::WatchPlans,
    ];
}

/// The API server's reviews of the live view's callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Review {
    /// A `TokenReview`: who owns the caller's token.
    Token,
    /// A `SubjectAccessReview`: what the token's owner may do.
    Access,
}

impl Review {
    pub(super) const ALL: [Self; 2] = [Self::Token, Self::Access];
}

/// How a review of a caller was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum ReviewOutcome {
    /// It was sent to the API server.
    Made,
    /// Its result is cached, or the same review is already in progress.
    Cached,
    /// A rate limit is exceeded, so the caller has to retry later.
    Refused,
}

impl ReviewOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Made, Self::Cached, Self::Refused];
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReviewLabels {
    pub(super) review: Review,
    pub(super) outcome: ReviewOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabel {
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct MethodLabel {
    pub(super) method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CompetitorLabel {
    pub(super) work: CompetitorWork,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ViolationLabel {
    pub(super) kind: PlanViolation,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ActionLabels {
    pub(super) action: ActionKind,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ActionLabel {
    pub(super) action: ActionKind,
}

/// The kind of objects that a watch covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabel {
    pub(super) kind: &'static str,
}
