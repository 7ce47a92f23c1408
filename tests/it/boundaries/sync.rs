//! Large objects of one tenant don't keep the planner from serving everybody else.

use std::time::Duration;

use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::shared::fresh_namespace;
use everynode_tests::wait::eventually;
use serde_json::json;

use crate::world::{DEADLINE, World};

/// Number of large `DaemonSet`s. Together they exceed the largest message that a planner accepts.
const LARGE: usize = 55;
/// Deadline for serving the last of them.
const LARGE_DEADLINE: Duration = Duration::from_mins(3);

/// A `DaemonSet` of about 1.37 MB. Nearly all of it is values of a node affinity, which match no node.
fn large(name: &str) -> DaemonSetBuilder {
    let values: Vec<_> = (0..20_700).map(|number| format!("{number:0>63}")).collect();
    let requirement = json!({"key": "example.com/none", "operator": "In", "values": values});
    let terms = json!([{"matchExpressions": [requirement]}]);
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    DaemonSetBuilder::new(name).pod_spec(&json!({"affinity": {"nodeAffinity": required}}))
}

#[tokio::test]
async fn large_daemon_sets_of_one_tenant_block_no_others() {
    let mut world = World::new(2).await;
    let tenant = fresh_namespace(&world.client).await.unwrap();
    for number in 0..LARGE {
        large(&format!("large-{number}"))
            .create(&world.client, &tenant)
            .await
            .unwrap();
    }
    // Everynode also serves the large ones: the executor writes the history and the counters of each.
    let last = format!("large-{}", LARGE - 1);
    let sets = kube::Api::<k8s_openapi::api::apps::v1::DaemonSet>::namespaced(world.client.clone(), &tenant);
    let served = eventually(
        LARGE_DEADLINE,
        "the last large DaemonSet to be served",
        async || {
            let status = sets.get(&last).await?.status.unwrap_or_default();
            anyhow::ensure!(status.observed_generation == Some(1), "{status:?}");
            Ok(())
        },
    );
    served
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));

    // The next executor sends all of them in its full sync.
    world.replace_executor(&[]).await;
    let (status, body) = world.executor.get("/readyz").await.unwrap();
    assert_eq!(status, 200, "{body}");
    let log = std::fs::read_to_string(world.executor.log()).unwrap();
    assert!(log.contains("planner accepted the full sync"), "{log}");
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_placed("agent").await;
    let losses = world
        .executor
        .metric("everynode_executor_planner_losses_total", "")
        .await;
    assert!(losses.unwrap() < 1.0, "the planner ended a session");
    let ready = eventually(DEADLINE, "the executor to stay ready", async || {
        let (status, body) = world.executor.get("/readyz").await?;
        anyhow::ensure!(status == 200, "{status}: {body}");
        Ok(())
    });
    ready.await.unwrap();
}
