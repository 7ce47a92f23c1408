//! Tests `docs/api.md`: makes every call on the page and compares the answer with the one shown below the call.

use everynode_tests::daemonsets::{self, wait_status};
use everynode_tests::nodes;
use everynode_tests::programs::{Profile, Programs, workspace};
use everynode_tests::service::{Executor, Planner, ServiceOptions};
use everynode_tests::shared::ControlPlaneClaim;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use crate::page::{Page, Shell};
use crate::world::DEADLINE;

/// The objects that the page assumes, in kubectl's default namespace.
const OBJECTS: [&str; 2] = ["docs/examples/nodes.yaml", "docs/examples/agent.yaml"];
const NAMESPACE: &str = "default";

#[tokio::test]
async fn every_call_on_api_page_returns_the_documented_answer() {
    let mut claim = ControlPlaneClaim::new().await.unwrap();
    let client = claim.client().await.unwrap();
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let kubeconfig = claim.control_plane().kubeconfig().to_owned();
    let planner = Planner::start(&programs, ServiceOptions::default())
        .await
        .unwrap();
    let options = ServiceOptions {
        flags: vec!["--identity=everynode-executor-0".to_owned()],
        ..ServiceOptions::default()
    };
    let executor = Executor::start(&programs, &planner.url(), &kubeconfig, options)
        .await
        .unwrap();
    let kubectl = claim.control_plane().kubectl().unwrap();
    for path in OBJECTS {
        kubectl.run(["apply", "-f", path]).await.unwrap();
    }
    let workers = ["worker-1", "worker-2"].map(str::to_owned);
    nodes::wait_ready(&client, &workers, DEADLINE).await.unwrap();
    daemonsets::wait_placed(&client, NAMESPACE, "agent", &workers[..1], DEADLINE)
        .await
        .unwrap();
    wait_status(&client, NAMESPACE, "agent", DEADLINE, "available", |status| {
        status.number_available == Some(1)
    })
    .await
    .unwrap();

    let cache = tempfile::tempdir().unwrap();
    let shell = Shell::new(&workspace())
        .programs(claim.control_plane().toolbox().folder())
        .variable("KUBECONFIG", kubeconfig)
        .variable("KUBECACHEDIR", cache.path())
        .variable("KUBERC", "off")
        .server("localhost:50051", planner.address())
        .server("localhost:50052", executor.address());
    Page::read("docs/api.md").check(&shell, ..).await;
}

#[test]
fn api_page_documents_every_call() {
    let commands = Page::read("docs/api.md").commands().concat();
    let set = FileDescriptorSet::decode(everynode_proto::FILE_DESCRIPTOR_SET).unwrap();
    let services = set
        .file
        .iter()
        .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
    for (package, service) in services {
        for method in &service.method {
            let call = format!("{package}.{}/{}", service.name(), method.name());
            let shown = commands.iter().any(|command| command.contains(&call));
            // Only the executor calls `Session`; users don't.
            assert!(shown || method.name() == "Session", "{call}");
        }
    }
}
