//! Adoption and release (contract A1 to A4).

use super::*;

fn orphans(pods: &[&str], revisions: &[&str]) -> Orphans {
    let targets = |names: &[&str]| names.iter().map(|name| target(name)).collect();
    Orphans {
        pods: targets(pods),
        revisions: targets(revisions),
    }
}

fn adoption(uid: &str) -> Value {
    json!({"metadata": {"uid": uid, "ownerReferences": owned_by("ds-1")}})
}

fn path(pod: &str) -> String {
    format!("{PODS}/{pod}")
}

#[test]
fn a1_matching_orphans_are_adopted_before_other_work() {
    let orphan_revision = with(
        revision_json("r1", 1),
        json!({"metadata": {"ownerReferences": []}}),
    );
    let deleting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let pods = [
        orphan_json("b", 1),
        orphan_json("a", 2),
        with(orphan_json("gone soon", 3), deleting),
        with(
            orphan_json("other", 4),
            json!({"metadata": {"labels": {"app": "other"}}}),
        ),
        with(
            orphan_json("elsewhere", 5),
            json!({"metadata": {"namespace": "elsewhere"}}),
        ),
        pod_json("own", 6),
    ];
    let cluster = cluster(agent(), &pods, &[orphan_revision]);
    let next = next_of(&cluster);
    let Some(Work::Adopt(found)) = next.work else {
        panic!("{next:?}")
    };
    assert_eq!(found, orphans(&["a", "b"], &["r1"]));
    assert_eq!(next.revision, None);
    let refused = HashSet::from(["uid of a".into(), "uid of b".into(), "uid of r1".into()]);
    let work = super::next(&cluster, cluster.daemon_set("ds-1").unwrap(), &refused).work;
    assert!(
        matches!(work, Some(Work::FixHistory(..))),
        "refused orphans don't block other work: {work:?}"
    );
}

#[test]
fn a2_pods_that_no_longer_match_are_released() {
    let unselected_pod = with(
        pod_json("p1", 1),
        json!({"metadata": {"labels": {"app": "else"}}}),
    );
    let next = next_of(&cluster(
        agent(),
        &[unselected_pod, pod_json("p2", 2)],
        &[revision_json("r1", 1)],
    ));
    let Some(Work::Release(unselected)) = next.work else {
        panic!("{next:?}")
    };
    assert_eq!(unselected, [target("p1")]);
}

#[tokio::test]
async fn a1_adoption_follows_a_fresh_read() {
    let lines = vec![
        on(
            "GET",
            AGENT,
            with(agent_json(), json!({"metadata": {"resourceVersion": "20"}})),
        ),
        on("PATCH", path("a"), pod_json("a", 21)).with_body(adoption("uid of a")),
        on("PATCH", format!("{REVISIONS}/r1"), revision_json("r1", 1)).with_body(adoption("uid of r1")),
    ];
    let (written, result) = executed(lines, Work::Adopt(orphans(&["a"], &["r1"]))).await;
    result.unwrap();
    assert_eq!(names(&written), (vec!["a"], vec!["r1"]));
    assert_eq!(written.daemon_set.unwrap().metadata.resource_version, "20");
    assert!(!written.is_gone);
}

#[tokio::test]
async fn a1_daemon_set_that_is_gone_deleting_or_replaced_adopts_nothing() {
    let deleting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let reads = [
        on("GET", AGENT, with(agent_json(), deleting)),
        on(
            "GET",
            AGENT,
            with(agent_json(), json!({"metadata": {"uid": "ds-2"}})),
        ),
        refuse("GET", AGENT, not_found()),
    ];
    for read in reads {
        let (written, result) = executed(vec![read], Work::Adopt(orphans(&["a"], &["r1"]))).await;
        result.unwrap();
        assert!(written.is_gone && written.daemon_set.is_none(), "{written:?}");
    }
}

#[tokio::test]
async fn a1_failed_read_of_the_daemon_set_prevents_adoption() {
    let read = refuse("GET", AGENT, (500, refusal(500, "InternalError", "oops")));
    let (written, result) = executed(vec![read], Work::Adopt(orphans(&["a"], &[]))).await;
    let message = shown(&result.unwrap_err());
    assert!(
        message.starts_with("can't read the DaemonSet before adopting: ") && message.contains("oops"),
        "{message}"
    );
    assert!(!written.is_gone);
}

#[tokio::test]
async fn a1_orphan_that_is_gone_or_refused_does_not_block_the_others() {
    let lines = vec![
        on("GET", AGENT, agent_json()),
        refuse("PATCH", path("a"), not_found()),
        refuse(
            "PATCH",
            path("b"),
            (422, refusal(422, "Invalid", "only one controller")),
        ),
        on("PATCH", path("c"), pod_json("c", 21)),
        refuse("PATCH", format!("{REVISIONS}/r1"), not_found()),
        refuse("PATCH", format!("{REVISIONS}/r2"), forbidden("no")),
    ];
    let (written, result) = executed(lines, Work::Adopt(orphans(&["a", "b", "c"], &["r1", "r2"]))).await;
    result.unwrap();
    assert_eq!(names(&written), (vec!["c"], vec![]));
    assert_eq!(written.gone_pods, ["uid of a".into()]);
    assert_eq!(written.deleted_revisions, ["uid of r1".into()]);
    let refused: Vec<_> = written
        .refused
        .iter()
        .map(|refusal| (&*refusal.uid, shown(&refusal.error)))
        .collect();
    assert_eq!(
        refused,
        [
            ("uid of b", "can't adopt pod b: only one controller".to_owned()),
            ("uid of r2", "can't adopt ControllerRevision r2: no".to_owned()),
        ]
    );
}

#[tokio::test]
async fn a1_conflict_or_unauthorized_is_retried_and_not_recorded_as_refusal() {
    for answer in [conflict(), (401, refusal(401, "Unauthorized", "Unauthorized"))] {
        let lines = vec![
            on("GET", AGENT, agent_json()),
            refuse("PATCH", path("a"), answer),
            on("PATCH", path("b"), pod_json("b", 21)),
        ];
        let (written, result) = executed(lines, Work::Adopt(orphans(&["a", "b"], &[]))).await;
        assert!(shown(&result.unwrap_err()).starts_with("can't adopt pod a: "));
        assert_eq!(names(&written).0, ["b"], "earlier writes are returned");
        assert!(written.refused.is_empty());
    }
}

#[tokio::test]
async fn a2_release_removes_the_owner_from_this_pod_only() {
    let body = json!({
        "metadata": {"uid": "uid of p1", "ownerReferences": [{"$patch": "delete", "uid": "ds-1"}]},
    });
    let lines = vec![on("PATCH", path("p1"), orphan_json("p1", 9)).with_body(body)];
    let (written, result) = executed(lines, Work::Release(vec![target("p1")])).await;
    result.unwrap();
    assert_eq!(names(&written).0, ["p1"]);
}
