//! Debian's packages: installs them, or unpacks a program from one. apt checks every package against Debian's signed
//! index.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process::run;

/// The options of every apt-get call. With them, apt-get fails soon if a mirror doesn't answer.
const OPTIONS: [&str; 4] = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=30"];

/// Whether this is Debian, or derived from it.
pub(crate) fn is_here() -> bool {
    Path::new("/etc/debian_version").exists()
}

/// Installs packages. Blocks the thread.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let here = Path::new(".");
    apt_get(here, &["update"])?;
    let arguments = ["install", "--yes", "--no-install-recommends"];
    apt_get(here, &[&arguments[..], packages].concat())
}

/// Unpacks a package into a folder, without installing it. Blocks the thread.
pub(crate) fn unpack(package: &str, folder: &Path) -> Result<()> {
    ensure!(is_here(), "this isn't Debian");
    // Without an index, or with an old one, apt doesn't find the package. Only root can update the index.
    if let Err(error) = apt_get(folder, &["download", package]) {
        apt_get(folder, &["update"]).with_context(|| format!("{error:#}"))?;
        apt_get(folder, &["download", package])?;
    }
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let archive = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| {
            format!(
                "`apt-get download {package}` left no package in {}",
                folder.display()
            )
        })?;
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.arg("--extract").arg(&archive).arg(folder);
    run(&mut dpkg)?;
    fs::remove_file(&archive).with_context(|| format!("removing {}", archive.display()))
}

fn apt_get(folder: &Path, args: &[&str]) -> Result<()> {
    let mut apt_get = Command::new("apt-get");
    apt_get
        .args(OPTIONS)
        .args(args)
        .current_dir(folder)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Keeps a package from starting its own service, which would change the machine beyond installing files.
        .env("RUNLEVEL", "1");
    run(&mut apt_get)
}
