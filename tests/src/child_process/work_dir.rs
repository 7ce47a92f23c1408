//! Temporary folders that don't outlive this process.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// A folder for the files of running processes. It is removed after this value is dropped or this process ends, once
/// those processes have ended.
///
/// It isn't a `TempDir`, because the code that removes a `TempDir` doesn't run when this process is killed, and a test
/// binary never drops the values in its statics. Instead, a separate shell waits on a pipe until this value is dropped
/// or this process has ended. Then it waits, for at most 30 seconds, until the processes whose ids are in the folder
/// have ended, and removes the folder. `EVERYNODE_KEEP_FILES=1` keeps the folders, so that the logs can be read.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    _stop_pipe: Option<ChildStdin>,
}

/// The script of the shell: `sh -c CLEANUP sh FOLDER`.
const CLEANUP: &str = r#"
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

impl WorkDir {
    /// Creates a new, empty folder whose name starts with `everynode-` and `purpose`.
    ///
    /// # Errors
    /// When the folder can't be created, or the shell that removes it later can't be started.
    pub fn new(purpose: &str) -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix(&format!("everynode-{purpose}-"))
            .tempdir()
            .context("creating a temporary folder")?
            .keep();
        if std::env::var_os("EVERYNODE_KEEP_FILES").is_some_and(|keep| keep != "0" && !keep.is_empty()) {
            return Ok(Self {
                path,
                _stop_pipe: None,
            });
        }
        let mut shell = Command::new("sh")
            .args(["-c", CLEANUP, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the shell that removes the temporary folder")?;
        Ok(Self {
            path,
            _stop_pipe: shell.stdin.take(),
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
            .with_context(|| format!("creating {}", file.display()))?;
        Ok(file)
    }
}
