//! Upkeep of the history (contract H1 to H3).

use super::*;
use crate::ownership::history::new_revision;

fn path(revision: &str) -> String {
    format!("{REVISIONS}/{revision}")
}

/// The name and body of the revision that the agent's template gets.
fn recorded(number: i64) -> (String, Value) {
    let (name, body) = new_revision(&agent(), number).unwrap();
    (name, serde_json::from_slice(&body).unwrap())
}

fn hash(next: &NextWork) -> Option<&str> {
    next.revision.as_ref().map(|revision| revision.hash.as_str())
}

fn record() -> Work {
    Work::FixHistory(Step::Record(4), Vec::new())
}

#[test]
fn h1_template_without_a_revision_is_recorded_first() {
    let next = next_of(&cluster(agent(), &[], &[old_revision_json("r0", 3)]));
    assert!(
        matches!(next.work, Some(Work::FixHistory(Step::Record(4), _))),
        "{next:?}"
    );
    assert_eq!(next.revision, None);
}

#[test]
fn h1_history_in_order_yields_the_revision() {
    let next = next_of(&cluster(
        agent(),
        &[],
        &[old_revision_json("r0", 3), revision_json("r1", 4)],
    ));
    assert_eq!(next.revision, Some(TemplateRevision::single("r1".to_owned())));
    assert!(next.work.is_none() && !next.is_cleanup_blocked);
}

#[test]
fn h1_revisions_of_other_owners_are_ignored() {
    let other = with(
        revision_json("r1", 4),
        json!({"metadata": {"ownerReferences": owned_by("ds-2")}}),
    );
    let next = next_of(&cluster(agent(), &[], &[other]));
    assert!(
        matches!(next.work, Some(Work::FixHistory(Step::Record(1), _))),
        "{next:?}"
    );
}

#[test]
fn h1_only_pods_of_duplicate_revisions_are_relabeled() {
    let pod_with_hash = |name: &str, hash: &str| {
        with(
            pod_json(name, 1),
            json!({"metadata": {"labels": {"controller-revision-hash": hash}}}),
        )
    };
    let pods = [
        pod_with_hash("a", "r1"),
        pod_with_hash("b", "r2"),
        pod_with_hash("c", "r0"),
    ];
    let revisions = [
        revision_json("r1", 1),
        revision_json("r2", 2),
        old_revision_json("r0", 0),
    ];
    let next = next_of(&cluster(agent(), &pods, &revisions));
    let Some(Work::FixHistory(Step::Merge { keep, duplicates }, relabel)) = next.work else {
        panic!("{next:?}")
    };
    assert_eq!(
        (keep.name.as_str(), duplicates.len(), relabel),
        ("r2", 1, vec![target("a")])
    );
    let merged = TemplateRevision {
        hash: "r2".to_owned(),
        duplicates: vec!["r1".to_owned()],
    };
    assert_eq!(next.revision, Some(merged), "the planner must expect both");
}

#[test]
fn pods_are_not_relabeled_if_the_duplicate_has_the_same_hash() {
    let same_hash = json!({"metadata": {"labels": {"controller-revision-hash": "r1"}}});
    let pod = with(pod_json("a", 1), same_hash.clone());
    let copy = with(revision_json("copy", 2), same_hash);
    let next = next_of(&cluster(agent(), &[pod], &[revision_json("r1", 1), copy]));
    let Some(Work::FixHistory(Step::Merge { keep, duplicates }, relabel)) = next.work else {
        panic!("{next:?}")
    };
    assert_eq!(
        (keep.name.as_str(), duplicates.len(), relabel),
        ("copy", 1, Vec::new())
    );
    assert_eq!(next.revision, Some(TemplateRevision::single("r1".to_owned())));
}

#[test]
fn p6_daemon_set_that_selects_everything_gets_no_history() {
    let everything = agent_with(json!({"spec": {"selector": {"matchLabels": null}}}));
    let next = next_of(&cluster(everything, &[orphan_json("p1", 1)], &[]));
    assert_eq!(hash(&next), Some(""));
    assert!(next.work.is_none());
}

