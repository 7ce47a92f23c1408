use super::*;
use crate::rollout::{
    objects::{Release, StageStatus},
    progress::{
        PolicyRead,
        tests::{changed, snapshot},
    },
};

fn target() -> Target {
    Target {
        namespace: "kube-system".to_owned(),
        name: "agent".to_owned(),
    }
}

fn spec(step: &Step) -> Value {
    step.patch.as_ref().unwrap()["spec"].clone()
}

fn refusal(result: Result<Step, Error>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    error.to_string()
}

#[test]
fn pause_and_resume_change_only_their_field() {
    let step = pause(&target(), &snapshot());
    assert_eq!(
        step.sentence,
        "Paused rollout 7 of ds/agent (revision 7f2b). Missing pods are still created."
    );
    assert_eq!(
        step.patch.unwrap(),
        json!({"metadata": {"uid": "dsr-1"}, "spec": {"paused": true}})
    );
    assert_eq!(resume(&target(), &snapshot()).unwrap().patch, None);
    let mut paused = snapshot();
    paused.rollout.spec.paused = true;
    assert_eq!(pause(&target(), &paused).patch, None);
    let step = resume(&target(), &paused).unwrap();
    assert_eq!(spec(&step), json!({"paused": false}));
}

#[test]
fn resume_says_that_the_policy_pauses_the_rollout() {
    let mut paused = snapshot();
    if let PolicyRead::Found(policy) = &mut paused.policy {
        policy.spec.paused = true;
    }
    let message = refusal(resume(&target(), &paused));
    assert!(message.contains("the policy careful pauses"), "{message}");
    paused.rollout.spec.paused = true;
    let step = resume(&target(), &paused).unwrap();
    assert!(step.sentence.contains("still pauses it"), "{}", step.sentence);
}

#[test]
fn promote_is_for_the_stage_that_waits() {
    let step = promote(&target(), &snapshot(), Promotion::Waiting).unwrap();
    assert_eq!(spec(&step), json!({"promote": {"rollout": 7, "stage": "canary"}}));
    let before = changed(|status| {
        status.state = State::Waiting;
        status.stages.clear();
    });
    let step = promote(&target(), &before, Promotion::Waiting).unwrap();
    assert_eq!(spec(&step), json!({"promote": {"rollout": 7, "stage": ""}}));
    let step = promote(&target(), &before, Promotion::Full).unwrap();
    assert_eq!(spec(&step), json!({"promoteFull": 7}));
    let message = refusal(promote(&target(), &before, Promotion::Named("half")));
    assert!(message.contains("stage half isn't open"), "{message}");
}

#[test]
fn promote_of_a_stage_that_is_being_updated_needs_its_name() {
    let open = changed(|status| status.stages[0].updated_at = None);
    let message = refusal(promote(&target(), &open, Promotion::Waiting));
    assert!(message.contains("still updates the nodes"), "{message}");
    let step = promote(&target(), &open, Promotion::Named("canary")).unwrap();
    assert_eq!(spec(&step), json!({"promote": {"rollout": 7, "stage": "canary"}}));
    let message = refusal(promote(&target(), &open, Promotion::Named("half")));
    assert!(message.contains("is in stage canary"), "{message}");
    let empty = changed(|status| {
        status.stages[0].updated_at = None;
        status.reason = "StageEmpty".to_owned();
    });
    assert!(promote(&target(), &empty, Promotion::Waiting).is_ok());
}

#[test]
fn promote_says_when_nothing_waits() {
    for (state, expected) in [
        (State::Completed, "is complete"),
        (State::GoingBack, "current revision"),
    ] {
        let done = changed(|status| status.state = state);
        for promotion in [Promotion::Waiting, Promotion::Full] {
            let message = refusal(promote(&target(), &done, promotion));
            assert!(message.contains(expected), "{message}");
        }
    }
    let last = changed(|status| status.stages.push(StageStatus::default()));
    let message = refusal(promote(&target(), &last, Promotion::Waiting));
    assert!(message.contains("past its last stage"), "{message}");
}

#[test]
fn abort_and_retry_name_the_rollout() {
    let step = abort(&target(), &snapshot()).unwrap();
    assert_eq!(spec(&step), json!({"abort": 7}));
    assert!(
        step.sentence.contains("current revision 5d9c"),
        "{}",
        step.sentence
    );
    let step = retry(&target(), &snapshot()).unwrap();
    assert_eq!(spec(&step), json!({"retry": 7}));
    assert!(step.sentence.contains("as rollout 8"), "{}", step.sentence);
    for state in [State::Completed, State::Unknown] {
        let done = changed(|status| status.state = state);
        refusal(abort(&target(), &done));
        refusal(retry(&target(), &done));
    }
    let aborted = changed(|status| status.state = State::GoingBack);
    refusal(abort(&target(), &aborted));
    assert!(retry(&target(), &aborted).is_ok());
}

