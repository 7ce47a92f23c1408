//! Builds programs with Go, and shows the progress on the terminal.

use std::fs;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{BUF, CONFORMANCE, NODE, NODE_PROGRAMS, PROMTOOL, Tool, WEB};
use crate::child_process::{ChildProcess, ProcessOptions};

/// The version stamped into the components. Without it they don't know their own version, and kubectl can't parse
/// theirs.
const KUBERNETES_VERSION: &str = "v1.36.3";
const GRPCURL: &str = "github.com/fullstorydev/grpcurl/cmd/grpcurl";
const BUF_PACKAGE: &str = "github.com/bufbuild/buf/cmd/buf";
const PROMTOOL_PACKAGE: &str = "github.com/prometheus/prometheus/cmd/promtool";
const STRIPPED: &str = "-s -w";
/// The Go subcommand that builds a package's tests into a program.
const TEST: [&str; 2] = ["test", "-c"];

/// Programs that are built together, into one folder of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    /// Every [`Tool`].
    ControlPlane,
    /// Kubernetes' own end-to-end specs. They are separate because they take minutes and gigabytes to build, and only
    /// two tests need them.
    Conformance,
    /// buf, which checks .proto files. It has its own module, so that its dependencies don't have to agree with those
    /// of Kubernetes.
    Buf,
    /// kubelet, kube-proxy and `CoreDNS`. They have their own module, so that `CoreDNS` doesn't affect the control
    /// plane's dependencies.
    Node,
    /// The web server that runs in pods of a real node. It builds in seconds and uses only the standard library.
    Web,
    /// promtool, which checks metrics and alerts. It has its own module, so that its dependencies don't have to agree
    /// with those of Kubernetes.
    Promtool,
}

impl Product {
    /// The name of its folders in the cache, without the hash.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ControlPlane => "controlplane",
            Self::Conformance => CONFORMANCE,
            Self::Buf => BUF,
            Self::Node => NODE,
            Self::Web => WEB,
            Self::Promtool => PROMTOOL,
        }
    }

    /// The folder of its Go module.
    pub(super) fn module(self) -> &'static str {
        match self {
            Self::ControlPlane | Self::Conformance => "controlplane",
            Self::Buf => "buf",
            Self::Node | Self::Web => NODE,
            Self::Promtool => "promtool",
        }
    }

    /// The folder of its own sources within the Go module.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::ControlPlane | Self::Buf | Self::Node | Self::Promtool => "",
            Self::Conformance => CONFORMANCE,
            Self::Web => WEB,
        }
    }

    /// The build settings that aren't in the sources. They are part of the cache's hash.
    pub(super) fn recipe(self) -> Vec<String> {
        let rest = match self {
            Self::ControlPlane => [kubernetes_flags(), GRPCURL.to_owned()],
            Self::Conformance => [TEST.join(" "), STRIPPED.to_owned()],
            Self::Buf => [BUF_PACKAGE.to_owned(), STRIPPED.to_owned()],
            Self::Node => [kubernetes_flags(), NODE_PROGRAMS.join(" ")],
            Self::Web => [WEB.to_owned(), STRIPPED.to_owned()],
            Self::Promtool => [PROMTOOL_PACKAGE.to_owned(), STRIPPED.to_owned()],
        };
        let mut recipe = vec!["CGO_ENABLED=0".to_owned()];
        recipe.extend(rest);
        recipe
    }

    /// Builds it from `sources` into `target`.
    pub(super) fn build(self, sources: &Path, target: &Path) -> Result<()> {
        require_go()?;
        let start = Instant::now();
        match self {
            Self::ControlPlane => build_control_plane(sources, target, start)?,
            Self::Conformance => {
                say(
                    "Building Kubernetes' own specs of DaemonSets. The first time this takes two to seven minutes.",
                );
                let specs = Compilation {
                    command: &TEST,
                    output: CONFORMANCE,
                    package: "./conformance",
                    flags: STRIPPED,
                    packages: None,
                };
                specs.run(sources, target, start)?;
                say(&format!("Built the specs in {} s.", start.elapsed().as_secs()));
            }
            Self::Buf => {
                say(
                    "Building buf, which checks the .proto files. The first time this takes about two minutes.",
                );
                let buf = Compilation {
                    command: &["build", "-v"],
                    output: BUF,
                    package: BUF_PACKAGE,
                    flags: STRIPPED,
                    packages: Some(900),
                };
                buf.run(sources, target, start)?;
                say(&format!("Built buf in {} s.", start.elapsed().as_secs()));
            }
            Self::Node => {
                say("Building kubelet, kube-proxy and CoreDNS. The first time this takes some five minutes.");
                let node = Compilation {
                    command: &["build", "-v"],
                    output: NODE,
                    package: ".",
                    flags: &kubernetes_flags(),
                    packages: Some(1500),
                };
                node.run(sources, target, start)?;
                for name in NODE_PROGRAMS {
                    link(NODE, target, name)?;
                }
                say(&format!(
                    "Built the node's programs in {} s.",
                    start.elapsed().as_secs()
                ));
            }
            Self::Web => {
                let web = Compilation {
                    command: &["build"],
                    output: WEB,
                    package: "./web",
                    flags: STRIPPED,
                    packages: None,
                };
                web.run(sources, target, start)?;
            }
            Self::Promtool => {
                say(
                    "Building promtool, which checks metrics and alerts. The first time this takes some minutes.",
                );
                let promtool = Compilation {
                    command: &["build", "-v"],
                    output: PROMTOOL,
                    package: PROMTOOL_PACKAGE,
                    flags: STRIPPED,
                    packages: Some(1400),
                };
                promtool.run(sources, target, start)?;
                say(&format!("Built promtool in {} s.", start.elapsed().as_secs()));
            }
        }
        Ok(())
    }
}

