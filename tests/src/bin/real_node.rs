//! `cargo real-node`: runs Everynode and a `DaemonSet` as real pods, on a real node.

use std::process::{ExitCode, Termination};
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use everynode_serving::program::exit::Exit;
use everynode_tests::real_node::RealNode;
use everynode_tests::real_node::ground::{self, Install, Unfit};
use everynode_tests::real_node::walk::Walk;
use everynode_tests::terminal::{Terminal, run_until_interrupted};

/// The long help text.
const ABOUT: &str = "\
Starts a Kubernetes control plane and a real node on this machine: kubelet, kube-proxy, containerd and CoreDNS in namespaces of \
their own. Builds Everynode's images, brings planner and executor up as pods, and goes through a DaemonSet's life with a web \
server that is reached by its pod's IP, the node's port, its Services and the cluster's DNS.

It takes root on Debian, Go, and a C compiler. What is missing of Debian's packages is installed; nothing else stays behind.

Exits with 0 when every step had the outcome that it should have, with 1 and the reason otherwise, with 69 where this machine \
can't run a real node, and with 130 after Ctrl-C, which stops everything at any time.";

#[derive(Parser)]
#[command(
    bin_name = "cargo real-node",
    version,
    about = "Run Everynode on a real node, on this machine",
    long_about = ABOUT
)]
struct Args {
    /// Install nothing; say what is missing instead.
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
        let prepared = ground::prepare(install).await;
        unfit = prepared.as_ref().is_err_and(anyhow::Error::is::<Unfit>);
        prepared?;
        real_node(terminal).await
    });
    if unfit { Exit::Unavailable.report() } else { code }
}

async fn real_node(terminal: &mut Terminal) -> Result<()> {
    terminal.step("Start a cluster with a real node");
    let node = RealNode::start(terminal).await?;
    if let Err(error) = Walk::new(&node, terminal).await?.run().await {
        for (name, log) in node.log_tails(25).await {
            terminal.say(&format!("\nThe last lines of {name}'s log:"));
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