#[test]
fn h3_revision_of_a_terminating_pod_stays_until_the_pod_is_gone() {
    let limited = agent_with(json!({"spec": {"revisionHistoryLimit": 0}}));
    let deleting = json!({"metadata": {
        "labels": {"controller-revision-hash": "r0"}, "deletionTimestamp": "2026-01-01T00:00:00Z",
    }});
    let pod = with(pod_json("p1", 1), deleting);
    let revisions = [old_revision_json("r0", 3), revision_json("r1", 4)];
    let mut cluster = cluster(limited, std::slice::from_ref(&pod), &revisions);
    let next = next_of(&cluster);
    assert!(next.work.is_none() && next.is_cleanup_blocked, "{next:?}");
    cluster.apply(Change::Pod(Event::Gone(read(&pod))));
    let next = next_of(&cluster);
    let Some(Work::DeleteRevisions(revisions)) = &next.work else {
        panic!("{next:?}")
    };
    assert_eq!(
        (
            revisions.len(),
            revisions[0].name.as_str(),
            next.is_cleanup_blocked
        ),
        (1, "r0", false)
    );
    assert_eq!(hash(&next), Some("r1"), "the cleanup doesn't delay the planner");
}

/// Controller references that carry the agent's uid but mean another object.
fn same_uid_references() -> [Value; 2] {
    [json!({"name": "other"}), json!({"kind": "ReplicaSet"})]
        .map(|change| json!([with(owned_by("ds-1")[0].take(), change)]))
}

#[test]
fn h1_revision_that_matches_only_the_owner_uid_is_not_in_the_history() {
    for reference in same_uid_references() {
        let fake = with(
            revision_json("r9", 9),
            json!({"metadata": {"ownerReferences": reference}}),
        );
        let next = next_of(&cluster(agent(), &[], &[fake]));
        assert!(
            matches!(next.work, Some(Work::FixHistory(Step::Record(1), _))),
            "{next:?}"
        );
    }
}

#[test]
fn pod_that_matches_only_the_owner_uid_is_ignored() {
    let fakes = |labels: &Value| {
        let mut fakes: Vec<_> = same_uid_references()
            .into_iter()
            .map(|reference| {
                let metadata = json!({"ownerReferences": reference, "labels": labels});
                with(pod_json("p1", 1), json!({"metadata": metadata}))
            })
            .collect();
        let tenant = json!({"metadata": {"namespace": "tenant", "labels": labels}});
        fakes.push(with(pod_json("p1", 1), tenant));
        fakes
    };
    let limited = agent_with(json!({"spec": {"revisionHistoryLimit": 0}}));
    for fake in fakes(&json!({"app": "else", "controller-revision-hash": "r0"})) {
        let revisions = [old_revision_json("r0", 1), revision_json("r1", 2)];
        let next = next_of(&cluster(limited.clone(), &[fake], &revisions));
        assert!(
            matches!(&next.work, Some(Work::DeleteRevisions(revisions)) if revisions.len() == 1),
            "{next:?}"
        );
    }
    for fake in fakes(&json!({"controller-revision-hash": "r1"})) {
        let revisions = [revision_json("r1", 1), revision_json("r2", 2)];
        let next = next_of(&cluster(agent(), &[fake], &revisions));
        let Some(Work::FixHistory(Step::Merge { .. }, relabel)) = &next.work else {
            panic!("{next:?}")
        };
        assert!(relabel.is_empty(), "{relabel:?}");
    }
}

