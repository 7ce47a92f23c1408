//! Building the control plane with Go, with progress on the terminal.

use std::fs;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Tool;
use crate::leash::{Launch, Leash};

/// Without the stamp the components don't know their own version, and kubectl can't parse theirs.
const KUBERNETES_VERSION: &str = "v1.36.3";
const GRPCURL: &str = "github.com/fullstorydev/grpcurl/cmd/grpcurl";
/// Roughly the packages that a build with an empty cache compiles; only for a feeling of how far it is.
const PACKAGES: usize = 2100;

fn control_plane_flags() -> String {
    format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}")
}

/// How the programs are built, as far as it isn't in the sources: part of the cache's hash.
pub(super) fn recipe() -> Vec<String> {
    vec![
        "CGO_ENABLED=0".to_owned(),
        control_plane_flags(),
        GRPCURL.to_owned(),
    ]
}

/// Builds every program from `sources` into `target`.
pub(super) fn build(sources: &Path, target: &Path) -> Result<()> {
    let go = Command::new("go").arg("version").stdin(Stdio::null()).output();
    match go {
        Ok(output) if output.status.success() => {}
        Ok(output) => bail!(
            "`go version` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => bail!(
            "the tests run against a real control plane, which is built with Go 1.26 or newer, and `go` can't be started: \
             {error}; install Go, or set KUBEBUILDER_ASSETS to a folder with the programs"
        ),
    }
    say("Building etcd, the Kubernetes control plane and kwok. The first time this takes about ten minutes.");
    let start = Instant::now();
    compile(
        sources,
        target,
        "controlplane",
        ".",
        &control_plane_flags(),
        start,
    )?;
    compile(sources, target, "grpcurl", GRPCURL, "-s -w", start)?;
    for tool in Tool::ALL {
        if tool != Tool::Grpcurl {
            symlink("controlplane", target.join(tool.file_name()))
                .with_context(|| format!("linking {}", tool.file_name()))?;
        }
    }
    say(&format!(
        "Built the control plane in {} s.",
        start.elapsed().as_secs()
    ));
    Ok(())
}

fn compile(
    sources: &Path,
    target: &Path,
    output: &str,
    package: &str,
    flags: &str,
    start: Instant,
) -> Result<()> {
    let log = target.join(format!("{output}.log"));
    fs::write(&log, "").with_context(|| format!("making {}", log.display()))?;
    let path = target.join(output);
    let args = [
        "build",
        "-v",
        "-ldflags",
        flags,
        "-o",
        &path.to_string_lossy(),
        package,
    ];
    // On a leash as well: a build whose harness was interrupted shouldn't go on for minutes.
    let mut go = Leash::start(&Launch {
        name: format!("go build of {output}"),
        program: "go".into(),
        args: args.map(str::to_owned).to_vec(),
        env: vec![("CGO_ENABLED".to_owned(), "0".to_owned())],
        directory: Some(sources.to_owned()),
        log: log.clone(),
        grace: Duration::from_secs(1),
    })?;
    let mut progress = Progress::new(output, start);
    let status = loop {
        if let Some(status) = go.exit_status() {
            break status;
        }
        progress.show(&log);
        std::thread::sleep(Duration::from_millis(200));
    };
    progress.clear();
    if !status.success() {
        bail!(
            "building {output} failed; the last lines of `go build -v` in {}:\n{}",
            sources.display(),
            go.tail(30)
        );
    }
    let _ = fs::remove_file(&log);
    let _ = fs::remove_file(log.with_added_extension("pid"));
    Ok(())
}

/// `go build -v` names each package when it is compiled, so its log's length is how far it is.
struct Progress<'a> {
    output: &'a str,
    start: Instant,
    terminal: bool,
    next: Instant,
    width: usize,
}

impl<'a> Progress<'a> {
    fn new(output: &'a str, start: Instant) -> Self {
        let terminal = stderr().is_terminal();
        // The first line for a log file comes after a while only: a build from Go's own cache is over before.
        let next = Instant::now() + Duration::from_secs(if terminal { 0 } else { 15 });
        Self {
            output,
            start,
            terminal,
            next,
            width: 0,
        }
    }

    fn show(&mut self, log: &Path) {
        if Instant::now() < self.next {
            return;
        }
        let text = fs::read_to_string(log).unwrap_or_default();
        let packages = text.lines().filter(|line| !line.starts_with("go: ")).count();
        let seconds = self.start.elapsed().as_secs();
        let of = if self.output == "controlplane" {
            format!(" of about {PACKAGES}")
        } else {
            String::new()
        };
        let line = format!("  {}: {packages} packages{of}, {seconds} s", self.output);
        if self.terminal {
            let _ = write!(stderr(), "\r{line:width$}", width = self.width);
            self.width = line.len();
            self.next = Instant::now() + Duration::from_millis(200);
        } else {
            say(&line);
            self.next = Instant::now() + Duration::from_secs(30);
        }
    }

    fn clear(&mut self) {
        if self.terminal && self.width > 0 {
            let _ = write!(stderr(), "\r{:width$}\r", "", width = self.width);
        }
    }
}

/// Writes a line to the terminal even in a test, whose `eprintln!` the test harness would keep to itself until it is too late
/// to be of use.
pub(super) fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
