//! What both programs are, whatever they do: flags, logs, and how they end.
//!
//! - [`parse`], [`say`], [`complain`], [`stop_signal`]: the beginning and the end.
//! - [`admin`]: serves an admin port.
//! - [`logs`]: log lines, and the flags for them.
//! - [`metrics`]: what Prometheus is told, and how.
//! - `otlp`: where spans go; only with the feature of that name.
//! - [`tls`]: the flags for certificates.

pub mod admin;
pub mod logs;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod tls;

use std::io::{self, Write as _};

use clap::{Parser, builder::Styles, error::ContextValue};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    answers::exit,
    text::{printable, printable_lines},
};

/// Reads the command line. When it can't be used, or only asks for help, that is printed.
///
/// # Errors
/// The program has to end, with this exit code.
pub fn parse<P: Parser>() -> Result<P, u8> {
    P::try_parse().map_err(|error| {
        // Where there is no terminal to print to, the exit code still tells.
        let _ = print_safely::<P>(&error);
        if error.use_stderr() { exit::USAGE } else { 0 }
    })
}

/// Prints what clap has to say, in its colours. It repeats arguments and variables of the environment as they are; where
/// one holds what isn't printable, that is escaped, and there are no colours.
fn print_safely<P: Parser>(error: &clap::Error) -> io::Result<()> {
    // Without clap's own styles, every escape sequence is from elsewhere.
    let plain = P::command().styles(Styles::plain()).try_get_matches();
    let Some(mut plain) = plain.err() else {
        return io::stderr().write_all(printable_lines(&error.render().to_string()).as_bytes());
    };
    let unsafe_text = plain.render().ansi().to_string();
    // Line breaks of an argument are not clap's.
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

/// Tells people something beside the answer, in one line on standard error. It is seen whatever is logged.
pub fn say(program: &str, message: &str) {
    // Where nobody can be told, there is nothing else to do.
    let _ = writeln!(io::stderr(), "{program}: {}", printable(message));
}

/// Says why the program ends, and returns the exit code to end with.
pub fn complain(program: &str, code: u8, message: &str) -> u8 {
    say(program, message);
    code
}

/// Listens from now on for being told to stop, by SIGTERM or SIGINT, and waits for it. To be called before anybody can take the
/// program for one that runs: until then, it would end at once.
///
/// # Errors
/// Signals can't be listened for.
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
