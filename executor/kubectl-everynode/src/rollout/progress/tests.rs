use jiff::ToSpan as _;

use super::*;
use crate::rollout::objects::{PolicyStage, RolloutStatus};

/// A rollout in the soak of its first stage, at the time 0. The soak ends after 10 minutes.
pub(crate) fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let daemon_set = &mut snapshot.daemon_set;
    daemon_set.metadata.uid = "ds-1".to_owned();
    daemon_set.metadata.generation = 4;
    daemon_set.status.observed_generation = 4;
    let rollout = &mut snapshot.rollout;
    rollout.metadata.uid = "dsr-1".to_owned();
    rollout.metadata.resource_version = "17".to_owned();
    rollout.metadata.generation = 2;
    rollout.status = RolloutStatus {
        rollout: 7,
        daemon_set_uid: "ds-1".to_owned(),
        daemon_set_generation: 4,
        observed_generation: 2,
        current_revision: "5d9c".to_owned(),
        update_revision: "7f2b".to_owned(),
        started_at: Some(Timestamp::UNIX_EPOCH),
        state: State::Progressing,
        phase: Phase::Soaking,
        stage: "canary".to_owned(),
        reason: "Soaking".to_owned(),
        message: "stage canary is updated and soaks for 600 s in all".to_owned(),
        stages: vec![StageStatus {
            name: "canary".to_owned(),
            opened_at: Some(Timestamp::UNIX_EPOCH),
            updated_at: Some(Timestamp::UNIX_EPOCH),
            nodes: vec!["worker-1".to_owned()],
            ..StageStatus::default()
        }],
        desired: 50,
        updated: 1,
        updated_available: 1,
        ..RolloutStatus::default()
    };
    let mut policy = Policy::default();
    policy.metadata.name = "careful".to_owned();
    policy.metadata.generation = 1;
    policy.status.observed_generation = 1;
    policy.spec.stages = [("canary", Some("10m")), ("half", None)]
        .map(|(name, soak)| PolicyStage {
            name: name.to_owned(),
            soak: soak.map(str::to_owned),
        })
        .into();
    snapshot.policy = PolicyRead::Found(Box::new(policy));
    snapshot
}

/// The same rollout with a changed status.
pub(crate) fn changed(change: impl FnOnce(&mut RolloutStatus)) -> Snapshot {
    let mut snapshot = snapshot();
    change(&mut snapshot.rollout.status);
    snapshot
}

fn phase(phase: Phase, state: State, reason: &str) -> Outcome {
    changed(|status| {
        status.phase = phase;
        status.state = state;
        status.reason = reason.to_owned();
    })
    .outcome()
}

#[test]
fn outcome_follows_the_phase() {
    for (found, state, reason, expected) in [
        (
            Phase::Completed,
            State::Completed,
            "Completed",
            Outcome::Completed,
        ),
        (Phase::Soaking, State::Progressing, "Soaking", Outcome::UnderWay),
        (
            Phase::Waiting,
            State::Progressing,
            "WaitingForPromotion",
            Outcome::WaitsForPerson,
        ),
        (Phase::Paused, State::Progressing, "Paused", Outcome::Held),
        (
            Phase::Stalled,
            State::Progressing,
            "TooManyIgnored",
            Outcome::Held,
        ),
        (Phase::GoingBack, State::GoingBack, "GoingBack", Outcome::GoesBack),
        (Phase::GoingBack, State::GoingBack, "Aborted", Outcome::Failed),
        (Phase::Unknown, State::Unknown, "Dreaming", Outcome::UnderWay),
        (
            Phase::Stalled,
            State::Progressing,
            "PoliciesUnknown",
            Outcome::NotObserved,
        ),
    ] {
        assert_eq!(phase(found, state, reason), expected, "{reason}");
    }
    let undone = changed(|status| {
        status.phase = Phase::GoingBack;
        status.state = State::GoingBack;
        status.update_revision = status.current_revision.clone();
    });
    assert_eq!(undone.outcome(), Outcome::UnderWay);
}

/// A change of a snapshot, and a part of the reason that it gives.
type Case = (fn(&mut Snapshot), &'static str);

#[test]
fn nothing_is_said_before_the_latest_objects_are_observed() {
    let complete = changed(|status| status.phase = Phase::Completed);
    assert_eq!(complete.not_observed(), None);
    let changes: [Case; 6] = [
        (
            |snapshot| snapshot.daemon_set.metadata.generation = 5,
            "generation 5",
        ),
        (
            |snapshot| snapshot.daemon_set.status.observed_generation = 3,
            "generation 4",
        ),
        (
            |snapshot| snapshot.rollout.status.daemon_set_uid = "ds-0".to_owned(),
            "generation 4",
        ),
        (
            |snapshot| snapshot.rollout.metadata.generation = 3,
            "latest command",
        ),
        (
            |snapshot| {
                if let PolicyRead::Found(policy) = &mut snapshot.policy {
                    policy.metadata.generation = 2;
                }
            },
            "latest change of the policy careful",
        ),
        (|snapshot| snapshot.policy = PolicyRead::Gone, "deleted"),
    ];
    for (change, expected) in changes {
        let mut snapshot = complete.clone();
        change(&mut snapshot);
        let why = snapshot.not_observed().unwrap();
        assert!(why.contains(expected), "{why}");
        assert_eq!(snapshot.outcome(), Outcome::NotObserved);
    }
}

#[test]
fn stages_are_those_of_the_policy_with_their_states() {
    let states = |snapshot: &Snapshot, now: Timestamp| {
        let stages = snapshot.stages(now);
        let pairs = stages.into_iter().map(|stage| (stage.name, stage.state));
        pairs.collect::<Vec<_>>()
    };
    let named = |canary, half, last| {
        vec![
            ("canary".to_owned(), canary),
            ("half".to_owned(), half),
            (String::new(), last),
        ]
    };
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(
        states(&snapshot(), now),
        named(StageState::Soaking, StageState::NotOpen, StageState::NotOpen)
    );
    assert_eq!(snapshot().stages(now)[0].soaks_until, Some(now + 10.minutes()));
    let later = now + 11.minutes();
    assert_eq!(
        states(&snapshot(), later),
        named(StageState::Updated, StageState::NotOpen, StageState::NotOpen)
    );
    let next = changed(|status| {
        status.stages[0].done_at = Some(later);
        status.stages.push(StageStatus {
            name: "half".to_owned(),
            opened_at: Some(later),
            ..StageStatus::default()
        });
    });
    assert_eq!(
        states(&next, later),
        named(StageState::Done, StageState::Open, StageState::NotOpen)
    );
}

#[test]
fn stages_that_the_policy_no_longer_has_come_first_and_none_apply_on_the_way_back() {
    let renamed = changed(|status| status.stages[0].name = "first".to_owned());
    let stages = renamed.stages(Timestamp::UNIX_EPOCH);
    let names: Vec<_> = stages.iter().map(Stage::display_name).collect();
    assert_eq!(names, ["first", "canary", "half", "(other nodes)"]);
    let back = changed(|status| status.state = State::GoingBack);
    assert!(back.stages(Timestamp::UNIX_EPOCH).is_empty());
    let mut unknown = snapshot();
    unknown.policy = PolicyRead::Unknown;
    assert_eq!(unknown.stages(Timestamp::UNIX_EPOCH).len(), 1);
}
