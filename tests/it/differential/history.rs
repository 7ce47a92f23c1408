//! Differential scenarios for revisions: created, reused, merged, removed.

use anyhow::{Context as _, Result, ensure};
use everynode_tests::differential::{Lockstep, side::Side, state::State};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::agent;
use super::steps::begin;

/// Rolls out another image and waits until every pod has it.
async fn update(lockstep: &mut Lockstep, number: u32, revisions: &[i64]) -> Result<()> {
    let image = format!("example/daemon:{number}");
    let change = async |side: &Side| side.set_image("agent", &image).await;
    lockstep.step(&image, change, rolled_out_with(revisions)).await
}

fn rolled_out_with(revisions: &[i64]) -> impl Fn(&State) -> Result<()> {
    move |state| {
        let found = state.revisions("agent");
        ensure!(
            found == revisions,
            "the revisions are {found:?}, not {revisions:?}"
        );
        state.check_rolled_out("agent", 2)
    }
}

async fn revision(side: &Side, number: i64) -> Result<ControllerRevision> {
    let api: Api<ControllerRevision> = side.api();
    let found = api
        .list(&ListParams::default())
        .await?
        .into_iter()
        .find(|revision| revision.revision == Some(number));
    found.with_context(|| format!("there is no revision {number}"))
}

pub(super) async fn h1_collision(lockstep: &mut Lockstep) -> Result<()> {
    // A first DaemonSet shows which name its revision gets. Then an unrelated revision takes that name.
    begin(lockstep, 2, &agent()).await?;
    let again = async |side: &Side| {
        let mut taken = revision(side, 1).await?;
        side.delete("agent", &DeleteParams::foreground()).await?;
        side.wait_gone("agent").await?;
        taken.metadata.owner_references = None;
        taken.metadata.resource_version = None;
        taken.metadata.uid = None;
        taken.metadata.labels = Some([("app".to_owned(), "another".to_owned())].into());
        taken.data = serde_json::from_value(json!({"spec": {"template": {"$patch": "replace"}}}))?;
        let api: Api<ControllerRevision> = side.api();
        api.create(&PostParams::default(), &taken).await?;
        side.create(agent()).await
    };
    let done = |state: &State| {
        state.check_counts("agent", &[("collisionCount", 1)])?;
        state.check_rolled_out("agent", 2)
    };
    lockstep
        .step("create again with the revision's name taken", again, done)
        .await
}

pub(super) async fn h1_duplicate(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    update(lockstep, 2, &[1, 2]).await?;
    let add = async |side: &Side| {
        let mut duplicate = revision(side, 2).await?;
        duplicate.metadata.name = Some(format!("{}-twin", duplicate.name_any()));
        duplicate.metadata.resource_version = None;
        duplicate.metadata.uid = None;
        duplicate.revision = Some(3);
        let api: Api<ControllerRevision> = side.api();
        api.create(&PostParams::default(), &duplicate).await?;
        side.trigger_reconcile("agent").await
    };
    // The contract doesn't say which of the two is kept, only that one is, with the highest number.
    lockstep
        .step(
            "a duplicate of the current revision",
            add,
            rolled_out_with(&[1, 3]),
        )
        .await
}

pub(super) async fn h1_annotations_and_labels(lockstep: &mut Lockstep) -> Result<()> {
    let annotations = json!({"metadata": {"annotations": {"note": "first"}}});
    begin(lockstep, 2, &agent().with(&annotations)).await?;
    let annotate = async |side: &Side| {
        side.patch(
            "agent",
            &json!({"metadata": {"annotations": {"note": "second"}, "labels": {"team": "a"}}}),
        )
        .await
    };
    lockstep
        .step("change an annotation", annotate, rolled_out_with(&[1]))
        .await?;
    let label = async |side: &Side| {
        side.patch_template("agent", &json!({"metadata": {"labels": {"tier": "node"}}}))
            .await
    };
    lockstep
        .step("add a label to the template", label, rolled_out_with(&[1, 2]))
        .await
}

