//! Which policy applies to a `DaemonSet`, and what a policy must not start.

use std::collections::BTreeMap;

use everynode_executor::rollouts::kinds::{
    ClusterDaemonSetRolloutPolicy, DaemonSetRolloutPolicy, PolicyStatus,
};
use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::rollouts;
use everynode_tests::wait::eventually;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use serde_json::{Value, json};

use super::{NEW, Scene, canary, canary_then_all, create_policy, heal, live_pods, wait_all_on};
use crate::world::{DEADLINE, World, identities};

/// Waits until the condition `Accepted` of a policy has this status and reason. Returns the policy's status.
async fn wait_accepted(world: &World, name: &str, status: &str, reason: &str) -> PolicyStatus {
    let policies: Api<DaemonSetRolloutPolicy> = Api::namespaced(world.client.clone(), &world.namespace);
    let what = format!("the policy {name} to be Accepted={status}, {reason}");
    let accepted = eventually(DEADLINE, what, async || {
        let found = policies.get(name).await?.status.unwrap_or_default();
        anyhow::ensure!(has_accepted(&found, status, reason), "{found:?}");
        Ok(found)
    });
    let accepted = accepted.await;
    accepted.unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()))
}

fn has_accepted(found: &PolicyStatus, status: &str, reason: &str) -> bool {
    found.conditions.iter().any(|condition| {
        condition.type_ == "Accepted" && condition.status == status && condition.reason == reason
    })
}

/// Of two policies for a `DaemonSet`, the older one applies. The other one names it, and applies when it is gone.
#[tokio::test]
async fn older_of_two_policies_applies_and_the_other_one_names_it() {
    let scene = Scene::new(3, &canary_then_all()).await;
    // The times of creation have whole seconds, and of two equal ones the first name counts.
    let policies: Api<DaemonSetRolloutPolicy> =
        Api::namespaced(scene.world.client.clone(), &scene.world.namespace);
    let older = policies.get(super::POLICY).await.unwrap();
    let created = older.metadata.creation_timestamp.unwrap().0;
    let later = eventually(DEADLINE, "a later second", async || {
        let now = Timestamp::now();
        anyhow::ensure!(now.as_second() > created.as_second(), "it is {now}");
        Ok(())
    });
    later.await.unwrap();
    create_policy(
        &scene.world,
        "a-newer-policy",
        &json!({"targetRefs": [{"name": "agent"}]}),
    )
    .await;
    let newer = wait_accepted(&scene.world, "a-newer-policy", "False", "Conflicted").await;
    let [target] = &newer.targets[..] else {
        panic!("{newer:?}")
    };
    assert!(target.message.contains(super::POLICY), "{target:?}");
    wait_accepted(&scene.world, super::POLICY, "True", "Accepted").await;
    let canary = scene.roll_out_to_canary(NEW).await;
    let policy = canary.policy_ref.unwrap();
    assert_eq!(
        (policy.kind.as_str(), policy.name.as_str()),
        ("DaemonSetRolloutPolicy", super::POLICY)
    );

    let (client, namespace) = (&scene.world.client, &scene.world.namespace);
    rollouts::delete_policy(client, namespace, super::POLICY)
        .await
        .unwrap();
    wait_accepted(&scene.world, "a-newer-policy", "True", "Accepted").await;
    // The newer policy has no stages.
    scene.wait_all_on(&canary.update_revision).await;
}

/// A policy for a `DaemonSet` that isn't there says so, and applies once it is there.
#[tokio::test]
async fn policy_without_its_daemonset_says_so() {
    let world = World::with_policies(2).await;
    create_policy(&world, "early", &canary_then_all()).await;
    wait_accepted(&world, "early", "False", "TargetNotFound").await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_placed("agent").await;
    wait_accepted(&world, "early", "True", "Accepted").await;
}

