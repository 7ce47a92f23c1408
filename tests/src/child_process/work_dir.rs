//! Temporary folders that can't outlive this process either.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// A folder for the files of running processes. It is removed when the processes and this one are gone.
///
/// It isn't a `TempDir`, because the code that removes a `TempDir` doesn't run when this process is killed, and a test
/// binary never drops the values in its statics. Instead, a separate shell waits on a pipe until this value is dropped
/// or this process is gone. Then it waits, for at most 30 seconds, until the processes whose ids are in the folder have
/// ended, and removes the folder. `EVERYNODE_KEEP_FILES=1` keeps the folders, so that the logs can be read.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    _hold: Option<ChildStdin>,
}

const JANITOR: &str = r#"
read -r _
tries=300
for file in "$1"/*.pid; do
    while [ -e "$file" ] && [ "$tries" -gt 0 ] && kill -0 "$(cat "$file")" 2>/dev/null; do
        sleep 0.1
        tries=$((tries - 1))
    done
done
rm -rf "$1"
"#;

impl Home {
    /// Creates a new, empty folder whose name starts with `everynode-` and `purpose`.
    ///
    /// # Errors
    /// When the folder can't be created, or the shell that removes it later can't be started.
    pub fn new(purpose: &str) -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix(&format!("everynode-{purpose}-"))
            .tempdir()
            .context("making a temporary folder")?
            .keep();
        if std::env::var_os("EVERYNODE_KEEP_FILES").is_some_and(|keep| keep != "0" && !keep.is_empty()) {
            return Ok(Self { path, _hold: None });
        }
        let mut janitor = Command::new("sh")
            .args(["-c", JANITOR, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting a shell to remove the temporary folder in the end")?;
        Ok(Self {
            path,
            _hold: janitor.stdin.take(),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder. The file need not exist.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file into the folder and returns its path.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let file = self.file(name);
        fs::write(&file, content).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }

    /// Creates the log file `name`.log for a process to append to, and returns its path. An existing log is kept.
    ///
    /// # Errors
    /// When the file can't be created.
    pub fn log(&self, name: &str) -> Result<PathBuf> {
        let file = self.file(&format!("{name}.log"));
        File::options()
            .create(true)
            .append(true)
            .open(&file)
            .with_context(|| format!("making {}", file.display()))?;
        Ok(file)
    }
}
