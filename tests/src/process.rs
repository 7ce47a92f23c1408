//! Runs programs to completion.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a command to completion. Blocks the thread. The error holds everything that the command printed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    let parts: Vec<_> = parts.map(|part| part.to_string_lossy().into_owned()).collect();
    let line = parts.join(" ");
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{line}`"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    bail!(
        "`{line}` failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&printed).trim()
    )
}
