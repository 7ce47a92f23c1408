//! Log lines, and the flags for them.

use std::io;

use clap::{Args, ValueEnum};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::ParseError, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

#[cfg(feature = "otlp")]
use super::otlp::{self, Exporter, OtlpArgs};
use crate::serve::trace::EXPORTED;

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// How log lines are written.
    #[arg(long, env = "EVERYNODE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged, such as info, debug or everynode=debug,warn.
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// Where spans go.
    #[cfg(feature = "otlp")]
    #[command(flatten)]
    pub otlp: OtlpArgs,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The filter can't be used.
    #[error("--log (or RUST_LOG) {filter:?} can't be used: {reason}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        reason: ParseError,
    },
    /// Spans can't be exported.
    #[cfg(feature = "otlp")]
    #[error(transparent)]
    Otlp(#[from] otlp::Error),
}

/// What logs need for as long as the program runs. Where spans are exported, the last of them go out when this is dropped.
#[derive(Debug)]
#[must_use = "spans are exported until it is dropped"]
pub struct Logging {
    #[cfg(feature = "otlp")]
    _exporter: Option<Exporter>,
}

impl LogArgs {
    /// Has everything logged to standard error from now on. To be called once. Lines that can't be written, as when a disk is full, are
    /// lost, and nothing else is. Spans go where the flags say, in the name of `program`.
    ///
    /// # Errors
    /// The flags can't be used.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(
            unused_variables,
            unused_mut,
            reason = "log lines name no program, and are all there is"
        )
    )]
    pub fn start(&self, program: &'static str) -> Result<Logging, StartError> {
        let unusable = |reason| StartError::Filter {
            filter: self.log.clone(),
            reason,
        };
        // Whoever is shown log lines has no use for spans that are there to be exported.
        let unseen = format!("{EXPORTED}=off");
        let filter = EnvFilter::try_new(&self.log)
            .and_then(|filter| Ok(filter.add_directive(unseen.parse()?)))
            .map_err(unusable)?;
        let logs = fmt::layer()
            .with_writer(io::stderr)
            // It would say so on standard error, and panic where that is just what can't be written to.
            .log_internal_errors(false);
        let logs = match self.log_format {
            LogFormat::Text => logs.boxed(),
            LogFormat::Json => logs.json().boxed(),
        };
        let logs = logs.with_filter(filter);
        let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![logs.boxed()];
        #[cfg(feature = "otlp")]
        let exporter = self.otlp.exporter(program)?;
        #[cfg(feature = "otlp")]
        layers.extend(exporter.as_ref().map(Exporter::layer));
        tracing_subscriber::registry().with(layers).init();
        Ok(Logging {
            #[cfg(feature = "otlp")]
            _exporter: exporter,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cant_be_used_is_named_with_its_flag() {
        let args = LogArgs {
            log_format: LogFormat::Text,
            log: "info,=".to_owned(),
            #[cfg(feature = "otlp")]
            otlp: OtlpArgs::default(),
        };
        let error = args.start("program").unwrap_err().to_string();
        assert!(error.contains("--log") && error.contains("\"info,=\""), "{error}");
    }
}