fn link(program: &str, folder: &Path, name: &str) -> Result<()> {
    symlink(program, folder.join(name)).with_context(|| format!("linking {name}"))
}

fn build_control_plane(sources: &Path, target: &Path, start: Instant) -> Result<()> {
    say("Building etcd, the Kubernetes control plane and kwok. The first time this takes about ten minutes.");
    let control_plane = Compilation {
        command: &["build", "-v"],
        output: "controlplane",
        package: ".",
        flags: &kubernetes_flags(),
        // Roughly what a build with an empty cache compiles. It only gives an idea of the progress.
        packages: Some(2100),
    };
    control_plane.run(sources, target, start)?;
    let grpcurl = Compilation {
        output: "grpcurl",
        package: GRPCURL,
        flags: STRIPPED,
        packages: None,
        ..control_plane
    };
    grpcurl.run(sources, target, start)?;
    for tool in Tool::ALL {
        if tool != Tool::Grpcurl {
            link("controlplane", target, tool.file_name())?;
        }
    }
    say(&format!(
        "Built the control plane in {} s.",
        start.elapsed().as_secs()
    ));
    Ok(())
}

fn kubernetes_flags() -> String {
    format!("{STRIPPED} -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}")
}

fn require_go() -> Result<()> {
    let go = Command::new("go").arg("version").stdin(Stdio::null()).output();
    match go {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "`go version` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => bail!(
            "the control plane that the tests run against, and what else they need, is built with Go 1.26 or newer, and `go` \
             can't be started: {error}; install Go, or set KUBEBUILDER_ASSETS to a folder with the programs"
        ),
    }
}

/// One call of the Go compiler.
#[derive(Clone, Copy)]
struct Compilation<'a> {
    command: &'a [&'a str],
    output: &'a str,
    package: &'a str,
    flags: &'a str,
    /// How many packages it compiles, if that is known.
    packages: Option<usize>,
}

impl Compilation<'_> {
    fn run(self, sources: &Path, target: &Path, start: Instant) -> Result<()> {
        let output = self.output;
        let log = target.join(format!("{output}.log"));
        fs::write(&log, "").with_context(|| format!("making {}", log.display()))?;
        let path = target.join(output);
        let path = path.to_string_lossy();
        let mut args = self.command.to_vec();
        args.extend(["-ldflags", self.flags, "-o", &path, self.package]);
        // On a leash as well, so that the build doesn't run on for minutes after its harness was interrupted.
        let mut go = ChildProcess::start(&ProcessOptions {
            name: format!("go {} of {output}", self.command.join(" ")),
            program: "go".into(),
            args: args.into_iter().map(str::to_owned).collect(),
            env: vec![("CGO_ENABLED".to_owned(), "0".to_owned())],
            directory: Some(sources.to_owned()),
            log: log.clone(),
            grace: Duration::from_secs(1),
        })?;
        let mut progress = Progress::new(self, start);
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
                "building {output} failed; the last lines of `go {}` in {}:\n{}",
                self.command.join(" "),
                sources.display(),
                go.tail(30)
            );
        }
        let _ = fs::remove_file(&log);
        let _ = fs::remove_file(log.with_added_extension("pid"));
        Ok(())
    }
}

/// The progress of a build. `go build -v` names each package that it compiles, so the length of its log shows the
/// progress. `go test -c` prints nothing.
struct Progress<'a> {
    of: Compilation<'a>,
    start: Instant,
    terminal: bool,
    next: Instant,
    width: usize,
}

impl<'a> Progress<'a> {
    fn new(of: Compilation<'a>, start: Instant) -> Self {
        let terminal = stderr().is_terminal();
        // In a log file, the first line comes only after a while, because a build from Go's own cache is over before
        // that.
        let next = Instant::now() + Duration::from_secs(if terminal { 0 } else { 15 });
        Self {
            of,
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
        let packages = match (packages, self.of.packages) {
            (0, None) => String::new(),
            (packages, None) => format!("{packages} packages, "),
            (packages, Some(all)) => format!("{packages} packages of about {all}, "),
        };
        let line = format!("  {}: {packages}{seconds} s", self.of.output);
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

/// Writes a line to standard error, even in a test. There, `eprintln!` would be captured by the test harness and shown
/// too late to be of use.
pub(super) fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
