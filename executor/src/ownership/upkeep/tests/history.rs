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

fn record() -> Work {
    Work::Order(Step::Record(4), Vec::new())
}

#[test]
fn h1_a_template_without_a_revision_is_recorded_before_the_planner_hears_of_it() {
    let next = next_of(&cluster(agent(), &[], &[old_revision_json("r0", 3)]));
    assert!(
        matches!(next.work, Some(Work::Order(Step::Record(4), _))),
        "{next:?}"
    );
    assert_eq!(next.revision, None);
}

#[test]
fn h1_a_settled_history_says_the_revision() {
    let next = next_of(&cluster(
        agent(),
        &[],
        &[old_revision_json("r0", 3), revision_json("r1", 4)],
    ));
    assert_eq!(next.revision.as_deref(), Some("r1"));
    assert!(next.work.is_none() && !next.is_held_up);
}

#[test]
fn h1_revisions_of_others_are_not_the_agents() {
    let other = with(
        revision_json("r1", 4),
        json!({"metadata": {"ownerReferences": owned_by("ds-2")}}),
    );
    let next = next_of(&cluster(agent(), &[], &[other]));
    assert!(
        matches!(next.work, Some(Work::Order(Step::Record(1), _))),
        "{next:?}"
    );
}

#[test]
fn h1_only_pods_of_the_duplicates_are_relabelled() {
    let carrying = |name: &str, hash: &str| {
        with(
            pod_json(name, 1),
            json!({"metadata": {"labels": {"controller-revision-hash": hash}}}),
        )
    };
    let pods = [carrying("a", "r1"), carrying("b", "r2"), carrying("c", "r0")];
    let revisions = [
        revision_json("r1", 1),
        revision_json("r2", 2),
        old_revision_json("r0", 0),
    ];
    let next = next_of(&cluster(agent(), &pods, &revisions));
    let Some(Work::Order(Step::Merge { keep, duplicates }, relabel)) = next.work else {
        panic!("{next:?}")
    };
    assert_eq!(
        (keep.name.as_str(), duplicates.len(), relabel),
        ("r2", 1, vec![target("a")])
    );
}

#[test]
fn p6_a_daemon_set_that_selects_everything_gets_no_history() {
    let everything = agent_with(json!({"spec": {"selector": {"matchLabels": null}}}));
    let next = next_of(&cluster(everything, &[orphan_json("p1", 1)], &[]));
    assert_eq!(next.revision.as_deref(), Some(""));
    assert!(next.work.is_none());
}

#[test]
fn h3_a_revision_that_a_terminating_pod_carries_stays_until_the_pod_is_gone() {
    let limited = agent_with(json!({"spec": {"revisionHistoryLimit": 0}}));
    let deleting = json!({"metadata": {
        "labels": {"controller-revision-hash": "r0"}, "deletionTimestamp": "2026-01-01T00:00:00Z",
    }});
    let pod = with(pod_json("p1", 1), deleting);
    let revisions = [old_revision_json("r0", 3), revision_json("r1", 4)];
    let mut cluster = cluster(limited, std::slice::from_ref(&pod), &revisions);
    let next = next_of(&cluster);
    assert!(next.work.is_none() && next.is_held_up, "{next:?}");
    cluster.apply(Change::Pod(Event::Gone(read(&pod))));
    let next = next_of(&cluster);
    let Some(Work::Clean(surplus)) = next.work else {
        panic!("{next:?}")
    };
    assert_eq!(
        (surplus.len(), surplus[0].name.as_str(), next.is_held_up),
        (1, "r0", false)
    );
    assert_eq!(
        next.revision.as_deref(),
        Some("r1"),
        "cleaning keeps nobody waiting"
    );
}

/// Controller references that carry the agent's uid but mean another object.
fn disguises() -> [Value; 2] {
    [json!({"name": "other"}), json!({"kind": "ReplicaSet"})]
        .map(|change| json!([with(owned_by("ds-1")[0].take(), change)]))
}

