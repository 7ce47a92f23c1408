//! Installs Python packages with the commands that the documentation shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{cache, compile};
use crate::process;

/// The name of the environments' folders in the cache, without the hash.
const NAME: &str = "python";
/// A script that identifies the installed Python. An environment works only with the Python that it was made for.
const WHICH: &str = "import sys; print(sys.version, sys.base_prefix)";
/// What to do if Python is missing.
const REMEDY: &str = "install Python 3.10 or newer, with pip and venv (Debian: python3 and python3-venv)";

/// The folder in which the commands ran. It also holds a copy of `requirements`.
pub(super) fn ensure(cache: &Path, requirements: &Path, commands: &[String]) -> Result<PathBuf> {
    let wanted = fs::read(requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let mut parts = vec![which()?, wanted];
    parts.extend(commands.iter().map(|command| command.clone().into_bytes()));
    cache::kept(cache, NAME, &cache::hash_of(&parts), |target| {
        compile::print_message("Installing Python packages for the client in Python.");
        let copy = target.join(requirements.file_name().unwrap_or_default());
        fs::copy(requirements, &copy).with_context(|| format!("making {}", copy.display()))?;
        for command in commands {
            run(command, target)?;
        }
        Ok(())
    })
}

fn which() -> Result<Vec<u8>> {
    let python = Command::new("python3")
        .args(["-c", WHICH])
        .stdin(Stdio::null())
        .output();
    match python {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => bail!(
            "`python3` failed: {}; {REMEDY}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => {
            bail!("can't start `python3`, which the tests of the Python client need: {error}; {REMEDY}")
        }
    }
}

fn run(command: &str, folder: &Path) -> Result<()> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(folder)
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    process::run(&mut shell)
        .with_context(|| format!("can't install the Python packages; fix the cause below, or {REMEDY}"))
}
