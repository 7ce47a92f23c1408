use super::*;

fn target() -> Target {
    Target {
        namespace: "kube-system".to_owned(),
        name: "agent".to_owned(),
    }
}

fn revision(number: i64, hash: &str) -> Revision {
    let mut revision = Revision {
        revision: number,
        ..Revision::default()
    };
    let metadata = &mut revision.metadata;
    metadata
        .labels
        .insert("controller-revision-hash".to_owned(), hash.to_owned());
    metadata.creation_timestamp = Some(Timestamp::UNIX_EPOCH);
    revision
}

fn revisions() -> Vec<Revision> {
    vec![revision(3, "c"), revision(2, "b"), revision(1, "a")]
}

fn status() -> RolloutStatus {
    RolloutStatus {
        rollout: 7,
        current_revision: "b".to_owned(),
        update_revision: "c".to_owned(),
        attempts: vec![
            Attempt {
                rollout: 5,
                update_revision: "a".to_owned(),
                outcome: "Completed".to_owned(),
                ended_at: None,
            },
            Attempt {
                rollout: 6,
                update_revision: "b".to_owned(),
                outcome: "Aborted".to_owned(),
                ended_at: Some(Timestamp::UNIX_EPOCH),
            },
        ],
        ..RolloutStatus::default()
    }
}

#[test]
fn history_shows_roles_causes_and_the_latest_attempt_first() {
    let mut revisions = revisions();
    let cause = ("kubernetes.io/change-cause".to_owned(), "image 1.2".to_owned());
    revisions[0].metadata.annotations.extend([cause]);
    let history = History::new(&target(), &revisions, Some(&status()));
    let now = Timestamp::from_second(3_600).unwrap();
    let text = history.table(now, TableStyle::default());
    let words: Vec<Vec<_>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(words[1], ["3", "c", "60m", "update", "image", "1.2"], "{text}");
    assert_eq!(words[2], ["2", "b", "60m", "current", "-"], "{text}");
    assert_eq!(words[3], ["1", "a", "60m", "-"], "{text}");
    assert_eq!(words[6], ["6", "b", "Aborted", "60m"], "{text}");
    assert_eq!(words[7], ["5", "a", "Completed", "-"], "{text}");
    let json = history.render(now, OutputFormat::Json).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["revisions"][1]["isCurrent"], true);
    assert_eq!(json["attempts"][0]["outcome"], "Aborted");
}

#[test]
fn history_without_a_policy_has_only_revisions() {
    let history = History::new(&target(), &revisions(), None);
    let text = history.table(Timestamp::UNIX_EPOCH, TableStyle::default());
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[test]
fn undo_says_whether_the_stages_apply() {
    let status = status();
    let undo = |number| undo(&target(), &revisions(), Some(&status), number);
    let back = undo(None).unwrap();
    assert_eq!(back.revision, 2);
    assert!(back.sentence.contains("without stages"), "{}", back.sentence);
    let other = undo(Some(1)).unwrap();
    assert_eq!(other.revision, 1);
    assert!(
        other.sentence.contains("isn't the current revision (b)"),
        "{}",
        other.sentence
    );
    let without_policy = super::undo(&target(), &revisions(), None, None).unwrap();
    assert!(
        without_policy.sentence.contains("updateStrategy"),
        "{}",
        without_policy.sentence
    );
}

#[test]
fn undo_needs_an_earlier_revision() {
    let undo = |revisions: &[Revision], number| {
        let error = undo(&target(), revisions, None, number).unwrap_err();
        assert!(matches!(error, Error::Refused(_)));
        error.to_string()
    };
    assert!(undo(&revisions(), Some(3)).contains("already"));
    assert!(undo(&revisions(), Some(9)).contains("no revision 9"));
    assert!(undo(&revisions()[..1], None).contains("no earlier revision"));
    assert!(undo(&[], Some(1)).contains("no earlier revision"));
}
