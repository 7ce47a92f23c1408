//! Builds the programs under test, with the cargo that runs the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The cargo profile with which the programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The profile of `cargo build`, for tests.
    Dev,
    /// The profile of `cargo build --release`, for measurements.
    Release,
}

/// The paths of the programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `everynode-planner`.
    pub planner: PathBuf,
    /// `everynode-executor`.
    pub executor: PathBuf,
    /// `kubectl-everynode`.
    pub plugin: PathBuf,
}

/// The part of a line of `cargo build --message-format=json` that is used here.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

impl Programs {
    /// Builds the programs, once per process and profile, and returns their paths.
    ///
    /// # Errors
    /// When the build fails. Cargo's own messages are on standard error.
    pub fn build(profile: Profile) -> Result<Self> {
        static BUILT: Mutex<Vec<(Profile, Programs)>> = Mutex::new(Vec::new());
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, programs)) = built.iter().find(|(known, _)| *known == profile) {
            return Ok(programs.clone());
        }
        let programs = Self::compile(profile)?;
        built.push((profile, programs.clone()));
        Ok(programs)
    }

    /// Like [`Programs::build`], but doesn't block the runtime.
    ///
    /// # Errors
    /// As [`Programs::build`].
    pub async fn built(profile: Profile) -> Result<Self> {
        tokio::task::spawn_blocking(move || Self::build(profile))
            .await
            .context("building the programs")?
    }

    fn compile(profile: Profile) -> Result<Self> {
        // Build the whole workspace. For a part of it, cargo would recompile shared dependencies.
        let mut args = vec!["--workspace", "--bins"];
        if profile == Profile::Release {
            args.push("--release");
        }
        Self::built_with(&args)
    }

    /// Builds the programs for container images, linked statically against musl. Uses the `dev` profile, because an
    /// optimized build takes minutes longer. Blocks the thread, the first time for some minutes.
    ///
    /// # Errors
    /// When the target isn't installed, or the build fails. Cargo's own messages are on standard error then.
    pub fn build_static() -> Result<Self> {
        let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        let mut args = vec!["--target", &target];
        args.extend([
            "--package",
            "everynode-planner",
            "--package",
            "everynode-executor",
            "--package",
            "kubectl-everynode",
            "--bins",
        ]);
        Self::built_with(&args).with_context(|| {
            format!("building the programs of the images; `rustup target add {target}` installs their target")
        })
    }

    fn built_with(args: &[&str]) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&cargo);
        command
            .arg("build")
            .args(args)
            .arg("--message-format=json-render-diagnostics")
            .current_dir(workspace())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        // Cargo sets these variables for the programs that it runs. The inner cargo would take them for changed
        // settings and recompile crates that read them.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        let output = command
            .output()
            .with_context(|| format!("starting {}", cargo.display()))?;
        ensure!(
            output.status.success(),
            "`cargo build` of the planner, the executor and the plugin failed"
        );
        let executables: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
            .collect();
        let find = |name: &str| {
            let found = executables
                .iter()
                .find(|path| path.file_stem().is_some_and(|stem| stem == name));
            found
                .cloned()
                .with_context(|| format!("cargo built no program called {name}"))
        };
        Ok(Self {
            planner: find("everynode-planner")?,
            executor: find("everynode-executor")?,
            plugin: find("kubectl-everynode")?,
        })
    }
}

/// The root of the workspace. Paths that people see are relative to it.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}
