//! Reports of calls and refusals, for the program's metrics.

use std::fmt;

use super::Refusal;

/// Kinds of calls, each with a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// A unary call: one request, one answer.
    Unary,
    /// A stream: a call with a stream of requests, of answers, or of both.
    Stream,
}

/// Receives reports of calls and refusals.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// A call was admitted.
    fn on_call_started(&self, kind: CallKind);

    /// The work of an admitted call has ended.
    fn on_call_ended(&self, kind: CallKind);

    /// A call was refused or abandoned, or a connection was closed.
    fn on_refused(&self, reason: Refusal);
}

/// An observer that ignores all reports.
#[derive(Debug)]
pub(super) struct NoopObserver;

impl Observer for NoopObserver {
    fn on_call_started(&self, _: CallKind) {}
    fn on_call_ended(&self, _: CallKind) {}
    fn on_refused(&self, _: Refusal) {}
}
