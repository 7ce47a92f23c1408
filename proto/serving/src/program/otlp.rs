//! Exports spans to a collector by OTLP over gRPC.
//!
//! Only spans with the target [`EXPORT_TARGET`] are exported. They wait in a queue and are sent by separate threads,
//! so a slow or missing collector blocks nothing. A span is dropped when the queue is full or when several attempts to
//! send it have failed.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use clap::Args;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig,
    tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData},
};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tracing::{Level, warn};
use tracing_subscriber::{Layer, Registry, filter::Targets};

use crate::serve::trace::EXPORT_TARGET;

/// How long a collector may take to accept a batch of spans.
const EXPORT_DEADLINE: Duration = Duration::from_secs(10);
/// How long an exiting program waits for the last spans to be sent.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);
/// Minimum time between two warnings that spans can't be exported.
const WARN_INTERVAL: Duration = Duration::from_mins(5);

/// The flags for exporting spans.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tracing")]
#[expect(clippy::doc_markdown, reason = "the comments are what --help prints")]
pub struct OtlpArgs {
    /// URL of the collector to which spans are exported, by OTLP over gRPC, such as http://collector:4317. With
    /// https://, the collector's certificate must come from an authority that the system trusts. By default, no spans
    /// are exported.
    #[arg(long, env = "EVERYNODE_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

/// Why spans can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address isn't a valid http or https URL.
    #[error(
        "--otlp-endpoint {url:?} can't be used: it must have the form http://HOST:PORT or https://HOST:PORT"
    )]
    Url {
        /// The address as given.
        url: String,
    },
    /// No exporter can be built for this address.
    #[error("--otlp-endpoint {url:?} can't be used")]
    Build {
        /// The address.
        url: String,
        /// The cause.
        source: ExporterBuildError,
    },
    /// The exporter's thread can't be started.
    #[error("starting the span exporter failed")]
    Thread(#[from] io::Error),
}

impl OtlpArgs {
    /// The span exporter of the named program; `None` if no endpoint is set.
    ///
    /// # Errors
    /// The flag's value can't be used.
    pub(super) fn exporter(&self, program: &'static str) -> Result<Option<Exporter>, Error> {
        let url = self.otlp_endpoint.as_deref();
        url.map(|url| Exporter::new(url, program)).transpose()
    }
}

/// Exports spans. Dropping it sends the queued spans, for at most two seconds.
pub(super) struct Exporter {
    provider: SdkTracerProvider,
    program: &'static str,
    /// The runtime of the connection to the collector. The program's own runtime may have a single thread, and that
    /// thread blocks while the last spans are sent.
    runtime: Option<Runtime>,
}

impl Exporter {
    fn new(url: &str, program: &'static str) -> Result<Self, Error> {
        let uri = url.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
        let is_secure = match uri.as_ref().and_then(http::Uri::scheme_str) {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Error::Url { url: url.to_owned() }),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let mut builder = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(url)
            .with_timeout(EXPORT_DEADLINE);
        if is_secure {
            builder = builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
        }
        let exporter = builder.build().map_err(|source| Error::Build {
            url: url.to_owned(),
            source,
        })?;
        let resource = Resource::builder()
            .with_service_name(program)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(WarningExporter::new(exporter, url))
            .with_resource(resource)
            .build();
        drop(entered);
        Ok(Self {
            provider,
            program,
            runtime: Some(runtime),
        })
    }

    /// The layer that passes spans to the exporter.
    pub(super) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(self.program))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(EXPORT_TARGET, Level::INFO))
            .boxed()
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exporter").finish_non_exhaustive()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if self.provider.shutdown_with_timeout(FLUSH_DEADLINE).is_err() {
            warn!("some spans were not exported before the program ended");
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Exports spans. While exports fail, logs a warning at most once per [`WARN_INTERVAL`].
#[derive(Debug)]
struct WarningExporter<E> {
    exporter: E,
    url: String,
    last_warning: Mutex<Option<Instant>>,
}

impl<E> WarningExporter<E> {
    fn new(exporter: E, url: &str) -> Self {
        Self {
            exporter,
            url: url.to_owned(),
            last_warning: Mutex::default(),
        }
    }

    /// Whether a warning is due. If so, the next one is due after [`WARN_INTERVAL`].
    fn should_warn(&self) -> bool {
        let now = Instant::now();
        let mut last_warning = self.last_warning.lock();
        let is_due = last_warning.is_none_or(|last| now.duration_since(last) >= WARN_INTERVAL);
        if is_due {
            *last_warning = Some(now);
        }
        is_due
    }
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter
    for WarningExporter<E>
{
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        if let Err(error) = &exported
            && self.should_warn()
        {
            warn!(
                endpoint = self.url,
                spans, %error, "exporting spans failed; the spans are lost"
            );
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