#[tokio::test]
async fn h1_name_taken_by_a_revision_that_matches_only_the_owner_uid_counts_a_collision() {
    let (name, _) = recorded(4);
    for reference in same_uid_references() {
        let fake = with(
            revision_json(&name, 1),
            json!({"metadata": {"ownerReferences": reference}}),
        );
        let counted = with(agent_json(), json!({"status": {"collisionCount": 1}}));
        let lines = vec![
            refuse("POST", REVISIONS, already_exists()),
            on("GET", path(&name), fake),
            on("GET", AGENT, agent_json()),
            on("PATCH", AGENT_STATUS, counted),
        ];
        let (written, result) = executed(lines, record()).await;
        result.unwrap();
        assert_eq!(written.daemon_set.unwrap().status.collision_count, Some(1));
        assert!(written.revisions.is_empty());
    }
}

#[tokio::test]
async fn h1_template_is_recorded() {
    let (_, body) = recorded(4);
    let (written, result) = executed(
        vec![on("POST", REVISIONS, body.clone()).with_body(body)],
        record(),
    )
    .await;
    result.unwrap();
    assert_eq!(written.revisions[0].revision, 4);
}

#[tokio::test]
async fn h1_existing_revision_of_the_same_name_and_template_is_used() {
    let (name, body) = recorded(2);
    let lines = vec![
        refuse("POST", REVISIONS, already_exists()),
        on("GET", path(&name), body),
    ];
    let (written, result) = executed(lines, record()).await;
    result.unwrap();
    assert_eq!(names(&written).1, [name]);
}

#[tokio::test]
async fn h1_orphaned_revision_of_the_same_name_and_template_is_adopted_even_if_not_selected() {
    let (name, body) = recorded(2);
    let orphan = with(
        body.clone(),
        json!({"metadata": {"uid": "u", "labels": null, "ownerReferences": null}}),
    );
    let adoption = json!({"metadata": {"uid": "u", "ownerReferences": owned_by("ds-1")}});
    let lines = || {
        vec![
            refuse("POST", REVISIONS, already_exists()),
            on("GET", path(&name), orphan.clone()),
            on("GET", AGENT, agent_json()),
        ]
    };
    let mut adopted = lines();
    adopted.push(on("PATCH", path(&name), body.clone()).with_body(adoption));
    let (written, result) = executed(adopted, record()).await;
    result.unwrap();
    assert_eq!(names(&written).1, [name.as_str()]);
    let mut refused = lines();
    refused.push(refuse("PATCH", path(&name), forbidden("no")));
    let (written, result) = executed(refused, record()).await;
    assert!(
        result.is_err() && written.refused.is_empty(),
        "the work fails without the adoption"
    );
}

#[tokio::test]
async fn h1_deleting_revision_of_the_same_name_is_waited_for() {
    let (name, body) = recorded(2);
    let deleting = with(
        body,
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
    );
    let lines = vec![
        refuse("POST", REVISIONS, already_exists()),
        on("GET", path(&name), deleting),
    ];
    let error = shown(&executed(lines, record()).await.1.unwrap_err());
    assert!(error.contains("is being deleted"), "{error}");
}

#[tokio::test]
async fn h1_name_taken_by_another_template_counts_a_collision() {
    let (name, body) = recorded(2);
    let other_template = with(
        body.clone(),
        json!({"data": {"spec": {"template": {"spec": {"x": 1}}}}}),
    );
    let other_owner = with(body, json!({"metadata": {"ownerReferences": owned_by("ds-2")}}));
    for other in [other_template, other_owner] {
        let counted = with(agent_json(), json!({"status": {"collisionCount": 1}}));
        let fresh = with(agent_json(), json!({"metadata": {"resourceVersion": "30"}}));
        let body = json!({
            "metadata": {"uid": "ds-1", "resourceVersion": "30"}, "status": {"collisionCount": 1},
        });
        let lines = vec![
            refuse("POST", REVISIONS, already_exists()),
            on("GET", path(&name), other),
            on("GET", AGENT, fresh),
            on("PATCH", AGENT_STATUS, counted).with_body(body),
        ];
        let (written, result) = executed(lines, record()).await;
        result.unwrap();
        assert_eq!(written.daemon_set.unwrap().status.collision_count, Some(1));
    }
}

