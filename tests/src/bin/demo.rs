//! `cargo demo`: shows Everynode on a local cluster, from the creation of a `DaemonSet` to its deletion.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Parser;
use everynode_tests::control_plane::{ControlPlane, Options};
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::rollouts;
use everynode_tests::service::{Executor, Planner, ServiceOptions};
use everynode_tests::terminal::{Terminal, Took, run_until_interrupted};
use everynode_tests::toolbox::Tool;
use everynode_tests::walkthrough::{Measurements, Walkthrough};

/// The long help text.
const ABOUT: &str = "\
Starts a Kubernetes control plane on this machine, with one tainted control-plane node and three workers. Runs the \
planner and the executor on it, and walks through the life of the DaemonSet in deploy/examples/ds-nginx.yaml: its pods \
are created, replaced and deleted as pods, nodes, selectors and the template change. A rollout policy sends the last \
change of the template to a canary first.

The demo needs neither root nor a container engine. The first run builds a real control plane from source with Go \
(four to eight minutes on two cores) and keeps it in the user's cache. kwok simulates the nodes. To use existing \
programs instead, set KUBEBUILDER_ASSETS to the folder that contains them. Ctrl-C stops everything.

Exit codes: 0 success, 1 a step failed, 2 usage, 130 interrupted with Ctrl-C.";

#[derive(Parser)]
#[command(
    bin_name = "cargo demo",
    version,
    about = "Walk through a DaemonSet's life with Everynode, on a local cluster",
    long_about = ABOUT
)]
struct Args {
    /// Leave the cluster up after the walk, say how to use it, and stop it on Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// The processes that the walk needs, in the order in which they should be dropped.
struct Stage {
    executor: Executor,
    planner: Planner,
    control_plane: ControlPlane,
}

fn main() -> ExitCode {
    let args = Args::parse();
    run_until_interrupted(async |terminal| demo(&args, terminal).await)
}

async fn demo(args: &Args, terminal: &mut Terminal) -> Result<()> {
    let stage = prepare(terminal).await?;
    let findings = match walk(&stage, terminal).await {
        Ok(findings) => findings,
        Err(error) => {
            for (name, log) in [
                ("planner", stage.planner.log_tail(25)),
                ("executor", stage.executor.log_tail(25)),
            ] {
                terminal.print(&format!("\nThe last lines of the {name}'s log:"));
                terminal.output(&log);
            }
            return Err(error);
        }
    };
    terminal.step("That was it");
    terminal.print(&format!(
        "A deleted pod's successor was created after {}, the pod of a new node after {},\n\
         and a rolling update over four nodes took {}.",
        Took(findings.successor),
        Took(findings.pod_of_new_node),
        Took(findings.rollout)
    ));
    if args.keep {
        explain(&stage, terminal)?;
        std::future::pending::<()>().await;
    }
    finish(stage, terminal).await
}

async fn prepare(terminal: &mut Terminal) -> Result<Stage> {
    terminal.step("Start a cluster, and Everynode on it");
    let start = Instant::now();
    let programs = Programs::built(Profile::Dev).await?;
    terminal.done("Built everynode-planner and everynode-executor", start.elapsed());
    let start = Instant::now();
    let control_plane = ControlPlane::start(Options::default()).await?;
    terminal.done(
        "The control plane runs, without kube-controller-manager's DaemonSet controller",
        start.elapsed(),
    );
    let start = Instant::now();
    let client = control_plane.client().await?;
    Walkthrough::create_nodes(&client).await?;
    terminal.done(
        "One control-plane node and three workers are ready",
        start.elapsed(),
    );
    let start = Instant::now();
    let kubectl = control_plane.kubectl()?;
    terminal.command(&format!("kubectl apply -k {}", rollouts::KINDS_FOLDER));
    rollouts::install_kinds(&kubectl, &client).await?;
    terminal.done(
        "The API server serves the kinds of rollout policies",
        start.elapsed(),
    );
    let start = Instant::now();
    let planner = Planner::start(&programs, ServiceOptions::default()).await?;
    let kubeconfig = control_plane.kubeconfig();
    let executor = Executor::start(&programs, &planner.url(), kubeconfig, ServiceOptions::default()).await?;
    terminal.done("Planner and executor are ready", start.elapsed());
    terminal.command("kubectl get nodes");
    terminal.output(&kubectl.run(["get", "nodes"]).await?);
    Ok(Stage {
        executor,
        planner,
        control_plane,
    })
}

async fn walk(stage: &Stage, terminal: &mut Terminal) -> Result<Measurements> {
    Walkthrough::new(&stage.control_plane, "default", terminal)
        .await?
        .run()
        .await
}

fn explain(stage: &Stage, terminal: &mut Terminal) -> Result<()> {
    let toolbox = stage.control_plane.toolbox();
    let (kubectl, grpcurl) = (toolbox.path(Tool::Kubectl)?, toolbox.path(Tool::Grpcurl)?);
    terminal.step("Now it is yours, until Ctrl-C");
    terminal.print("In another terminal, with kubectl:");
    terminal.command(&format!(
        "export KUBECONFIG={}",
        stage.control_plane.kubeconfig().display()
    ));
    terminal.command(&format!(
        "{} create -f deploy/examples/ds-nginx.yaml",
        kubectl.display()
    ));
    terminal.command(&format!("{} get ds,po,nodes -owide", kubectl.display()));
    terminal.print("The planner, with grpcurl:");
    let address = stage.planner.address();
    terminal.command(&format!("{} -plaintext {address} list", grpcurl.display()));
    terminal.command(&format!(
        "{} -plaintext {address} describe everynode.planner.v1.PlannerService",
        grpcurl.display()
    ));
    terminal.print(&format!(
        "Metrics and probes:\n  planner   http://{}/metrics\n  executor  http://{}/metrics\n\
         Logs:\n  planner   {}\n  executor  {}\n  the rest  {}",
        stage.planner.admin_address(),
        stage.executor.admin_address(),
        stage.planner.log().display(),
        stage.executor.log().display(),
        stage.control_plane.work_dir().display()
    ));
    Ok(())
}

async fn finish(mut stage: Stage, terminal: &mut Terminal) -> Result<()> {
    let start = Instant::now();
    stage.executor.stop().await.context("stopping the executor")?;
    stage.planner.stop().await.context("stopping the planner")?;
    stage
        .control_plane
        .stop()
        .await
        .context("stopping the control plane")?;
    terminal.done("Everything is stopped", start.elapsed());
    Ok(())
}