#[test]
fn h1_a_revision_that_carries_only_the_uid_of_the_daemon_set_is_not_in_its_history() {
    for reference in disguises() {
        let fake = with(
            revision_json("r9", 9),
            json!({"metadata": {"ownerReferences": reference}}),
        );
        let next = next_of(&cluster(agent(), &[], &[fake]));
        assert!(
            matches!(next.work, Some(Work::Order(Step::Record(1), _))),
            "{next:?}"
        );
    }
}

#[test]
fn a_pod_that_carries_only_the_uid_of_the_daemon_set_is_neither_released_nor_relabelled_nor_does_it_keep_a_revision()
 {
    let fakes = |labels: &Value| {
        let mut fakes: Vec<_> = disguises()
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
            matches!(&next.work, Some(Work::Clean(surplus)) if surplus.len() == 1),
            "{next:?}"
        );
    }
    for fake in fakes(&json!({"controller-revision-hash": "r1"})) {
        let revisions = [revision_json("r1", 1), revision_json("r2", 2)];
        let next = next_of(&cluster(agent(), &[fake], &revisions));
        let Some(Work::Order(Step::Merge { .. }, relabel)) = &next.work else {
            panic!("{next:?}")
        };
        assert!(relabel.is_empty(), "{relabel:?}");
    }
}

#[tokio::test]
async fn h1_a_name_taken_by_a_revision_that_carries_only_the_uid_counts_a_collision() {
    let (name, _) = recorded(4);
    for reference in disguises() {
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
        let (wrote, result) = carried(lines, record()).await;
        result.unwrap();
        assert_eq!(wrote.daemon_set.unwrap().status.collision_count, Some(1));
        assert!(wrote.revisions.is_empty());
    }
}

#[tokio::test]
async fn h1_a_template_is_recorded() {
    let (_, body) = recorded(4);
    let (wrote, result) = carried(vec![on("POST", REVISIONS, body.clone()).sent(body)], record()).await;
    result.unwrap();
    assert_eq!(wrote.revisions[0].revision, 4);
}

#[tokio::test]
async fn h1_a_name_taken_by_the_same_template_is_the_revision() {
    let (name, body) = recorded(2);
    let lines = vec![
        refuse("POST", REVISIONS, already_exists()),
        on("GET", path(&name), body),
    ];
    let (wrote, result) = carried(lines, record()).await;
    result.unwrap();
    assert_eq!(names(&wrote).1, [name]);
}

#[tokio::test]
async fn h1_a_name_taken_by_an_orphan_of_the_same_template_is_adopted_even_if_not_selected() {
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
    adopted.push(on("PATCH", path(&name), body.clone()).sent(adoption));
    let (wrote, result) = carried(adopted, record()).await;
    result.unwrap();
    assert_eq!(names(&wrote).1, [name.as_str()]);
    let mut refused = lines();
    refused.push(refuse("PATCH", path(&name), forbidden("no")));
    let (wrote, result) = carried(refused, record()).await;
    assert!(
        result.is_err() && wrote.refused.is_empty(),
        "there is no going on without it"
    );
}

#[tokio::test]
async fn h1_a_name_whose_revision_is_being_deleted_is_waited_for() {
    let (name, body) = recorded(2);
    let deleting = with(
        body,
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
    );
    let lines = vec![
        refuse("POST", REVISIONS, already_exists()),
        on("GET", path(&name), deleting),
    ];
    let error = carried(lines, record()).await.1.unwrap_err().to_string();
    assert!(error.contains("is being deleted"), "{error}");
}

#[tokio::test]
async fn h1_a_name_taken_by_another_template_counts_a_collision() {
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
            on("PATCH", AGENT_STATUS, counted).sent(body),
        ];
        let (wrote, result) = carried(lines, record()).await;
        result.unwrap();
        assert_eq!(wrote.daemon_set.unwrap().status.collision_count, Some(1));
    }
}

