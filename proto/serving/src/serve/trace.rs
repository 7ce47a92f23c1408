//! W3C trace context, which links the work that several programs do for one call.
//!
//! A call with a `traceparent` gets a span in the caller's trace. All log lines of the call show the ids of the trace
//! and the span, and [`inject`] adds them to the calls that the handler makes. When spans are exported, a call without
//! a `traceparent` starts a new trace, and the logs show the ids of the exported spans.

use std::{convert::Infallible, fmt};

use http::{HeaderMap, Response};
use tonic::{Code, Request, Status, body::Body, metadata::MetadataValue};
use tracing::{Instrument, Span, debug, field::Empty, info_span};

/// The target of spans that are only for export. No log line shows them. They cost nothing when nothing is exported.
pub const EXPORT_TARGET: &str = "everynode_trace";

const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CURRENT: TraceContext;
}

#[derive(Debug)]
pub(super) struct TracedCall {
    context: TraceContext,
    log_span: Span,
    export_span: Span,
}

impl TracedCall {
    /// Starts tracing a call. Returns `None` if the caller sends no trace and no new one starts, because the call
    /// `is_auxiliary` or because nothing is exported.
    pub(super) fn start(headers: &HeaderMap, path: &str, is_auxiliary: bool) -> Option<Self> {
        let parent = TraceContext::from_headers(headers);
        if parent.is_none() && is_auxiliary {
            return None;
        }
        let export_span = info_span!(
            target: EXPORT_TARGET,
            "call",
            "otel.name" = path.trim_start_matches('/'),
            "otel.kind" = "server",
            "otel.status_code" = Empty,
            "rpc.grpc.status_code" = Empty,
        );
        let context = exported_context(&export_span, parent).or_else(|| parent.map(TraceContext::child))?;
        let trace_id = format!("{:032x}", context.trace_id);
        let span_id = format!("{:016x}", context.span_id);
        let log_span = info_span!("call", path, trace_id, span_id, parent_id = Empty);
        if let Some(parent) = parent {
            log_span.record("parent_id", format!("{:016x}", parent.span_id));
        }
        Some(Self {
            context,
            log_span,
            export_span,
        })
    }

    /// Runs the call's work inside its spans.
    pub(super) async fn run(
        self,
        work: impl Future<Output = Result<Response<Body>, Infallible>>,
    ) -> Result<Response<Body>, Infallible> {
        let Self {
            context,
            log_span,
            export_span,
        } = self;
        let work = async {
            let answer = work.await;
            debug!("call answered");
            answer
        };
        let answer = CURRENT.scope(context, work.instrument(log_span)).await?;
        if let Some(status) = Status::from_header_map(answer.headers()) {
            export_span.record("rpc.grpc.status_code", i32::from(status.code()));
            if is_server_error(status.code()) {
                export_span.record("otel.status_code", "ERROR");
            }
        }
        Ok(answer)
    }
}

/// Whether OpenTelemetry counts the code as an error of the server.
fn is_server_error(code: Code) -> bool {
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

/// The trace context of a span that is exported. The span becomes a child of `parent`.
#[cfg(feature = "otlp")]
fn exported_context(span: &Span, parent: Option<TraceContext>) -> Option<TraceContext> {
    use opentelemetry::{
        Context,
        trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
    };
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    if let Some(parent) = parent {
        let parent = SpanContext::new(
            TraceId::from_bytes(parent.trace_id.to_be_bytes()),
            SpanId::from_bytes(parent.span_id.to_be_bytes()),
            TraceFlags::new(parent.flags),
            true,
            TraceState::default(),
        );
        // This fails when nothing is exported; the context below is then invalid and the result `None`.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(context.span_id().to_bytes()),
        flags: context.trace_flags().to_u8(),
    })
}

/// Without the feature `otlp` nothing is exported.
#[cfg(not(feature = "otlp"))]
fn exported_context(_: &Span, _: Option<TraceContext>) -> Option<TraceContext> {
    None
}

/// The trace and the span that some work belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// The context that the caller sends, if any. As the standard requires, an invalid header is ignored.
    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = |digits| parse_hex(parts.next()?, digits);
        let (version, trace_id, span_id, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // A newer version may have more parts; version 0 may not.
        let is_complete = version != 0 || parts.next().is_none();
        let is_valid = version != 0xff && trace_id != 0 && span_id != 0 && is_complete;
        Some(Self {
            trace_id,
            span_id: span_id.try_into().ok()?,
            flags: flags.try_into().ok()?,
        })
        .filter(|_| is_valid)
    }

    /// A new span in the same trace.
    fn child(self) -> Self {
        Self {
            span_id: fastrand::u64(1..),
            ..self
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
        } = self;
        write!(formatter, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

/// Parses a number of exactly `digits` lower-case hexadecimal digits.
fn parse_hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits
        && text
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| fits)
}

/// Adds the trace of the current call to a request made for it, if the current call has a trace.
pub fn inject<T>(request: &mut Request<T>) {
    let current = CURRENT.try_with(TraceContext::to_string).ok();
    if let Some(value) = current.and_then(|text| MetadataValue::try_from(text).ok()) {
        request.metadata_mut().insert(TRACEPARENT, value);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use parking_lot::Mutex;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn invalid_trace_context_is_ignored() {
        let parsed = |text: &str| TraceContext::parse(text).map(|trace| trace.to_string());
        assert_eq!(parsed(PARENT).as_deref(), Some(PARENT));
        let newer = PARENT.replacen("00", "01", 1) + "-more";
        assert_eq!(parsed(&newer).as_deref(), Some(PARENT));
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
            assert_eq!(parsed(broken), None, "{broken}");
        }
    }

    #[tokio::test]
    async fn calls_made_for_a_call_belong_to_its_trace() {
        let injected = || {
            let mut request = Request::new(());
            inject(&mut request);
            let value = request.metadata().get(TRACEPARENT);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(injected(), None);
        let headers = HeaderMap::from_iter([(HeaderName::from_static(TRACEPARENT), PARENT.parse().unwrap())]);
        let call = TracedCall::start(&headers, "/service/Method", true).unwrap();
        let header = Mutex::default();
        let work = async {
            *header.lock() = injected();
            Ok(Response::new(Body::empty()))
        };
        call.run(work).await.unwrap();
        let child = TraceContext::parse(&header.into_inner().unwrap()).unwrap();
        let parent = TraceContext::parse(PARENT).unwrap();
        assert_eq!((child.trace_id, child.flags), (parent.trace_id, parent.flags));
        assert_ne!(child.span_id, parent.span_id);
    }

    #[test]
    fn no_trace_starts_without_traceparent_and_export() {
        assert!(TracedCall::start(&HeaderMap::new(), "/service/Method", false).is_none());
    }
}
