//! Where spans go: by OTLP over gRPC to whatever collects them.
//!
//! What is exported are the spans of the target [`EXPORTED`]. They wait for their way out in a queue, and go on threads of
//! their own, so that a collector that is slow or gone holds up nothing: what finds the queue full is dropped, and what can't
//! be sent after some tries too.

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

use crate::serve::trace::EXPORTED;

/// How long a collector may take to accept spans.
const EXPORT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a program that ends waits for the last spans to go out.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);
/// That spans can't be exported is said at most this often.
const SILENCE: Duration = Duration::from_mins(5);

/// Where spans go.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::doc_markdown, reason = "the comments are what --help prints")]
pub struct OtlpArgs {
    /// Where spans are exported to by OTLP over gRPC, such as http://collector:4317; an https:// one is trusted by the
    /// authorities that the system trusts. Without it none are exported.
    #[arg(long, env = "EVERYNODE_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

/// Spans can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address isn't one.
    #[error("--otlp-endpoint {url:?} can't be used: it must be like http://HOST:PORT or https://HOST:PORT")]
    Url {
        /// What was given.
        url: String,
    },
    /// No connection can be made to such an address.
    #[error("--otlp-endpoint {url:?} can't be used: {error}")]
    Build {
        /// The address.
        url: String,
        /// What is wrong with it.
        error: ExporterBuildError,
    },
    /// There can be no thread for it.
    #[error("spans can't be exported: {0}")]
    Thread(#[from] io::Error),
}

impl OtlpArgs {
    /// What exports spans in the name of a program, if they are to be.
    ///
    /// # Errors
    /// The flag can't be used.
    pub(super) fn exporter(&self, program: &'static str) -> Result<Option<Exporter>, Error> {
        let url = self.otlp_endpoint.as_deref();
        url.map(|url| Exporter::new(url, program)).transpose()
    }
}

/// Exports spans. What waits is sent when it is dropped, as far as that takes two seconds.
pub(super) struct Exporter {
    provider: SdkTracerProvider,
    program: &'static str,
    /// What the connection lives on. The program's own may have one thread, which waits when the last spans are sent.
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
        let inside = runtime.enter();
        let mut builder = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(url)
            .with_timeout(EXPORT_DEADLINE);
        if is_secure {
            builder = builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
        }
        let exporter = builder.build().map_err(|error| Error::Build {
            url: url.to_owned(),
            error,
        })?;
        let resource = Resource::builder()
            .with_service_name(program)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Complaining::new(exporter, url))
            .with_resource(resource)
            .build();
        drop(inside);
        Ok(Self {
            provider,
            program,
            runtime: Some(runtime),
        })
    }

    /// What hands spans over to be exported.
    pub(super) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(self.program))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(EXPORTED, Level::INFO))
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
            warn!("not all spans could be exported before the program ended");
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Says now and then that spans can't be exported, and otherwise exports them.
#[derive(Debug)]
struct Complaining<E> {
    exporter: E,
    url: String,
    said: Mutex<Option<Instant>>,
}

impl<E> Complaining<E> {
    fn new(exporter: E, url: &str) -> Self {
        Self {
            exporter,
            url: url.to_owned(),
            said: Mutex::default(),
        }
    }

    fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut said = self.said.lock();
        let is_due = said.is_none_or(|said| now.duration_since(said) >= SILENCE);
        if is_due {
            *said = Some(now);
        }
        is_due
    }
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter for Complaining<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        if let Err(error) = &exported
            && self.is_due()
        {
            warn!(
                endpoint = self.url,
                spans, %error, "spans could not be exported; nothing else is affected"
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