#[tokio::test]
async fn h1_a_collision_that_was_counted_already_only_has_to_be_seen() {
    let (name, _) = recorded(2);
    let counted = with(agent_json(), json!({"status": {"collisionCount": 5}}));
    let lines = vec![
        refuse("POST", REVISIONS, already_exists()),
        on("GET", path(&name), old_revision_json(&name, 1)),
        on("GET", AGENT, counted),
    ];
    let (wrote, result) = carried(lines, record()).await;
    result.unwrap();
    assert_eq!(wrote.daemon_set.unwrap().status.collision_count, Some(5));
}

#[tokio::test]
async fn h1_a_daemon_set_that_is_gone_counts_no_collision() {
    let (name, _) = recorded(2);
    let lines = vec![
        refuse("POST", REVISIONS, already_exists()),
        on("GET", path(&name), old_revision_json(&name, 1)),
        refuse("GET", AGENT, not_found()),
    ];
    let (wrote, result) = carried(lines, record()).await;
    result.unwrap();
    assert!(wrote.is_gone);
}

#[tokio::test]
async fn h1_merging_relabels_pods_and_then_deletes_the_duplicates() {
    let step = || Step::Merge {
        keep: known(&revision_json("r2", 2)),
        duplicates: vec![known(&revision_json("r1", 1))],
    };
    let body = json!({"metadata": {"uid": "uid of a", "labels": {"controller-revision-hash": "r2"}}});
    let lines = vec![
        on("PATCH", format!("{PODS}/a"), pod_json("a", 9)).sent(body),
        on("DELETE", path("r1"), json!({})).sent(json!({"preconditions": {"uid": "uid of r1"}})),
    ];
    let (wrote, result) = carried(lines, Work::Order(step(), vec![target("a")])).await;
    result.unwrap();
    assert_eq!(names(&wrote).0, ["a"]);
    assert_eq!(wrote.deleted_revisions, ["uid of r1".into()]);
    let lines = vec![refuse("PATCH", format!("{PODS}/a"), forbidden("no"))];
    let (wrote, result) = carried(lines, Work::Order(step(), vec![target("a")])).await;
    assert!(
        result.is_err() && wrote.deleted_revisions.is_empty(),
        "a pod still carries the duplicate"
    );
}

#[tokio::test]
async fn h1_labels_and_numbers_are_given_to_just_the_revision_that_was_seen() {
    let label = json!({"metadata": {"uid": "uid of r1", "labels": {"controller-revision-hash": "r1"}}});
    let number = json!({"metadata": {"uid": "uid of r1"}, "revision": 8});
    let steps = [
        (Step::Label(known(&revision_json("r1", 1))), label),
        (Step::Renumber(known(&revision_json("r1", 1)), 8), number),
    ];
    for (step, body) in steps {
        let work = || Work::Order(step.clone(), Vec::new());
        let lines = vec![on("PATCH", path("r1"), revision_json("r1", 8)).sent(body)];
        let (wrote, result) = carried(lines, work()).await;
        result.unwrap();
        assert_eq!(names(&wrote).1, ["r1"]);
        let (wrote, result) = carried(vec![refuse("PATCH", path("r1"), not_found())], work()).await;
        result.unwrap();
        assert_eq!(wrote.deleted_revisions, ["uid of r1".into()]);
    }
}

#[tokio::test]
async fn h3_surplus_is_deleted_whoever_is_faster_and_what_was_deleted_is_known() {
    let surplus = ["a", "b", "c", "d"]
        .map(|name| known(&old_revision_json(name, 1)))
        .to_vec();
    let lines = vec![
        on("DELETE", path("a"), json!({})),
        refuse("DELETE", path("b"), not_found()),
        refuse("DELETE", path("c"), conflict()),
        refuse("DELETE", path("d"), forbidden("no")),
    ];
    let (wrote, result) = carried(lines, Work::Clean(surplus)).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "can't delete ControllerRevision d: no"
    );
    assert_eq!(
        wrote.deleted_revisions,
        ["uid of a".into(), "uid of b".into(), "uid of c".into()]
    );
}