/// A policy of the cluster deletes no pod of a `DaemonSet` with the strategy `OnDelete`, and no old pod of any other
/// one: old pods that are there when a policy begins to apply wait for a promotion.
#[tokio::test]
async fn cluster_policy_replaces_no_pod_that_is_there_when_it_is_created() {
    let world = World::with_policies(3).await;
    let mut before = BTreeMap::new();
    for name in ["manual", "agent"] {
        world.create(DaemonSetBuilder::new(name).on_delete()).await;
        world.wait_placed(name).await;
        world.set_image_of(name, NEW).await;
        world
            .wait_status(name, "no pod updated", |status| {
                status.updated_number_scheduled.unwrap_or_default() == 0 && status.number_available == Some(3)
            })
            .await;
    }
    rollouts::create_cluster_policy(&world.client, "all", &json!({"selector": {}}))
        .await
        .unwrap();
    let policies: Api<ClusterDaemonSetRolloutPolicy> = Api::all(world.client.clone());
    let refused = eventually(DEADLINE, "the policy to be refused by both", async || {
        let status = policies.get("all").await?.status.unwrap_or_default();
        let reasons: Vec<_> = status
            .targets
            .iter()
            .map(|target| target.reason.as_str())
            .collect();
        anyhow::ensure!(reasons == ["OnDelete", "OnDelete"], "{status:?}");
        Ok(())
    });
    refused
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    for name in ["manual", "agent"] {
        before.insert(name, live_pods(&world, name).await);
    }

    // Under a rolling update the policy applies, and the old pods wait.
    let rolling = json!({"spec": {"updateStrategy": {"type": "RollingUpdate"}}});
    daemonsets::patch(&world.client, &world.namespace, "agent", &rolling)
        .await
        .unwrap();
    let waiting = super::wait_rollout(&world, "agent", "waiting", |status| {
        status.reason == "PolicyAttached"
    })
    .await;
    assert_eq!(waiting.phase, "Waiting");
    for name in ["manual", "agent"] {
        let after = live_pods(&world, name).await;
        assert_eq!(
            identities(&before[name]),
            identities(&after),
            "{name}\n{}",
            world.logs()
        );
    }
    assert_eq!(
        heal(&world, "agent", "node-02").await,
        waiting.current_revision,
        "a missing pod is created from the current revision"
    );
    let verbs = json!({"promote": {"rollout": waiting.rollout, "stage": ""}});
    rollouts::ask(&world.client, &world.namespace, "agent", &verbs)
        .await
        .unwrap();
    wait_all_on(&world, "agent", &waiting.update_revision).await;
    let after = live_pods(&world, "manual").await;
    assert_eq!(identities(&before["manual"]), identities(&after));
}

async fn set_strategy(scene: &Scene, strategy: &str) {
    let rolling = (strategy == "RollingUpdate").then(|| json!({"maxUnavailable": 1, "maxSurge": 0}));
    let patch: Value = json!({"spec": {"updateStrategy": {"type": strategy, "rollingUpdate": rolling}}});
    daemonsets::patch(&scene.world.client, &scene.world.namespace, "agent", &patch)
        .await
        .unwrap();
}

/// A change of the strategy in the middle of a rollout deletes nothing, whether the policy names the `DaemonSet` or
/// selects it.
#[tokio::test]
async fn changed_strategy_ends_no_hold_of_a_rollout() {
    let named = Scene::new(3, &canary_then_all()).await;
    let canary_named = named.roll_out_to_canary(NEW).await;
    for strategy in ["OnDelete", "RollingUpdate", "OnDelete"] {
        set_strategy(&named, strategy).await;
        named.wait_phase("Waiting", "WaitingForPromotion").await;
        named.check_held("node-02", strategy).await;
    }
    named.check_only_on(&["node-01"]);
    // A policy that names a `DaemonSet` rolls it under OnDelete, too.
    named.promote(canary_named.rollout, "canary").await;
    named.wait_all_on(&canary_named.update_revision).await;
    drop(named);

    let selecting = json!({"selector": {}, "stages": [canary()]});
    let selected = Scene::new(3, &selecting).await;
    let canary = selected.roll_out_to_canary(NEW).await;
    set_strategy(&selected, "OnDelete").await;
    selected.wait_phase("Stalled", "PolicyGone").await;
    selected.check_held("node-02", "OnDelete").await;
    set_strategy(&selected, "RollingUpdate").await;
    selected.wait_phase("Waiting", "WaitingForPromotion").await;
    selected.check_held("node-03", "RollingUpdate").await;
    selected.check_only_on(&["node-01"]);
    selected.promote(canary.rollout, "canary").await;
    selected.wait_all_on(&canary.update_revision).await;
}