pub(super) async fn h3_limit(lockstep: &mut Lockstep) -> Result<()> {
    begin(
        lockstep,
        2,
        &agent().with(&json!({"spec": {"revisionHistoryLimit": 1}})),
    )
    .await?;
    update(lockstep, 2, &[1, 2]).await?;
    update(lockstep, 3, &[2, 3]).await?;
    update(lockstep, 4, &[3, 4]).await?;
    let more = async |side: &Side| {
        side.patch("agent", &json!({"spec": {"revisionHistoryLimit": 5}}))
            .await
    };
    lockstep
        .step("raise the limit", more, rolled_out_with(&[3, 4]))
        .await?;
    update(lockstep, 5, &[3, 4, 5]).await
}

pub(super) async fn h3_limit_zero(lockstep: &mut Lockstep) -> Result<()> {
    begin(
        lockstep,
        2,
        &agent().with(&json!({"spec": {"revisionHistoryLimit": 0}})),
    )
    .await?;
    update(lockstep, 2, &[2]).await?;
    update(lockstep, 3, &[3]).await
}

pub(super) async fn h3_in_use(lockstep: &mut Lockstep) -> Result<()> {
    begin(
        lockstep,
        2,
        &agent()
            .on_delete()
            .with(&json!({"spec": {"revisionHistoryLimit": 0}})),
    )
    .await?;
    for (number, revisions) in [(2, vec![1, 2]), (3, vec![1, 3])] {
        let image = format!("example/daemon:{number}");
        let change = async |side: &Side| side.set_image("agent", &image).await;
        let kept = |state: &State| {
            let found = state.revisions("agent");
            ensure!(
                found == revisions,
                "the revisions are {found:?}, not {revisions:?}"
            );
            state.check_counts("agent", &[("updatedNumberScheduled", 0), ("numberAvailable", 2)])
        };
        lockstep.step(&image, change, kept).await?;
    }
    let delete = async |side: &Side| {
        side.delete_pod(&side.pod_on("agent", 1).await?).await?;
        side.delete_pod(&side.pod_on("agent", 2).await?).await
    };
    lockstep
        .step(
            "delete the pods that use the first revision",
            delete,
            rolled_out_with(&[3]),
        )
        .await
}

pub(super) async fn h4_undo(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent()).await?;
    update(lockstep, 2, &[1, 2]).await?;
    update(lockstep, 3, &[1, 2, 3]).await?;
    let undo = async |side: &Side| side.kubectl(&["rollout", "undo", "ds/agent"]).await.map(drop);
    lockstep
        .step("undo to the previous revision", undo, rolled_out_with(&[1, 3, 4]))
        .await?;
    let first = async |side: &Side| {
        side.kubectl(&["rollout", "undo", "ds/agent", "--to-revision=1"])
            .await
            .map(drop)
    };
    lockstep
        .step("undo to the first revision", first, rolled_out_with(&[3, 4, 5]))
        .await?;
    let history = lockstep
        .compare_output(&["rollout", "history", "ds/agent"])
        .await?;
    ensure!(
        history
            .lines()
            .filter(|line| line.starts_with(char::is_numeric))
            .count()
            == 3,
        "{history}"
    );
    lockstep
        .compare_output(&["rollout", "history", "ds/agent", "--revision=4"])
        .await?;
    lockstep
        .compare_output(&["rollout", "status", "ds/agent"])
        .await?;
    Ok(())
}

pub(super) async fn h4_rollout_history(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent().rolling_update("100%", 0)).await?;
    let all: Vec<i64> = (1..=6).collect();
    let change = async |side: &Side| {
        for number in 2..=6 {
            side.patch(
                "agent",
                &json!({"metadata": {"annotations": {"kubernetes.io/change-cause": format!("v{number}")}}}),
            )
            .await?;
            side.set_image("agent", &format!("example/daemon:{number}"))
                .await?;
            let known =
                everynode_tests::wait::eventually(crate::world::DEADLINE, "the revision", async || {
                    revision(side, number).await.map(drop)
                });
            known.await?;
        }
        Ok(())
    };
    lockstep
        .step("several updates in sequence", change, rolled_out_with(&all))
        .await?;
    lockstep
        .compare_output(&["rollout", "history", "ds/agent"])
        .await?;
    Ok(())
}
