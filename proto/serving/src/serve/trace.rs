//! W3C trace context, which links the work that several programs do for one call.
//!
//! A call with a `traceparent` gets a span with its ids. All log lines of the call show these ids, and [`carry`] passes
//! the trace on to the calls made for it. When spans are exported, a call without a `traceparent` starts a new trace,
//! and the logs show the ids of the exported spans.

use std::{convert::Infallible, fmt};

use http::{HeaderMap, Response};
use tonic::{Code, Request, Status, body::Body, metadata::MetadataValue};
use tracing::{Instrument, Span, debug, field::Empty, info_span};

/// The target of spans that are only for export. No log line shows them, and they cost nothing when nothing is
/// exported.
pub const EXPORTED: &str = "everynode_trace";

const HEADER: &str = "traceparent";

tokio::task_local! {
    static CURRENT: Trace;
}

/// A traced call.
#[derive(Debug)]
pub(super) struct Call {
    here: Trace,
    logged: Span,
    exported: Span,
}

impl Call {
    /// Starts tracing a call. Returns `None` if the caller sends no trace and none starts here, because the call
    /// `is_minor` or because nothing is exported.
    pub(super) fn begin(headers: &HeaderMap, path: &str, is_minor: bool) -> Option<Self> {
        let parent = Trace::of(headers);
        if parent.is_none() && is_minor {
            return None;
        }
        let exported = info_span!(
            target: EXPORTED,
            "call",
            "otel.name" = path.trim_start_matches('/'),
            "otel.kind" = "server",
            "otel.status_code" = Empty,
            "rpc.grpc.status_code" = Empty,
        );
        let here = place(&exported, parent).or_else(|| parent.map(Trace::next))?;
        let trace_id = format!("{:032x}", here.id);
        let span_id = format!("{:016x}", here.span);
        let logged = info_span!("call", path, trace_id, span_id, parent_id = Empty);
        if let Some(parent) = parent {
            logged.record("parent_id", format!("{:016x}", parent.span));
        }
        Some(Self {
            here,
            logged,
            exported,
        })
    }

    /// Runs the call's work inside its spans.
    pub(super) async fn follow(
        self,
        work: impl Future<Output = Result<Response<Body>, Infallible>>,
    ) -> Result<Response<Body>, Infallible> {
        let Self {
            here,
            logged,
            exported,
        } = self;
        let work = async {
            let answer = work.await;
            debug!("the call has its answer");
            answer
        };
        let answer = CURRENT.scope(here, work.instrument(logged)).await?;
        if let Some(status) = Status::from_header_map(answer.headers()) {
            exported.record("rpc.grpc.status_code", i32::from(status.code()));
            if is_fault(status.code()) {
                exported.record("otel.status_code", "ERROR");
            }
        }
        Ok(answer)
    }
}

/// Whether the code is the server's fault.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The trace position of an exported span, which becomes a child of its parent's span.
#[cfg(feature = "otlp")]
fn place(exported: &Span, parent: Option<Trace>) -> Option<Trace> {
    use opentelemetry::{
        Context,
        trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
    };
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    if let Some(Trace { id, span, flags }) = parent {
        let parent = SpanContext::new(
            TraceId::from_bytes(id.to_be_bytes()),
            SpanId::from_bytes(span.to_be_bytes()),
            TraceFlags::new(flags),
            true,
            TraceState::default(),
        );
        // This fails when nothing is exported; the context below is then invalid and the result `None`.
        let _ = exported.set_parent(Context::new().with_remote_span_context(parent));
    }
    let context = exported.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| Trace {
        id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span: u64::from_be_bytes(context.span_id().to_bytes()),
        flags: context.trace_flags().to_u8(),
    })
}

/// Without the feature `otlp` nothing is exported.
#[cfg(not(feature = "otlp"))]
fn place(_: &Span, _: Option<Trace>) -> Option<Trace> {
    None
}

/// A position in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trace {
    id: u128,
    span: u64,
    flags: u8,
}

impl Trace {
    /// The caller's position, if it sends one. As the standard demands, an unreadable header counts as none.
    fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(HEADER)?.to_str().ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = |digits| number(parts.next()?, digits);
        let (version, id, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // A newer version may have more parts; version 0 may not.
        let is_whole = version != 0 || parts.next().is_none();
        let is_valid = version != 0xff && id != 0 && span != 0 && is_whole;
        Some(Self {
            id,
            span: span.try_into().ok()?,
            flags: flags.try_into().ok()?,
        })
        .filter(|_| is_valid)
    }

    /// A new span in the same trace.
    fn next(self) -> Self {
        Self {
            span: fastrand::u64(1..),
            ..self
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, span, flags } = self;
        write!(formatter, "00-{id:032x}-{span:016x}-{flags:02x}")
    }
}

/// Parses a number of exactly `digits` lower-case hexadecimal digits.
fn number(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits
        && text
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| fits)
}

/// Adds the trace of the current call to a request made for it, if the current call has a trace.
pub fn carry<T>(request: &mut Request<T>) {
    let current = CURRENT.try_with(Trace::to_string).ok();
    if let Some(value) = current.and_then(|text| MetadataValue::try_from(text).ok()) {
        request.metadata_mut().insert(HEADER, value);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use parking_lot::Mutex;

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
        let headers = HeaderMap::from_iter([(HeaderName::from_static(HEADER), PARENT.parse().unwrap())]);
        let call = Call::begin(&headers, "/service/Method", true).unwrap();
        let header = Mutex::default();
        let work = async {
            *header.lock() = carried();
            Ok(Response::new(Body::empty()))
        };
        call.follow(work).await.unwrap();
        let here = Trace::read(&header.into_inner().unwrap()).unwrap();
        let parent = Trace::read(PARENT).unwrap();
        assert_eq!((here.id, here.flags), (parent.id, parent.flags));
        assert_ne!(here.span, parent.span);
    }

    #[test]
    fn without_a_caller_that_traces_or_a_place_to_export_to_no_trace_begins() {
        assert!(Call::begin(&HeaderMap::new(), "/service/Method", false).is_none());
    }
}