#[tokio::test]
async fn h1_collision_counted_by_somebody_else_is_not_counted_again() {
    let (name, _) = recorded(2);
    let counted = with(agent_json(), json!({"status": {"collisionCount": 5}}));
    let lines = vec![
        refuse("POST", REVISIONS, already_exists()),
        on("GET", path(&name), old_revision_json(&name, 1)),
        on("GET", AGENT, counted),
    ];
    let (written, result) = executed(lines, record()).await;
    result.unwrap();
    assert_eq!(written.daemon_set.unwrap().status.collision_count, Some(5));
}

#[tokio::test]
async fn h1_deleted_daemon_set_counts_no_collision() {
    let (name, _) = recorded(2);
    let lines = vec![
        refuse("POST", REVISIONS, already_exists()),
        on("GET", path(&name), old_revision_json(&name, 1)),
        refuse("GET", AGENT, not_found()),
    ];
    let (written, result) = executed(lines, record()).await;
    result.unwrap();
    assert!(written.is_gone);
}

#[tokio::test]
async fn h1_merging_relabels_pods_and_then_deletes_the_duplicates() {
    let step = || Step::Merge {
        keep: known(&revision_json("r2", 2)),
        duplicates: vec![known(&revision_json("r1", 1))],
    };
    let body = json!({"metadata": {"uid": "uid of a", "labels": {"controller-revision-hash": "r2"}}});
    let lines = vec![
        on("PATCH", format!("{PODS}/a"), pod_json("a", 9)).with_body(body),
        on("DELETE", path("r1"), json!({})).with_body(json!({"preconditions": {"uid": "uid of r1"}})),
    ];
    let (written, result) = executed(lines, Work::FixHistory(step(), vec![target("a")])).await;
    result.unwrap();
    assert_eq!(names(&written).0, ["a"]);
    assert_eq!(written.deleted_revisions, ["uid of r1".into()]);
    let lines = vec![refuse("PATCH", format!("{PODS}/a"), forbidden("no"))];
    let (written, result) = executed(lines, Work::FixHistory(step(), vec![target("a")])).await;
    assert!(
        result.is_err() && written.deleted_revisions.is_empty(),
        "a pod still carries the duplicate"
    );
}

#[tokio::test]
async fn h1_label_and_renumber_patches_carry_the_uid_of_the_revision() {
    let label = json!({"metadata": {"uid": "uid of r1", "labels": {"controller-revision-hash": "r1"}}});
    let number = json!({"metadata": {"uid": "uid of r1"}, "revision": 8});
    let steps = [
        (Step::Label(known(&revision_json("r1", 1))), label),
        (Step::Renumber(known(&revision_json("r1", 1)), 8), number),
    ];
    for (step, body) in steps {
        let work = || Work::FixHistory(step.clone(), Vec::new());
        let lines = vec![on("PATCH", path("r1"), revision_json("r1", 8)).with_body(body)];
        let (written, result) = executed(lines, work()).await;
        result.unwrap();
        assert_eq!(names(&written).1, ["r1"]);
        let (written, result) = executed(vec![refuse("PATCH", path("r1"), not_found())], work()).await;
        result.unwrap();
        assert_eq!(written.deleted_revisions, ["uid of r1".into()]);
    }
}

#[tokio::test]
async fn h3_deletion_of_revisions_tolerates_missing_ones_and_returns_the_deleted() {
    let revisions = ["a", "b", "c", "d"]
        .map(|name| known(&old_revision_json(name, 1)))
        .to_vec();
    let lines = vec![
        on("DELETE", path("a"), json!({})),
        refuse("DELETE", path("b"), not_found()),
        refuse("DELETE", path("c"), conflict()),
        refuse("DELETE", path("d"), forbidden("no")),
    ];
    let (written, result) = executed(lines, Work::DeleteRevisions(revisions)).await;
    assert_eq!(
        shown(&result.unwrap_err()),
        "can't delete ControllerRevision d: no"
    );
    assert_eq!(
        written.deleted_revisions,
        ["uid of a".into(), "uid of b".into(), "uid of c".into()]
    );
}
