//! Work that is refused for one `DaemonSet` must not hold up the others.

use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::shared::fresh_namespace;
use everynode_tests::wait::eventually;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{DEADLINE, World};

#[tokio::test]
async fn p3_malformed_daemonset_gets_an_event_and_others_get_their_pods() {
    let world = World::new(3).await;
    let terms = json!([{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["many"]}]}]);
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    world.create(DaemonSetBuilder::new("first")).await;
    DaemonSetBuilder::new("malformed")
        .pod_spec(&json!({"affinity": {"nodeAffinity": required}}))
        .create(&world.client, &world.namespace)
        .await
        .unwrap();
    world.create(DaemonSetBuilder::new("last")).await;

    world.wait_placed("first").await;
    world.wait_placed("last").await;
    world
        .wait_event(
            "malformed",
            "MalformedNodeAffinity",
            "\"many\" must be an integer",
        )
        .await;
    world
        .wait_status("malformed", "no pods", |status| {
            status.desired_number_scheduled == 0
        })
        .await;
    assert!(
        daemonsets::pods(&world.client, &world.namespace, "malformed")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn c5_quota_blocks_one_daemonset_with_event_and_accurate_status_until_raised() {
    let world = World::new(4).await;
    let quotas = world.create_quota(2).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world
        .wait_event("agent", "FailedCreate", "exceeded quota: few")
        .await;
    world
        .wait_status("agent", "two of four", |status| {
            status.desired_number_scheduled == 4
                && status.current_number_scheduled == 2
                && status.number_ready == 2
        })
        .await;

    let elsewhere = fresh_namespace(&world.client).await.unwrap();
    DaemonSetBuilder::new("other")
        .create(&world.client, &elsewhere)
        .await
        .unwrap();
    daemonsets::wait_placed(&world.client, &elsewhere, "other", &world.nodes, DEADLINE)
        .await
        .unwrap();

    let raised = json!({"spec": {"hard": {"pods": "10"}}});
    quotas
        .patch("few", &PatchParams::default(), &Patch::Merge(&raised))
        .await
        .unwrap();
    let twice = DEADLINE * 2;
    let placed = daemonsets::wait_placed(&world.client, &world.namespace, "agent", &world.nodes, twice).await;
    placed.unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
}

#[tokio::test]
async fn namespace_deletion_completes_and_blocks_nothing_else() {
    let mut world = World::new(3).await;
    let leaving = fresh_namespace(&world.client).await.unwrap();
    DaemonSetBuilder::new("agent")
        .create(&world.client, &leaving)
        .await
        .unwrap();
    daemonsets::wait_placed(&world.client, &leaving, "agent", &world.nodes, DEADLINE)
        .await
        .unwrap();

    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces
        .delete(&leaving, &DeleteParams::default())
        .await
        .unwrap();
    world.create(DaemonSetBuilder::new("other")).await;
    world.wait_placed("other").await;
    let gone = eventually(DEADLINE * 2, "the namespace to be gone", async || {
        let left = namespaces.get_opt(&leaving).await?;
        let status: Option<Value> = left.as_ref().map(|left| json!(left.status));
        anyhow::ensure!(left.is_none(), "the namespace exists: {status:?}");
        Ok(())
    });
    gone.await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    assert!(world.executor.is_running());
}