#[test]
fn verbs_that_name_a_rollout_wait_until_the_latest_template_is_observed() {
    let old = changed(|status| status.daemon_set_generation = 3);
    for result in [
        promote(&target(), &old, Promotion::Waiting),
        abort(&target(), &old),
        retry(&target(), &old),
        update(&target(), &old, &["worker-2".to_owned()]),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::NotObserved(_)), "{error:?}");
    }
    assert!(pause(&target(), &old).patch.is_some());
}

#[test]
fn sentence_says_what_holds_the_rollout() {
    let paused = changed(|status| status.phase = Phase::Paused);
    let step = abort(&target(), &paused).unwrap();
    assert!(step.sentence.contains("until it is resumed"), "{}", step.sentence);
}

#[test]
fn update_adds_nodes_to_those_of_the_same_rollout() {
    let nodes = ["worker-2".to_owned(), "worker-3".to_owned()];
    let mut earlier = snapshot();
    earlier.rollout.spec.release = Some(Release {
        rollout: 7,
        nodes: vec!["worker-2".to_owned()],
    });
    let step = update(&target(), &earlier, &nodes).unwrap();
    assert_eq!(
        step.patch.unwrap(),
        json!({
            "metadata": {"uid": "dsr-1", "resourceVersion": "17"},
            "spec": {"release": {"rollout": 7, "nodes": ["worker-2", "worker-3"]}},
        })
    );
    assert!(
        step.sentence.starts_with("Released worker-3 before its turn"),
        "{}",
        step.sentence
    );
    let step = update(&target(), &earlier, &nodes[..1]).unwrap();
    assert_eq!(step.patch, None);
    earlier.rollout.spec.release.as_mut().unwrap().rollout = 6;
    let step = update(&target(), &earlier, &nodes[1..]).unwrap();
    assert_eq!(
        spec(&step),
        json!({"release": {"rollout": 7, "nodes": ["worker-3"]}})
    );
}

#[test]
fn update_is_refused_without_a_rollout_under_way_and_for_too_many_nodes() {
    let node = ["worker-2".to_owned()];
    for state in [State::Waiting, State::GoingBack, State::Completed, State::Unknown] {
        let other = changed(|status| status.state = state);
        refusal(update(&target(), &other, &node));
    }
    let many: Vec<_> = (0..51).map(|number| format!("worker-{number}")).collect();
    let message = refusal(update(&target(), &snapshot(), &many));
    assert!(message.contains("at most 50"), "{message}");
}

#[test]
fn next_step_follows_from_what_the_rollout_waits_for() {
    for (phase, reason, expected) in [
        (
            Phase::Waiting,
            "WaitingForPromotion",
            "kubectl everynode rollout promote ds/agent -n kube-system",
        ),
        (Phase::Waiting, "Partition", "lower spec.partition of the policy"),
        (Phase::Paused, "Paused", "set spec.paused of the policy to false"),
        (Phase::Stalled, "PolicyGone", "apply a rollout policy again"),
        (
            Phase::Stalled,
            "TooManyIgnored",
            "kubectl everynode explain ds/agent -n kube-system",
        ),
        (
            Phase::GoingBack,
            "Aborted",
            "kubectl everynode rollout retry ds/agent -n kube-system",
        ),
        (
            Phase::Soaking,
            "Soaking",
            "kubectl everynode rollout status ds/agent -n kube-system --watch",
        ),
    ] {
        let waiting = changed(|status| {
            status.phase = phase;
            status.reason = reason.to_owned();
        });
        assert_eq!(next(&target(), &waiting).as_deref(), Some(expected), "{reason}");
    }
    let complete = changed(|status| status.phase = Phase::Completed);
    assert_eq!(next(&target(), &complete), None);
    let invalid = changed(|status| {
        status.phase = Phase::Stalled;
        status.reason = "PolicyInvalid".to_owned();
        status.policy_ref = Some(PolicyRef {
            kind: "DaemonSetRolloutPolicy".to_owned(),
            name: "careful".to_owned(),
        });
    });
    assert_eq!(
        next(&target(), &invalid).as_deref(),
        Some("kubectl describe DaemonSetRolloutPolicy careful -n kube-system")
    );
}
