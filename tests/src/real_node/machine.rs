//! A machine for the node: its own mount, process and network namespaces, and a cable (a veth pair) between the machine
//! and the host.
//!
//! Everything that kubelet, containerd and kube-proxy mount, start or set stays inside. When the first process inside
//! ends, for whatever reason, the kernel removes all of it. The API server and the pods' clients run outside, as if on
//! another machine.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use super::cgroups::Cgroups;
use crate::child_process::{ChildProcess, ProcessOptions, WorkDir, tail};
use crate::wait::{GiveUp, eventually};

/// The address of the host's end of the cable.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(10, 219, 0, 1);
/// The address of the machine's end, which is the node's address.
pub(super) const NODE: Ipv4Addr = Ipv4Addr::new(10, 219, 0, 2);
/// The prefix length of the subnet that both ends share.
const PREFIX: u8 = 30;
/// The pods' address range.
pub(super) const PODS: &str = "10.244.0.0/24";
/// The name of the host's end.
const CABLE: &str = "everynode-node";

/// How long the machine may take to start or stop, and how long a program in it may take to end.
const SOON: Duration = Duration::from_secs(20);

/// The machine. It and everything in it end when this value is dropped or this process ends.
#[derive(Debug)]
pub(super) struct Machine {
    process: ChildProcess,
    init: Pid,
    /// Dropped after `process`: cgroups can be removed only when nothing is in them.
    _cgroups: Cgroups,
    home: WorkDir,
    /// Allows one machine at a time, because the addresses and the cable's name are fixed.
    _lock: File,
}

impl Machine {
    /// Starts the machine and connects it to the host.
    pub(super) async fn start() -> Result<Self> {
        let path = std::env::temp_dir().join("everynode-real-node.lock");
        let lock = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        ensure!(
            lock.try_lock().is_ok(),
            "another real node runs on this machine; it holds {}",
            path.display()
        );
        let home = WorkDir::new("node")?;
        let script = home.write("machine.sh", include_str!("machine.sh"))?;
        let unshare = [
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
        ];
        let mut args: Vec<String> = unshare.map(str::to_owned).into();
        args.push(script.display().to_string());
        args.push(home.path().display().to_string());
        let mut process = ChildProcess::start(&ProcessOptions {
            name: "the machine".to_owned(),
            program: "unshare".into(),
            args,
            env: Vec::new(),
            directory: Some(home.path().to_owned()),
            log: home.log("machine")?,
            // unshare ignores signals while its child runs, and has nothing to clean up.
            grace: Duration::ZERO,
        })?;
        let log = home.file("machine.log");
        let ready = eventually(SOON, "namespaces of its own for the node", async || {
            let output = tail(&log, 20);
            if process.exit_status().is_some() {
                return Err(GiveUp::because(format!("unshare has failed: {output}")));
            }
            ensure!(output.lines().any(|line| line == "ready"), "{output}");
            Ok(())
        });
        ready.await?;
        let init = child_of(process.pid())?.context("unshare has no child")?;
        let this = Self {
            process,
            init,
            _cgroups: Cgroups,
            home,
            _lock: lock,
        };
        this.connect().await?;
        Ok(this)
    }

    async fn connect(&self) -> Result<()> {
        let init = self.init.as_raw_nonzero().to_string();
        let [ours, its] = [HOST, NODE].map(|address| format!("{address}/{PREFIX}"));
        let (host, node) = (HOST.to_string(), NODE.to_string());
        for line in [
            &[
                "link", "add", CABLE, "type", "veth", "peer", "name", "eth0", "netns", &init,
            ][..],
            &["address", "add", &ours, "dev", CABLE],
            &["link", "set", CABLE, "up"],
            &["route", "add", PODS, "via", &node],
        ] {
            run("ip", line).await?;
        }
        for line in [
            &["address", "add", &its, "dev", "eth0"][..],
            &["link", "set", "eth0", "up"],
            &["route", "add", "default", "via", &host],
        ] {
            self.run("ip", line).await?;
        }
        Ok(())
    }

    /// Runs a program in the machine until it ends, and returns its standard output.
    pub(super) async fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let mut all = self.nsenter_args();
        all.push(program.to_owned());
        all.extend(args.iter().map(|&arg| arg.to_owned()));
        run("nsenter", &all).await
    }

    /// Starts a program in the machine.
    pub(super) fn launch(&self, program: &Path, args: Vec<String>) -> Result<NodeProgram> {
        let name = program
            .file_name()
            .context("the program has no name")?
            .to_string_lossy();
        let mut all = self.nsenter_args();
        all.push(program.display().to_string());
        all.extend(args);
        let process = ChildProcess::start(&ProcessOptions {
            name: name.to_string(),
            program: "nsenter".into(),
            args: all,
            env: Vec::new(),
            directory: Some(self.home.path().to_owned()),
            log: self.home.log(&name)?,
            grace: Duration::ZERO,
        })?;
        Ok(NodeProgram { process })
    }

    fn nsenter_args(&self) -> Vec<String> {
        let target = format!("--target={}", self.init.as_raw_nonzero());
        let mut args = vec![target];
        args.extend(["--net", "--mount", "--pid", "--"].map(str::to_owned));
        args
    }

    /// The folder for the files of the programs in it. Its path is the same inside and outside.
    pub(super) fn home(&self) -> &WorkDir {
        &self.home
    }

    /// Stops the machine, and waits until its network is gone.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.process.stop().await?;
        // The cable disappears with the last process inside, a moment after the first one has ended.
        let cable = PathBuf::from("/sys/class/net").join(CABLE);
        eventually(SOON, "the machine's network to be gone", async || {
            ensure!(!cable.exists(), "{} still exists", cable.display());
            Ok(())
        })
        .await
    }
}

/// A program that runs in the machine. If it is dropped without being stopped, it ends with the machine.
#[derive(Debug)]
pub(super) struct NodeProgram {
    process: ChildProcess,
}

impl NodeProgram {
    /// Asks the program to end, and waits for it.
    pub(super) async fn stop(mut self) -> Result<()> {
        // nsenter forwards no signals, and ends when its child does. So the signal goes to the child.
        if let Some(program) = child_of(self.process.pid())? {
            let _ = kill_process(program, Signal::TERM);
        }
        let what = format!("the end of {}", self.process.name());
        eventually(SOON, what, async || {
            ensure!(self.process.exit_status().is_some(), "it is still running");
            Ok(())
        })
        .await
    }

    /// Fails when the program has ended by itself.
    pub(super) fn ensure_running(&mut self) -> Result<()> {
        if self.process.exit_status().is_some() {
            let (name, log) = (self.process.name(), self.process.tail(20));
            return Err(GiveUp::because(format!(
                "{name} has ended; the last lines of its log:\n{log}"
            )));
        }
        Ok(())
    }

    /// The last lines of the program's output.
    pub(super) fn tail(&self, lines: usize) -> String {
        self.process.tail(lines)
    }
}

/// Runs a program until it ends, and returns its standard output.
pub(super) async fn run<A: AsRef<std::ffi::OsStr>>(program: &str, args: &[A]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        // Messages in English, because `preflight` recognizes some of them.
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        let line: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
        bail!(
            "`{program} {}` failed ({}): {}",
            line.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The only child of a process, or `None` if it has none.
fn child_of(pid: i32) -> Result<Option<Pid>> {
    let processes = procfs::process::all_processes().context("listing processes")?;
    let child = processes
        .flatten()
        .filter_map(|process| process.stat().ok())
        .find(|stat| stat.ppid == pid);
    Ok(child.and_then(|stat| Pid::from_raw(stat.pid)))
}
