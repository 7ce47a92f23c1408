//! Logging, and its flags.

mod fields;
mod json;

use std::io;

use clap::{Args, ValueEnum};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::ParseError, fmt, fmt::MakeWriter, layer::SubscriberExt,
    util::SubscriberInitExt,
};

use self::{fields::PrintableFields, json::PrintableJson};

#[cfg(feature = "otlp")]
use super::otlp::{self, Exporter, OtlpArgs};
use crate::serve::trace::EXPORT_TARGET;
use everynode_render::format::supports_colors;

/// The log flags.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// Format of log lines, which go to standard error.
    #[arg(long, env = "EVERYNODE_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Log filter: a level (error, warn, info, debug or trace), or levels by module, such as everynode=debug,warn.
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// The flags for exporting spans.
    #[cfg(feature = "otlp")]
    #[command(flatten)]
    pub otlp: OtlpArgs,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people, with colors on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Returns a layer that writes log lines in this format. They hold only printable characters, plus escape sequences
    /// if `colors` is set.
    fn layer<W>(self, writer: W, colors: bool) -> Box<dyn Layer<Registry> + Send + Sync>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        // By default, the layer reports failed writes on standard error, and panics if that fails too.
        let logs = fmt::layer().log_internal_errors(false);
        match self {
            Self::Text => logs
                .fmt_fields(PrintableFields)
                .with_ansi(colors)
                .with_writer(writer)
                .boxed(),
            Self::Json => logs
                .json()
                .with_ansi(false)
                .with_writer(PrintableJson(writer))
                .boxed(),
        }
    }
}

/// Why logging can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The filter can't be used.
    #[error("--log (or RUST_LOG) {filter:?} can't be used")]
    Filter {
        /// The filter as given.
        filter: String,
        /// The reason why it can't be parsed.
        source: ParseError,
    },
    /// Spans can't be exported.
    #[cfg(feature = "otlp")]
    #[error(transparent)]
    Otlp(#[from] otlp::Error),
}

/// Keeps logging running; hold it as long as the program runs. Dropping it exports the last spans.
#[derive(Debug)]
#[must_use = "spans are exported until it is dropped"]
pub struct Logging {
    #[cfg(feature = "otlp")]
    _exporter: Option<Exporter>,
}

impl LogArgs {
    /// Starts logging to standard error. Call it once. Lines that can't be written, for example because a disk is full,
    /// are lost, and nothing else is affected. Spans are exported under the name `program`.
    ///
    /// # Errors
    /// The flags can't be used.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(
            unused_variables,
            unused_mut,
            reason = "only the export of spans uses the program's name"
        )
    )]
    pub fn start(&self, program: &'static str) -> Result<Logging, StartError> {
        let unusable = |source| StartError::Filter {
            filter: self.log.clone(),
            source,
        };
        // Spans that are only for export don't belong in log lines.
        let hide_exported = format!("{EXPORT_TARGET}=off");
        let filter = EnvFilter::try_new(&self.log)
            .and_then(|filter| Ok(filter.add_directive(hide_exported.parse()?)))
            .map_err(unusable)?;
        let logs = self
            .log_format
            .layer(io::stderr, supports_colors(&io::stderr()))
            .with_filter(filter);
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
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing::{info, info_span, subscriber::with_default};

    use super::*;
    use everynode_render::text::is_printable;

    const HOSTILE: &str =
        "a\u{1b}[2J\u{1b}]0;t\u{7}\r\n2026-01-01 INFO forged\u{9b}31m\u{7f}\u{202e}\u{2028}";

    #[derive(Clone, Default)]
    struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for SharedBuffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs hostile text in every part of a line that can hold text from outside, and returns the line.
    fn logged(format: LogFormat, colors: bool) -> String {
        let written = SharedBuffer::default();
        let writer = written.clone();
        let layer = format.layer(move || writer.clone(), colors);
        with_default(tracing_subscriber::registry().with(layer), || {
            let span = info_span!("session", executor = %HOSTILE, later = tracing::field::Empty);
            span.record("later", HOSTILE);
            let _entered = span.enter();
            let error = io::Error::other(HOSTILE);
            let error: &(dyn std::error::Error + 'static) = &error;
            info!(display = %HOSTILE, debug = ?HOSTILE, text = HOSTILE, error, "message {HOSTILE}");
        });
        let bytes = written.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn assert_is_one_safe_line(text: &str) {
        let line = text.strip_suffix('\n').unwrap();
        assert!(line.chars().all(is_printable), "{line:?}");
    }

    #[test]
    fn escape_sequences_and_line_breaks_in_names_are_escaped_in_one_log_line() {
        let text = logged(LogFormat::Text, false);
        assert_is_one_safe_line(&text);
        let fields = "session{executor=a\\x1b[2J\\x1b]0;t\\x07\\r\\n2026-01-01 INFO forged\\u{9b}31m\\x7f\\u{202e}\\u{2028} later=\"a";
        assert!(text.contains(fields), "{text}");
        assert!(text.contains(" message a\\x1b[2J"), "{text}");
        assert!(text.contains(" error=a\\x1b[2J"), "{text}");
    }

    #[test]
    fn terminal_receives_only_our_own_escape_sequences() {
        let text = logged(LogFormat::Text, true);
        assert!(
            text.contains("\u{1b}[3mexecutor\u{1b}[0m\u{1b}[2m=\u{1b}[0ma\\x1b[2J"),
            "{text:?}"
        );
        let mut plain = text;
        for code in [0, 1, 2, 3, 32] {
            plain = plain.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_is_one_safe_line(&plain);
    }

    #[test]
    fn json_lines_hold_only_printable_characters_and_keep_their_values() {
        let text = logged(LogFormat::Json, false);
        assert_is_one_safe_line(&text);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["span"]["executor"], HOSTILE);
        assert_eq!(line["fields"]["message"], format!("message {HOSTILE}"));
    }

    #[test]
    fn error_names_the_invalid_filter_and_its_flag() {
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
