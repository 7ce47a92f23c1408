use jiff::ToSpan as _;
use serde_json::Value;

use super::*;
use crate::rollout::{
    objects::State,
    progress::tests::{changed, snapshot},
};

fn target() -> Target {
    Target {
        namespace: "kube-system".to_owned(),
        name: "agent".to_owned(),
    }
}

#[test]
fn table_shows_the_rollout_its_stages_and_the_next_command() {
    let now = Timestamp::UNIX_EPOCH + 4.minutes();
    let mut shown = changed(|status| {
        status.policy_ref = Some(PolicyRef {
            kind: "DaemonSetRolloutPolicy".to_owned(),
            name: "careful".to_owned(),
        });
        status.ignored = 2;
        status.ignored_nodes = vec!["worker-8".to_owned(), "worker-9".to_owned()];
    });
    let stage = &mut shown.rollout.status.stages[0];
    (stage.desired, stage.updated_available) = (Some(1), Some(1));
    let text = table(&target(), &shown, now, TableStyle::default());
    let expected = "\
DaemonSet: kube-system/agent
Rollout:   7, from revision 5d9c to 7f2b, began 4m ago
Policy:    DaemonSetRolloutPolicy careful
Phase:     Soaking: stage canary is updated and soaks for 600 s in all
Progress:  1 of 50 nodes updated, 1 of them available
Ignored:   2 nodes had no available pod when the rollout began: worker-8, worker-9

STAGE           UPDATED   STATE                                   NODES
canary          1/1       soaking until 00:10:00 UTC (6m left)    worker-1
half            -         not open yet
(other nodes)   -         not open yet

Next: kubectl everynode rollout status ds/agent -n kube-system --watch
";
    let words = |text: &str| -> Vec<Vec<String>> {
        let lines = text.lines();
        lines
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    };
    assert_eq!(words(&text), words(expected), "{text}");
}

#[test]
fn text_from_the_cluster_is_escaped() {
    let hostile = changed(|status| status.message = "a\u{1b}[31m\nb".to_owned());
    let text = table(&target(), &hostile, Timestamp::UNIX_EPOCH, TableStyle::default());
    assert!(!text.contains('\u{1b}') && !text.contains("\nb"), "{text:?}");
}

#[test]
fn programs_get_the_outcome_and_the_stages() {
    let now = Timestamp::UNIX_EPOCH;
    let json = status(&target(), &snapshot(), now, OutputFormat::Json).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["outcome"], "UnderWay");
    assert_eq!(json["phase"], "Soaking");
    assert_eq!(json["stages"][0]["soaksUntil"], "1970-01-01T00:10:00Z");
    assert_eq!(json["stages"][1]["state"], "NotOpen");
    let yaml = status(&target(), &snapshot(), now, OutputFormat::Yaml).unwrap();
    assert!(yaml.contains("updateRevision: 7f2b"), "{yaml}");
}

#[test]
fn line_changes_with_the_rollout_and_not_with_time() {
    assert_eq!(
        line(&snapshot()),
        "1 of 50 nodes updated, 1 of them available; Soaking: stage canary is updated and soaks for 600 s in all"
    );
    let unobserved = changed(|status| status.daemon_set_generation = 3);
    assert_eq!(
        line(&unobserved),
        "waiting: Everynode hasn't observed generation 4 of the DaemonSet yet"
    );
}

#[test]
fn rollout_to_the_current_revision_names_it_once() {
    let back = changed(|status| {
        status.state = State::GoingBack;
        status.update_revision = "5d9c".to_owned();
        status.started_at = None;
    });
    assert_eq!(rollout(&back, Timestamp::UNIX_EPOCH), "7, revision 5d9c");
    let none = changed(|status| status.rollout = 0);
    assert_eq!(
        rollout(&none, Timestamp::UNIX_EPOCH),
        "none so far, revision 7f2b"
    );
}

#[test]
fn elapsed_time_has_one_unit() {
    let begin = Timestamp::UNIX_EPOCH;
    for (seconds, expected) in [
        (-5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7_199, "119m"),
        (7_200, "2h"),
        (172_800, "2d"),
    ] {
        let until = Timestamp::from_second(seconds).unwrap();
        assert_eq!(elapsed(begin, until), expected);
    }
}
