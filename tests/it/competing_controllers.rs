//! Runs Everynode and kube-controller-manager's own controller at the same time, as after an incomplete switch.

use std::time::Duration;

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::nodes::NodeBuilder;
use everynode_tests::wait::eventually;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};

use crate::world::{DEADLINE, World, identities};

/// How long the two controllers may take to agree. They may undo each other's work a few times first.
const AGREEMENT_DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn competing_controllers_converge_and_everynode_reports_the_remedy_once() {
    let mut world = World::new(4).await;
    world
        .claim
        .control_plane()
        .set_daemonset_controller(true)
        .await
        .unwrap();
    let surge = DaemonSetBuilder::new("surge").rolling_update(0, 2);
    for set in [DaemonSetBuilder::new("agent"), surge] {
        world.create(set).await;
    }
    for name in ["agent", "surge"] {
        wait_agreed(&world, name).await;
    }
    for round in 2..5 {
        let node = format!("node-{:02}", 3 + round);
        NodeBuilder::new(&node).create(&world.client).await.unwrap();
        world.nodes.push(node);
        let image = format!("example/daemon:{round}");
        for name in ["agent", "surge"] {
            world.set_image_of(name, &image).await;
            let pods = daemonsets::pods(&world.client, &world.namespace, name)
                .await
                .unwrap();
            let api: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
            // The pod may already be gone.
            let _ = api.delete(&pods[0].name_any(), &DeleteParams::default()).await;
        }
        for name in ["agent", "surge"] {
            wait_agreed(&world, name).await;
        }
    }

    // Without a planner, Everynode creates nothing, so the other controller creates the replacements.
    world.planner.stop().await.unwrap();
    for name in ["agent", "surge"] {
        let pods = daemonsets::pods(&world.client, &world.namespace, name)
            .await
            .unwrap();
        let api: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
        api.delete(&pods[0].name_any(), &DeleteParams::default())
            .await
            .unwrap();
        world
            .wait_event(name, "CompetingController", "--controllers=*,-daemonset")
            .await;
        wait_agreed(&world, name).await;
    }
    world.planner.launch().unwrap();
    world.planner.wait_ready().await.unwrap();
    world.executor.wait_ready().await.unwrap();

    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let fields = "involvedObject.name=agent,reason=CompetingController";
    let reported = events
        .list(&ListParams::default().fields(fields))
        .await
        .unwrap()
        .items;
    assert!(
        reported.len() == 1 && reported[0].type_.as_deref() == Some("Warning"),
        "{reported:#?}"
    );
    assert!(
        reported[0].series.is_none(),
        "the event is repeated: {reported:#?}"
    );
    let detections = world
        .executor
        .metric("everynode_executor_competing_controller_total", "work=\"Pod\"")
        .await
        .unwrap();
    assert!(detections >= 1.0, "{detections}");
    let log = world.executor.log_tail(10_000);
    let lines = log
        .lines()
        .filter(|line| line.contains("by another DaemonSet controller"))
        .count();
    assert_eq!(lines, 2, "one line for each DaemonSet: {log}");
    // When Everynode is alone again, it keeps the existing pods.
    let before = daemonsets::pods(&world.client, &world.namespace, "agent")
        .await
        .unwrap();
    world
        .claim
        .control_plane()
        .set_daemonset_controller(false)
        .await
        .unwrap();
    let after = wait_agreed(&world, "agent").await;
    assert_eq!(identities(&before), identities(&after));
}

/// Waits until every node has one ready pod of the current template and the status says so.
async fn wait_agreed(world: &World, name: &str) -> Vec<Pod> {
    let count = i32::try_from(world.nodes.len()).unwrap();
    let what = format!("both controllers to agree on {name}");
    let agreed = eventually(AGREEMENT_DEADLINE, what, async || {
        let (client, namespace) = (&world.client, &world.namespace);
        daemonsets::wait_status(client, namespace, name, DEADLINE, "rolled out", |status| {
            status.desired_number_scheduled == count
                && status.current_number_scheduled == count
                && status.updated_number_scheduled == Some(count)
                && status.number_available == Some(count)
                && status.number_misscheduled == 0
        })
        .await?;
        let pods = daemonsets::pods(client, namespace, name).await?;
        let alone = daemonsets::by_node(&pods).values().all(|pods| pods.len() == 1);
        let ready = pods.iter().filter(|pod| daemonsets::is_ready(pod)).count();
        anyhow::ensure!(
            alone && pods.len() == world.nodes.len(),
            "{:?}",
            daemonsets::by_node(&pods)
        );
        anyhow::ensure!(ready == pods.len(), "{ready} of {} are ready", pods.len());
        Ok(pods)
    });
    match agreed.await {
        Ok(pods) => pods,
        Err(error) => panic!("{error:#}\n{}\n{}", world.kubectl_overview().await, world.logs()),
    }
}
