//! Log lines, and the flags for them.

use std::io;

use clap::{Args, ValueEnum};
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// How log lines are written.
    #[arg(long, env = "EVERYNODE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged, such as info, debug or everynode=debug,warn.
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The filter can't be used.
#[derive(Debug, thiserror::Error)]
#[error("--log (or RUST_LOG) {filter:?} can't be used: {reason}")]
pub struct FilterError {
    filter: String,
    reason: ParseError,
}

impl LogArgs {
    /// Has everything logged to standard error from now on. To be called once. Lines that can't be written, as when a disk is full, are
    /// lost, and nothing else is.
    ///
    /// # Errors
    /// The filter can't be used.
    pub fn start(&self) -> Result<(), FilterError> {
        let filter = EnvFilter::try_new(&self.log).map_err(|reason| FilterError {
            filter: self.log.clone(),
            reason,
        })?;
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            // It would say so on standard error, and panic where that is just what can't be written to.
            .log_internal_errors(false);
        match self.log_format {
            LogFormat::Text => logs.init(),
            LogFormat::Json => logs.json().init(),
        }
        Ok(())
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
        };
        let error = args.start().unwrap_err().to_string();
        assert!(error.contains("--log") && error.contains("\"info,=\""), "{error}");
    }
}
