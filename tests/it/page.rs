//! Runs the commands on documentation pages. A block with the tag `sh` holds commands after `$ `, each followed by its
//! output.
//!
//! A command continues on the next line after a `\`. After `<<EOF`, it continues up to the line `EOF`. A command that
//! ends in ` &` is a watch: it keeps running while the commands below it run, and the JSON below those commands is the
//! watch's output. The test waits for as many messages as the page shows. To add a watch to a page, write one `{}` for
//! each message that it should print.
//!
//! With `EVERYNODE_BLESS=1`, the test rewrites outdated output. It keeps output that differs only in what varies from
//! run to run (see [`same`]).

mod answer;
mod parse;
mod watch;

use std::ffi::OsString;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use everynode_tests::programs::workspace;
use tokio::process::Command;
use tokio::time::timeout;

use self::answer::{Part, parts, same};
use self::parse::{Block, blocks};
use self::watch::Watch;

/// When set, the test rewrites the output on the page instead of comparing it.
const BLESS: &str = "EVERYNODE_BLESS";
/// How long a command may take. One of them compiles with Go.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(5);

/// The environment in which a page's commands run.
#[derive(Debug, Default)]
pub(crate) struct Shell {
    folder: PathBuf,
    variables: Vec<(String, OsString)>,
    programs: Vec<PathBuf>,
    /// Each server's address on the page, and its actual address.
    servers: Vec<(&'static str, String)>,
}

impl Shell {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a folder of programs to the PATH.
    pub(crate) fn programs(mut self, folder: &Path) -> Self {
        self.programs.push(folder.to_owned());
        self
    }

    /// Maps a server's address on the page to its actual address.
    pub(crate) fn server(mut self, name: &'static str, address: String) -> Self {
        self.servers.push((name, address));
        self
    }

    /// A command as a process, ready to be started.
    fn command(&self, command: &str) -> Command {
        let line = self
            .servers
            .iter()
            .fold(command.to_owned(), |line, (name, address)| {
                line.replace(name, address)
            });
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.programs.iter().cloned().chain(std::env::split_paths(&path));
        // Some commands compile, beside tests that need their control plane to be quick.
        let mut shell = Command::new("nice");
        shell
            .args(["-n", "10", "sh", "-c", &line])
            .current_dir(&self.folder)
            .env("PATH", std::env::join_paths(folders).unwrap())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        shell
    }

    /// Runs a command to its end. Returns whether it succeeded, and its output; stderr is included only when it fails.
    pub(crate) async fn run(&self, command: &str) -> (bool, String) {
        let output = timeout(COMMAND_TIMEOUT, self.command(command).output()).await;
        let output = output
            .unwrap_or_else(|_| panic!("`{command}` doesn't end before the timeout"))
            .unwrap();
        let mut printed = output.stdout;
        if !output.status.success() {
            printed.extend(output.stderr);
        }
        (
            output.status.success(),
            self.with_documented_addresses(&String::from_utf8(printed).unwrap()),
        )
    }

    /// Replaces the servers' actual addresses in the output with those on the page.
    fn with_documented_addresses(&self, printed: &str) -> String {
        let text = self
            .servers
            .iter()
            .fold(printed.to_owned(), |text, (name, address)| {
                text.replace(address, name)
            });
        text.trim_end().to_owned()
    }
}

/// A page of the documentation.
#[derive(Debug)]
pub(crate) struct Page {
    path: PathBuf,
    lines: Vec<String>,
    blocks: Vec<Block>,
}

impl Page {
    /// Reads a page by its path in the workspace.
    pub(crate) fn read(path: &str) -> Self {
        let path = workspace().join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let blocks = blocks(&lines);
        assert!(!blocks.is_empty(), "{} has no commands", path.display());
        Self { path, lines, blocks }
    }

    /// The commands of each block.
    pub(crate) fn commands(&self) -> Vec<Vec<String>> {
        let commands_of = |block: &Block| block.steps.iter().map(|step| step.command.clone()).collect();
        self.blocks.iter().map(commands_of).collect()
    }

    /// Runs some of the blocks (`..` for all) and compares their output with the page.
    pub(crate) async fn check(mut self, shell: &Shell, which: impl RangeBounds<usize>) {
        let mut differences = Vec::new();
        let mut answers = Vec::new();
        let blocks = self.blocks.iter().enumerate();
        for (_, block) in blocks.filter(|(number, _)| which.contains(number)) {
            let mut watch: Option<Watch> = None;
            for step in &block.steps {
                let shown = self.lines[step.answer.clone()].join("\n");
                let mut found = String::new();
                match step.command.strip_suffix(" &") {
                    // `exec` replaces the shell with the command. Otherwise the command would outlive the watch.
                    Some(command) => watch = Some(Watch::start(shell.command(&format!("exec {command}")))),
                    None => found = shell.run(&step.command).await.1,
                }
                if let Some(watch) = &mut watch {
                    let messages = parts(&shown)
                        .iter()
                        .filter(|part| matches!(part, Part::Json(_)))
                        .count();
                    let seen = watch.next(messages).await;
                    found = shell.with_documented_addresses(&[&found, seen.trim()].join("\n"));
                }
                let found = found.trim().to_owned();
                if !same(&shown, &found) {
                    differences.push(format!(
                        "$ {}\nthe page shows:\n{shown}\nthe command prints:\n{found}\n",
                        step.command
                    ));
                    answers.push((step.answer.clone(), found));
                }
            }
        }
        if differences.is_empty() {
            return;
        }
        assert!(
            std::env::var_os(BLESS).is_some(),
            "{} differs from the actual output; rewrite it with {BLESS}=1:\n{}",
            self.path.display(),
            differences.join("\n")
        );
        // Replace from the end, so that the positions of earlier answers stay valid.
        for (place, answer) in answers.into_iter().rev() {
            self.lines.splice(place, answer.lines().map(str::to_owned));
        }
        std::fs::write(&self.path, self.lines.join("\n") + "\n").unwrap();
    }
}
