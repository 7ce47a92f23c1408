//! Builds programs with Go, and shows the progress on the terminal.

use std::fs;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::child_process::{ChildProcess, ProcessOptions};

/// The Go subcommand that builds a package into a program, and names each package that it compiles.
pub(super) const BUILD: &[&str] = &["build", "-v"];
/// The Go subcommand that builds a package's tests into a program.
pub(super) const TEST: &[&str] = &["test", "-c"];
/// The linker flags of every program.
pub(super) const STRIPPED: &str = "-s -w";
/// The compiler flags of every package. They have to be the same for all programs, because Go's build cache has one
/// entry for each combination. The linker would drop DWARF anyway.
pub(super) const COMPILER_FLAGS: &str = "all=-dwarf=false";

/// A program to build with Go.
#[derive(Debug, Clone)]
pub(super) struct Compilation {
    /// The program's name in messages.
    pub(super) what: &'static str,
    /// The Go subcommand.
    pub(super) command: &'static [&'static str],
    /// The build tags, separated by commas.
    pub(super) tags: &'static str,
    /// The linker's flags.
    pub(super) flags: String,
    /// The program's file name.
    pub(super) output: &'static str,
    /// The Go package.
    pub(super) package: &'static str,
}

/// The number of packages that a build compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packages {
    /// The number of packages that Go's build cache lacked before the build.
    pub(super) planned: usize,
    /// The number of packages that the build named. 0 if its subcommand names none.
    pub(super) compiled: usize,
}

impl Compilation {
    /// The arguments of `go`, without the output path.
    pub(super) fn args(&self) -> Vec<String> {
        let mut args = self.command.to_vec();
        args.extend(["-tags", self.tags, "-gcflags", COMPILER_FLAGS]);
        args.extend(["-ldflags", &self.flags, self.package]);
        args.into_iter().map(str::to_owned).collect()
    }

    /// Builds the program from the module in `sources` into the folder `target`.
    pub(super) fn run(&self, sources: &Path, target: &Path) -> Result<Packages> {
        let start = Instant::now();
        let log = target.join(format!("{}.log", self.output));
        let path = target.join(self.output);
        let mut args = self.args();
        let at = self.command.len();
        args.splice(at..at, ["-o".to_owned(), path.to_string_lossy().into_owned()]);

        // With -n, Go prints the commands that it would run. It downloads missing modules first.
        let mut planning = args.clone();
        planning.insert(at, "-n".to_owned());
        let text = self.go(planning, sources, &log, |_, seconds| {
            format!("{}: downloading and listing packages, {seconds} s", self.output)
        })?;
        let planned = text.lines().filter(|line| compiles(line)).count();
        print_message(&format!("Building {}: {planned} packages to compile.", self.what));

        let text = self.go(args, sources, &log, |text, seconds| {
            progress(self.output, compiled(text), planned, seconds)
        })?;
        print_message(&format!(
            "Built {} in {} s.",
            self.what,
            start.elapsed().as_secs()
        ));
        Ok(Packages {
            planned,
            compiled: compiled(&text),
        })
    }

    /// Runs `go` to its end and returns its output. `describe` formats the progress line from the output so far and the
    /// elapsed seconds.
    fn go(
        &self,
        args: Vec<String>,
        sources: &Path,
        log: &Path,
        describe: impl Fn(&str, u64) -> String,
    ) -> Result<String> {
        fs::write(log, "").with_context(|| format!("making {}", log.display()))?;
        // A supervised child, so that the build ends when its harness is interrupted. Tests run beside it, so it has a
        // lower priority than their control plane.
        let priority = ["-n", "10", "go"].map(str::to_owned);
        let mut go = ChildProcess::start(&ProcessOptions {
            name: format!("go {} of {}", self.command.join(" "), self.output),
            program: "nice".into(),
            args: priority.into_iter().chain(args).collect(),
            env: vec![("CGO_ENABLED".to_owned(), "0".to_owned())],
            directory: Some(sources.to_owned()),
            log: log.to_owned(),
            grace: Duration::from_secs(1),
        })?;
        let mut display = Display::new();
        let status = loop {
            if let Some(status) = go.exit_status() {
                break status;
            }
            display.show(|seconds| describe(&fs::read_to_string(log).unwrap_or_default(), seconds));
            std::thread::sleep(Duration::from_millis(200));
        };
        display.clear();
        if !status.success() {
            bail!(
                "building {} failed; the last lines of `go {}` in {}:\n{}",
                self.output,
                self.command.join(" "),
                sources.display(),
                go.tail(30)
            );
        }
        let text = fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
        let _ = fs::remove_file(log);
        let _ = fs::remove_file(log.with_added_extension("pid"));
        Ok(text)
    }
}

