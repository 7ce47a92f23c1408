//! Runs kubectl as a person would.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::programs::workspace;

/// A kubectl that talks to one cluster and ignores the user's own configuration.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
    namespace: Option<String>,
    plugins: Option<PathBuf>,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf, cache: PathBuf) -> Self {
        Self {
            program,
            kubeconfig,
            cache,
            namespace: None,
            plugins: None,
        }
    }

    /// Returns the same kubectl, with `namespace` as the default namespace instead of `default`.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..self.clone()
        }
    }

    /// Returns the same kubectl, which also finds plugins in `folder`.
    #[must_use]
    pub fn with_plugins(&self, folder: &Path) -> Self {
        Self {
            plugins: Some(folder.to_owned()),
            ..self.clone()
        }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs kubectl in the root of the workspace and returns its standard output.
    ///
    /// # Errors
    /// When kubectl can't be started or fails. The error holds the command line and kubectl's standard error.
    pub async fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<String> {
        self.run_with_input(args, "").await
    }

    /// Like [`Kubectl::run`], but passes each line to `each` as soon as kubectl prints it. Meant for commands that
    /// watch something.
    ///
    /// # Errors
    /// As [`Kubectl::run`].
    pub async fn follow<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        mut each: impl FnMut(&str),
    ) -> Result<()> {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let mut child = self.spawn(&args)?;
        drop(child.stdin.take());
        if let Some(stdout) = child.stdout.take() {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await.context("reading kubectl's output")? {
                each(&line);
            }
        }
        wait_output(&args, child).await?;
        Ok(())
    }

    /// Like [`Kubectl::run`], with `input` as kubectl's standard input.
    ///
    /// # Errors
    /// As [`Kubectl::run`].
    pub async fn run_with_input<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Result<String> {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let mut child = self.spawn(&args)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that doesn't read its input may exit before the input is written. Its exit status shows
            // whether it succeeded.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        wait_output(&args, child).await
    }

    fn spawn(&self, args: &[OsString]) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(
                self.namespace
                    .iter()
                    .flat_map(|namespace| ["--namespace", namespace]),
            )
            .args(args)
            .current_dir(workspace())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", &self.cache)
            .env("KUBERC", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(plugins) = &self.plugins {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(plugins.clone()).chain(std::env::split_paths(&path));
            command
                .env(
                    "PATH",
                    std::env::join_paths(folders).context("building PATH with the folder of plugins")?,
                )
                .env("KUBECTL_PATH", &self.program);
        }
        command
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))
    }
}

async fn wait_output(args: &[OsString], child: Child) -> Result<String> {
    let output = child.wait_with_output().await.context("waiting for kubectl")?;
    if !output.status.success() {
        let line: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        bail!(
            "`kubectl {}` failed ({}): {}",
            line.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
