//! Conditions in a `DaemonSet`'s status, which show its state to people and to `kubectl wait`.

use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetCondition};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::world::{DEADLINE, World};

fn sets(world: &World) -> Api<DaemonSet> {
    Api::namespaced(world.client.clone(), &world.namespace)
}

/// Waits until a condition of `agent` has this status and reason, and returns it.
async fn wait_condition(world: &World, kind: &str, status: &str, reason: &str) -> DaemonSetCondition {
    let what = format!("{kind} to be {status}, {reason}");
    let found = eventually(DEADLINE, what, async || {
        let conditions = sets(world)
            .get("agent")
            .await?
            .status
            .unwrap_or_default()
            .conditions;
        let conditions = conditions.unwrap_or_default();
        let found = conditions.iter().find(|it| {
            [&it.type_, &it.status, &it.reason].map(Option::as_deref) == [kind, status, reason].map(Some)
        });
        anyhow::ensure!(found.is_some(), "the conditions are {conditions:?}");
        Ok(found.cloned())
    });
    let found = found.await;
    found
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()))
        .unwrap()
}

#[tokio::test]
async fn kubectl_waits_for_conditions_and_rollout_keeps_their_transition_times() {
    let (world, _) = World::with_agent(3).await;
    let kubectl = world.claim.kubectl().unwrap();
    kubectl
        .run(["wait", "--for=condition=Available", "ds/agent", "--timeout=30s"])
        .await
        .unwrap();
    kubectl.run(["describe", "ds/agent"]).await.unwrap();
    let before = wait_condition(&world, "Progressing", "True", "NewRevisionAvailable").await;
    assert!(before.last_transition_time.is_some(), "{before:?}");

    world.set_image("example/daemon:2").await;
    world.wait_rolled_out().await;
    let after = wait_condition(&world, "Progressing", "True", "NewRevisionAvailable").await;
    assert_eq!(
        after.last_transition_time, before.last_transition_time,
        "the condition stayed true"
    );
    wait_condition(&world, "Degraded", "False", "AsExpected").await;
}

#[tokio::test]
async fn full_quota_sets_degraded_with_the_servers_message_until_the_quota_is_raised() {
    let world = World::new(3).await;
    let quotas = world.create_quota(1).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    let degraded = wait_condition(&world, "Degraded", "True", "CreateRefused").await;
    let message = degraded.message.unwrap_or_default();
    assert!(message.contains("exceeded quota: few"), "{message}");
    wait_condition(&world, "Available", "False", "MinimumReplicasUnavailable").await;

    let raised = json!({"spec": {"hard": {"pods": "9"}}});
    quotas
        .patch("few", &PatchParams::default(), &Patch::Merge(&raised))
        .await
        .unwrap();
    wait_condition(&world, "Available", "True", "MinimumReplicasAvailable").await;
    wait_condition(&world, "Degraded", "False", "AsExpected").await;
}

#[tokio::test]
async fn disabling_conditions_removes_only_our_own() {
    let (mut world, _) = World::with_agent(2).await;
    wait_condition(&world, "Available", "True", "MinimumReplicasAvailable").await;
    let theirs = json!({"type": "Theirs", "status": "True"});
    let theirs = json!({"status": {"conditions": [theirs]}});
    sets(&world)
        .patch_status("agent", &PatchParams::default(), &Patch::Strategic(&theirs))
        .await
        .unwrap();

    world.replace_executor(&["--status-conditions=false"]).await;
    let only_theirs = eventually(
        DEADLINE,
        "only the other client's condition to remain",
        async || {
            let conditions = sets(&world)
                .get("agent")
                .await?
                .status
                .unwrap_or_default()
                .conditions;
            let kinds: Vec<_> = conditions
                .unwrap_or_default()
                .into_iter()
                .filter_map(|it| it.type_)
                .collect();
            anyhow::ensure!(kinds == ["Theirs"], "the conditions are {kinds:?}");
            Ok(())
        },
    );
    only_theirs
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
}
