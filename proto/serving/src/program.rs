//! Program parts that both programs share: flags, logs, metrics, the admin port, and exit.
//!
//! - [`parse`], [`print_message`], [`fail`], [`stop_signal`], [`drain`]: startup and exit.
//! - [`exit`]: the exit codes; [`duration`]: durations on the command line; [`glob`]: names with wildcards.
//! - [`answer`]: the flags of commands that print an answer.
//! - [`admin`]: serves an admin port.
//! - [`logs`]: logging, and its flags.
//! - [`metrics`]: shared Prometheus metrics, and the text format.
//! - `otlp`: exports spans; only with the feature `otlp`.
//! - [`tls`]: the flags for certificates.

pub mod admin;
pub mod answer;
pub mod duration;
pub mod exit;
pub mod glob;
pub mod logs;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod tls;

use std::{
    io::{self, Write as _},
    time::Duration,
};

use clap::{Parser, builder::Styles, error::ContextValue};
use everynode_render::text::{printable, printable_lines};
use tokio::signal::unix::{SignalKind, signal};

use crate::program::exit::Exit;

/// How long calls in progress may take to finish during shutdown.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Parses the command line. If it is invalid, or asks for help or the version, prints the message.
///
/// # Errors
/// The exit of the program, if it must end.
pub fn parse<P: Parser>() -> Result<P, Exit> {
    P::try_parse().map_err(|error| {
        // When printing fails, the exit code still reports the result.
        let _ = print_safely::<P>(&error);
        if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Success
        }
    })
}

/// Prints clap's message in its colors. The message quotes arguments and environment variables unchanged. If one of
/// them holds characters that aren't printable, they are escaped, and the message has no colors.
fn print_safely<P: Parser>(error: &clap::Error) -> io::Result<()> {
    // Without clap's styles, every escape sequence comes from an argument or a variable.
    let plain = P::command().styles(Styles::plain()).try_get_matches();
    let Some(mut plain) = plain.err() else {
        return io::stderr().write_all(printable_lines(&error.render().to_string()).as_bytes());
    };
    let unsafe_text = plain.render().ansi().to_string();
    // Line breaks in an argument are not clap's own, so they are escaped too.
    let quoted: Vec<_> = plain
        .context()
        .filter_map(|(kind, value)| Some((kind, printable_value(value)?)))
        .collect();
    for (kind, value) in quoted {
        plain.insert(kind, value);
    }
    let text = plain.render().ansi().to_string();
    let text = printable_lines(&text);
    if text == unsafe_text {
        error.print()
    } else if error.use_stderr() {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    }
}

fn printable_value(value: &ContextValue) -> Option<ContextValue> {
    let shown = |text: &String| printable(text).into_owned();
    match value {
        ContextValue::String(text) => Some(ContextValue::String(shown(text))),
        ContextValue::Strings(texts) => Some(ContextValue::Strings(texts.iter().map(shown).collect())),
        _ => None,
    }
}

/// Prints a message in one line on standard error. It doesn't depend on the log filter.
pub fn print_message(program: &str, message: &str) {
    // If writing to standard error fails, nothing else can be done.
    let _ = writeln!(io::stderr(), "{program}: {}", printable(message));
}

/// Prints why the program ends, and returns its exit.
pub fn fail(program: &str, exit: Exit, message: &str) -> Exit {
    print_message(program, message);
    exit
}

/// Installs handlers for SIGTERM and SIGINT. Returns a future that completes when one of them arrives. Call this before
/// the program reports that it runs, because a signal that arrives before this call ends the program at once.
///
/// # Errors
/// The signal handlers can't be installed.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Waits as long as calls in progress may take to finish during shutdown. Then logs that the remaining calls are
/// aborted.
pub async fn drain() {
    tokio::time::sleep(DRAIN_DEADLINE).await;
    tracing::warn!(
        deadline_seconds = DRAIN_DEADLINE.as_secs(),
        "drain deadline passed; aborting calls in progress"
    );
}
