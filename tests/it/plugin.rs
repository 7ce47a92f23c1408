//! `kubectl everynode` as a user runs it: the real kubectl finds the plugin on its PATH, and a real executor answers.

use std::process::{Output, Stdio};
use std::time::Duration;

use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::wait::eventually;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::world::{DEADLINE, World};

/// `kubectl everynode` with these arguments.
async fn command(world: &World, args: &[&str]) -> Command {
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let kubectl = world.claim.kubectl().unwrap().program().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let plugin = programs.plugin.parent().unwrap().to_owned();
    let mut command = Command::new(&kubectl);
    command
        .arg("everynode")
        .args(args)
        .args([
            "--server",
            &world.executor.address(),
            "--namespace",
            &world.namespace,
        ])
        .env(
            "PATH",
            std::env::join_paths(std::iter::once(plugin).chain(folders)).unwrap(),
        )
        .env("KUBECTL_PATH", &kubectl)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn everynode(world: &World, args: &[&str]) -> Output {
    let output = command(world, args).await.output();
    timeout(DEADLINE, output)
        .await
        .expect("kubectl everynode ends before the deadline")
        .unwrap()
}

fn describe(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    format!("{:?}\n{out}\n{err}", output.status.code())
}

#[tokio::test]
async fn kubectl_everynode_explains_missing_pods_and_waits() {
    let world = World::new(2).await;
    let quotas = world.create_quota(1).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_event("agent", "FailedCreate", "exceeded quota").await;

    let refused = eventually(
        DEADLINE,
        "the status to report the refused creation",
        async || {
            let output = everynode(&world, &["status", "ds/agent"]).await;
            let shown = describe(&output);
            anyhow::ensure!(
                output.status.code() == Some(1) && shown.contains("exceeded quota"),
                "{shown}"
            );
            Ok(())
        },
    );
    refused.await.unwrap();
    let output = everynode(&world, &["explain", "ds/agent"]).await;
    let shown = describe(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for text in ["node-01", "node-02", "RUN", "exceeded quota"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    println!("{shown}");

    let patch = Patch::Merge(json!({"spec": {"hard": {"pods": "10"}}}));
    quotas
        .patch("few", &PatchParams::default(), &patch)
        .await
        .unwrap();
    world.wait_placed("agent").await;
    let succeeded = eventually(DEADLINE, "the status to report no problem", async || {
        let output = everynode(&world, &["status", "ds/agent"]).await;
        anyhow::ensure!(output.status.success(), "{}", describe(&output));
        Ok(describe(&output))
    });
    println!("{}", succeeded.await.unwrap());
    let output = everynode(&world, &["explain", "ds/agent", "node/node-01"]).await;
    assert!(output.status.success(), "{}", describe(&output));
    println!("{}", describe(&output));
    let output = everynode(&world, &["explain", "ds/agnet"]).await;
    let shown = describe(&output);
    assert_eq!(output.status.code(), Some(66), "{shown}");
    assert!(shown.contains("agent"), "a similar name is suggested: {shown}");
}

#[tokio::test]
async fn kubectl_everynode_shows_the_overhead_of_daemons_on_a_node() {
    let world = World::new(1).await;
    world
        .create(DaemonSetBuilder::new("agent").requests(&json!({"cpu": "100m"})))
        .await;
    world.wait_placed("agent").await;
    let output = everynode(&world, &["overhead", "node/node-01"]).await;
    let shown = describe(&output);
    assert!(output.status.success(), "{shown}");
    for text in ["agent", "100m"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    println!("{shown}");
}

#[tokio::test]
async fn kubectl_everynode_watch_prints_created_and_deleted_pods() {
    let world = World::new(1).await;
    let mut watch = command(&world, &["watch"]).await.spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut wait_line = async |text: &str| {
        loop {
            let line = timeout(Duration::from_mins(1), lines.next_line()).await;
            let line = line
                .expect("the watch prints a line in time")
                .unwrap()
                .expect("the watch has not ended");
            if line.contains(text) {
                return line;
            }
        }
    };
    // The first line says that the watch has begun, so the test misses no later event.
    wait_line("").await;
    world.create(DaemonSetBuilder::new("agent")).await;
    let line = wait_line("Created pod: agent-").await;
    assert!(line.contains("node-01"), "{line}");
    world.set_image("registry.k8s.io/pause:3.10").await;
    wait_line("Deleted pod: agent-").await;
}
