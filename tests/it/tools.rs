//! grpcurl as a client: it finds the services by reflection and sends objects as kubectl prints them.

use std::process::Stdio;

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::toolbox::Tool;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::world::{DEADLINE, World};

/// Calls a server with the real grpcurl, which finds the service by reflection.
pub(crate) async fn grpcurl(
    world: &mut World,
    address: &str,
    args: &[&str],
    request: Option<Value>,
) -> String {
    let program = world.claim.control_plane().toolbox().path(Tool::Grpcurl).unwrap();
    let mut command = Command::new(program);
    command.arg("-plaintext");
    if request.is_some() {
        command.args(["-max-msg-sz", "67108864", "-d", "@"]);
    }
    let mut child = command
        .arg(address)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(request.unwrap_or_default().to_string().as_bytes())
        .await
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

async fn get(world: &World, args: &[&str]) -> Value {
    let kubectl = world.claim.kubectl().unwrap();
    let printed = kubectl.run([&["get", "-ojson"], args].concat()).await.unwrap();
    serde_json::from_str(&printed).unwrap()
}

#[tokio::test]
async fn planner_accepts_kubectl_output_through_grpcurl() {
    let mut world = World::new(2).await;
    DaemonSetBuilder::new("agent")
        .node_selector("kubernetes.io/hostname", "node-02")
        .create(&world.client, &world.namespace)
        .await
        .unwrap();
    daemonsets::wait_placed(&world.client, &world.namespace, "agent", &["node-02"], DEADLINE)
        .await
        .unwrap();
    let (set, nodes) = (get(&world, &["ds", "agent"]).await, get(&world, &["nodes"]).await);
    let pods = get(&world, &["pods"]).await;

    let planner = world.planner.address();
    let services = grpcurl(&mut world, &planner, &["list"], None).await;
    assert!(
        services.contains("everynode.planner.v1.PlannerService"),
        "{services}"
    );
    assert!(services.contains("grpc.health.v1.Health"), "{services}");

    let call = ["everynode.planner.v1.PlannerService/Explain"];
    let explain = json!({"daemon_sets": [set], "nodes": [nodes]});
    let answer: Value =
        serde_json::from_str(&grpcurl(&mut world, &planner, &call, Some(explain)).await).unwrap();
    assert_eq!(answer["verdicts"][0]["verdict"], "VERDICT_EXCLUDE");
    assert_eq!(answer["verdicts"][1]["verdict"], "VERDICT_RUN");
    let message = answer["verdicts"][0]["reasons"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("nodeSelector wants kubernetes.io/hostname=node-02"),
        "{message}"
    );

    let call = ["everynode.planner.v1.PlannerService/Plan"];
    let plan = json!({"daemon_set": set, "nodes": [nodes], "pods": [pods]});
    let answer: Value =
        serde_json::from_str(&grpcurl(&mut world, &planner, &call, Some(plan)).await).unwrap();
    assert_eq!(answer.get("actions"), None, "there is nothing to do: {answer}");
    assert_eq!(answer["status"]["desiredNumberScheduled"], 1);
    let plan = json!({"daemon_set": set, "nodes": [nodes]});
    let answer: Value =
        serde_json::from_str(&grpcurl(&mut world, &planner, &call, Some(plan)).await).unwrap();
    assert_eq!(answer["actions"][0]["create"]["node"], "node-02");

    let call = ["grpc.health.v1.Health/Check"];
    let health = json!({"service": "everynode.planner.v1.PlannerService"});
    let answer = grpcurl(&mut world, &planner, &call, Some(health)).await;
    assert!(
        answer.contains("SERVING") && !answer.contains("NOT_SERVING"),
        "{answer}"
    );
}
