//! W3C trace context: by it, what several programs have done for one call is found together.
//!
//! A call that comes with a `traceparent` has a span with its ids, which all log lines of the call show, and calls that are
//! made for it carry the trace on, by [`carry`]. No trace begins here.

use std::fmt;

use http::HeaderMap;
use tonic::{Request, metadata::MetadataValue};
use tracing::{Instrument, debug, info_span};

const HEADER: &str = "traceparent";

tokio::task_local! {
    static CURRENT: Trace;
}

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trace {
    id: u128,
    span: u64,
    flags: u8,
}

impl Trace {
    /// The caller's, when it has one. What can't be read counts as none, as the standard wants it.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(HEADER)?.to_str().ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = |digits| number(parts.next()?, digits);
        let (version, id, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // A newer version may go on after that, this one may not.
        let is_whole = version != 0 || parts.next().is_none();
        let is_valid = version != 0xff && id != 0 && span != 0 && is_whole;
        Some(Self {
            id,
            span: span.try_into().ok()?,
            flags: flags.try_into().ok()?,
        })
        .filter(|_| is_valid)
    }

    /// Does a call's work as the next place after this one.
    pub(super) async fn follow<F: Future>(self, path: String, work: F) -> F::Output {
        let here = Self {
            span: fastrand::u64(1..),
            ..self
        };
        let trace_id = format!("{:032x}", self.id);
        let (span_id, parent_id) = (format!("{:016x}", here.span), format!("{:016x}", self.span));
        let span = info_span!("call", path, trace_id, span_id, parent_id);
        let work = async {
            let answer = work.await;
            debug!("the call has its answer");
            answer
        };
        CURRENT.scope(here, work.instrument(span)).await
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, span, flags } = self;
        write!(formatter, "00-{id:032x}-{span:016x}-{flags:02x}")
    }
}

/// So many lower-case hexadecimal digits.
fn number(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits
        && text
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| fits)
}

/// Has a request carry on the trace of the call that it is made for, if that call has one.
pub fn carry<T>(request: &mut Request<T>) {
    let current = CURRENT.try_with(Trace::to_string).ok();
    if let Some(value) = current.and_then(|text| MetadataValue::try_from(text).ok()) {
        request.metadata_mut().insert(HEADER, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_no_trace_counts_as_none() {
        let reads = |text: &str| Trace::read(text).map(|trace| trace.to_string());
        assert_eq!(reads(PARENT).as_deref(), Some(PARENT));
        let newer = PARENT.replacen("00", "01", 1) + "-more";
        assert_eq!(reads(&newer).as_deref(), Some(PARENT));
        for broken in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(reads(broken), None, "{broken}");
        }
    }

    #[tokio::test]
    async fn calls_that_are_made_for_a_call_are_of_its_trace() {
        let carried = || {
            let mut request = Request::new(());
            carry(&mut request);
            let value = request.metadata().get(HEADER);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(carried(), None);
        let parent = Trace::read(PARENT).unwrap();
        let header = parent
            .follow("/service/Method".to_owned(), async { carried() })
            .await;
        let here = Trace::read(&header.unwrap()).unwrap();
        assert_eq!((here.id, here.flags), (parent.id, parent.flags));
        assert_ne!(here.span, parent.span);
    }
}
