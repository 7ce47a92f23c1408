//! What both programs are, whatever they do: flags, logs, and how they end.
//!
//! - [`parse`], [`complain`], [`stop_signal`]: the beginning and the end.
//! - [`logs`]: log lines, and the flags for them.
//! - [`metrics`]: what Prometheus is told, and how.
//! - `otlp`: where spans go; only with the feature of that name.
//! - [`tls`]: the flags for certificates.

pub mod logs;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod tls;

use std::io;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::answers::exit;

/// Reads the command line. When it can't be used, or only asks for help, that is printed.
///
/// # Errors
/// The program has to end, with this exit code.
pub fn parse<P: Parser>() -> Result<P, u8> {
    P::try_parse().map_err(|error| {
        // Where there is no terminal to print to, the exit code still tells.
        let _ = error.print();
        if error.use_stderr() { exit::USAGE } else { 0 }
    })
}

/// Says why the program ends, and returns the exit code to end with. It is seen whatever is logged.
pub fn complain(program: &str, code: u8, message: &str) -> u8 {
    use io::Write as _;

    // Where nobody can be told, the exit code still tells.
    let _ = writeln!(io::stderr(), "{program}: {message}");
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
