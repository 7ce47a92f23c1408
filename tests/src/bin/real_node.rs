//! `cargo real-node`: runs Everynode and a `DaemonSet` as real pods, on a real node.

use std::process::{ExitCode, Termination};
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use everynode_serving::program::exit::Exit;
use everynode_tests::real_node::RealNode;
use everynode_tests::real_node::preflight::{self, Install, Unfit};
use everynode_tests::real_node::walkthrough::Walkthrough;
use everynode_tests::terminal::{Terminal, run_until_interrupted};

/// The long help text.
const ABOUT: &str = "\
Starts a Kubernetes control plane and a real node on this machine: kubelet, kube-proxy, containerd and CoreDNS, in \
namespaces of their own. Then it builds Everynode's images, runs the planner and the executor as pods, and tests a \
DaemonSet of web servers, which it reaches by pod IP, node port, Service and DNS name.

It needs root on Debian, Go and a C compiler. It installs missing Debian packages and leaves nothing else behind.

Exit codes: 0 success, 1 a step failed or a program is missing, 2 usage, 69 this machine can't be a node, 130 \
interrupted with Ctrl-C.";

#[derive(Parser)]
#[command(
    bin_name = "cargo real-node",
    version,
    about = "Run Everynode on a real node, on this machine",
    long_about = ABOUT
)]
struct Args {
    /// Install nothing; fail and name the missing packages
    #[arg(long)]
    no_install: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let install = if args.no_install {
        Install::Forbidden
    } else {
        Install::Allowed
    };
    let mut unfit = false;
    let code = run_until_interrupted(async |terminal| {
        let prepared = preflight::prepare(install).await;
        unfit = prepared.as_ref().is_err_and(anyhow::Error::is::<Unfit>);
        prepared?;
        real_node(terminal).await
    });
    if unfit { Exit::Unavailable.report() } else { code }
}

async fn real_node(terminal: &mut Terminal) -> Result<()> {
    terminal.step("Start a cluster with a real node");
    let node = RealNode::start(terminal).await?;
    if let Err(error) = Walkthrough::new(&node, terminal).await?.run().await {
        for (name, log) in node.log_tails(25).await {
            terminal.print(&format!("\nThe last lines of {name}'s log:"));
            terminal.output(&log);
        }
        return Err(error);
    }
    let start = Instant::now();
    node.stop().await?;
    terminal.done(
        "Everything is stopped, and nothing is left of the node",
        start.elapsed(),
    );
    Ok(())
}