/// Whether this line in the output of `go build -n` calls the compiler. There is one such line for each package.
fn compiles(line: &str) -> bool {
    let program = line.split(' ').next().unwrap_or_default();
    program.ends_with("/compile") && line.contains(" -p ")
}

/// How many packages the output of `go build -v` names. Its lines that begin with `go: ` are about modules.
fn compiled(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with("go: ")).count()
}

/// The line that shows the progress of a build.
fn progress(output: &str, compiled: usize, planned: usize, seconds: u64) -> String {
    match (compiled * 100).checked_div(planned) {
        Some(share) if compiled > 0 => {
            format!("{output}: {compiled} of {planned} packages ({share} %), {seconds} s")
        }
        _ => format!("{output}: {seconds} s"),
    }
}

/// Shows the progress of a build. On a terminal, each line replaces the previous one. In a log file, a line appears
/// every 30 s.
struct Display {
    start: Instant,
    terminal: bool,
    next: Instant,
    width: usize,
}

impl Display {
    fn new() -> Self {
        let terminal = stderr().is_terminal();
        // In a log file, the first line appears only after 15 s. A build from Go's own cache has ended by then.
        let next = Instant::now() + Duration::from_secs(if terminal { 0 } else { 15 });
        Self {
            start: Instant::now(),
            terminal,
            next,
            width: 0,
        }
    }

    fn show(&mut self, describe: impl FnOnce(u64) -> String) {
        if Instant::now() < self.next {
            return;
        }
        let line = format!("  {}", describe(self.start.elapsed().as_secs()));
        if self.terminal {
            let _ = write!(stderr(), "\r{line:width$}", width = self.width);
            self.width = line.len();
            self.next = Instant::now() + Duration::from_millis(200);
        } else {
            print_message(&line);
            self.next = Instant::now() + Duration::from_secs(30);
        }
    }

    fn clear(&mut self) {
        if self.terminal && self.width > 0 {
            let _ = write!(stderr(), "\r{:width$}\r", "", width = self.width);
        }
    }
}

/// Fails if Go isn't installed.
pub(super) fn require_go() -> Result<()> {
    let go = Command::new("go").arg("version").stdin(Stdio::null()).output();
    match go {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "`go version` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => bail!(
            "can't start `go`: {error}; the tests build their control plane and tools with it: install Go 1.26 or \
             newer, or set KUBEBUILDER_ASSETS to a folder with the programs"
        ),
    }
}

/// Writes a line to standard error, even in a test. There, `eprintln!` would be captured by the test harness and shown
/// too late to be of use.
pub(super) fn print_message(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_names_as_many_packages_as_planned() {
        let folder = tempfile::tempdir().unwrap();
        let (sources, target) = (folder.path().join("sources"), folder.path().join("target"));
        for new in [sources.join("a"), sources.join("b"), target.clone()] {
            fs::create_dir_all(new).unwrap();
        }
        let write = |file: &str, text: &str| fs::write(sources.join(file), text).unwrap();
        // No other module contains this path, so Go's build cache lacks the packages.
        let path = folder.path().display().to_string();
        write("go.mod", "module m\n\ngo 1.26.0\n");
        write("a/a.go", &format!("package a\n\nconst Name = {path:?}\n"));
        write("b/b.go", "package b\n\nimport \"m/a\"\n\nvar Name = a.Name\n");
        write(
            "main.go",
            "package main\n\nimport \"m/b\"\n\nfunc main() { println(b.Name) }\n",
        );
        let compilation = Compilation {
            what: "a test",
            command: BUILD,
            tags: "",
            flags: STRIPPED.to_owned(),
            output: "program",
            package: ".",
        };
        // The first build may have to compile packages of the standard library too.
        let first = compilation.run(&sources, &target).unwrap();
        assert!(first.planned >= 3 && first.compiled >= 3, "{first:?}");
        write(
            "a/a.go",
            &format!("package a\n\nconst Name = \"other than {path}\"\n"),
        );
        let second = compilation.run(&sources, &target).unwrap();
        assert_eq!((second.planned, second.compiled), (3, 3));
        let third = compilation.run(&sources, &target).unwrap();
        assert_eq!((third.planned, third.compiled), (0, 0));
        let left: Vec<_> = fs::read_dir(&target).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn progress_ends_at_100_percent() {
        assert_eq!(progress("x", 0, 2794, 3), "x: 3 s");
        assert_eq!(
            progress("x", 1397, 2794, 60),
            "x: 1397 of 2794 packages (50 %), 60 s"
        );
        assert_eq!(
            progress("x", 2793, 2794, 99),
            "x: 2793 of 2794 packages (99 %), 99 s"
        );
        assert_eq!(
            progress("x", 2794, 2794, 100),
            "x: 2794 of 2794 packages (100 %), 100 s"
        );
        assert_eq!(progress("x", 0, 0, 1), "x: 1 s");
    }
}
