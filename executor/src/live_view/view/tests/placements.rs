//! Placement on one node.

use super::*;

fn placed(verdict: Verdict, pods: &[PodFacts], sketch: &Sketch, circumstances: &Circumstances) -> Vec<Wait> {
    let verdict = NodeVerdict {
        verdict: verdict.into(),
        ..NodeVerdict::default()
    };
    let pods: Vec<_> = pods.iter().collect();
    let placement = placement::of(verdict.clone(), &pods, sketch, circumstances);
    assert_eq!(placement.verdict, Some(verdict));
    assert_eq!(placement.pods.len(), pods.len());
    placement.waits
}

#[test]
fn run_with_a_ready_pod_and_exclude_without_any_wait_for_nothing() {
    let (sketch, here) = (sketch([1, 1, 1, 1]), [pod("agent-a", "n1")]);
    for (verdict, pods) in [
        (Verdict::Run, &here[..]),
        (Verdict::Keep, &here[..]),
        (Verdict::Keep, &[][..]),
        (Verdict::Exclude, &[][..]),
    ] {
        assert_eq!(placed(verdict, pods, &sketch, &leading()), [], "{verdict:?}");
        assert_eq!(
            placed(verdict, pods, &sketch, &following("other")),
            [],
            "{verdict:?}"
        );
    }
}

#[test]
fn run_without_a_pod_names_what_stands_in_the_way() {
    let refused = |words: &str| {
        let mut sketch = sketch([1, 0, 0, 0]);
        sketch.creations.refusal = Some(refusal(words, 2));
        sketch
    };
    let cases = [
        (
            refused("the API server refuses: exceeded quota: few"),
            leading(),
            WaitCode::Refused,
            "there is no pod, because the API server refuses: exceeded quota: few; the next try is in 2 s",
        ),
        (
            refused("whatever"),
            Circumstances {
                planner: None,
                ..leading()
            },
            WaitCode::Planner,
            "there is no pod: there is no planner, so nothing is created or deleted",
        ),
        (
            Sketch {
                revision: None,
                upkeep: Upkeep::InProgress,
                ..sketch([1, 0, 0, 0])
            },
            leading(),
            WaitCode::Upkeep,
            "there is no pod: its history and the ownership of its pods are being put in order",
        ),
        (
            Sketch {
                creations: Lane {
                    queued: 3,
                    in_progress: 2,
                    ..Lane::default()
                },
                ..sketch([1, 0, 0, 0])
            },
            leading(),
            WaitCode::Creation,
            "there is no pod; of this DaemonSet 2 pods are being created, and 3 wait for their turn",
        ),
        (
            sketch([1, 0, 0, 0]),
            leading(),
            WaitCode::Creation,
            "there is no pod, and nothing has been asked for yet",
        ),
        (
            sketch([1, 0, 0, 0]),
            following("other"),
            WaitCode::Creation,
            "there is no pod; what is being done about it, other knows, which leads",
        ),
    ];
    for (sketch, circumstances, code, message) in cases {
        let waits = placed(Verdict::Run, &[], &sketch, &circumstances);
        assert_eq!(short(&waits), [(code, message, 1)]);
    }
}

#[test]
fn a_pod_that_stands_in_the_way_of_the_next_is_named() {
    let leaving = PodFacts {
        deleting: true,
        ..pod("agent-a", "n1")
    };
    let failed = PodFacts {
        phase: PodPhase::Failed.into(),
        ..pending("agent-b", "n1")
    };
    let waits = placed(
        Verdict::Run,
        &[leaving, failed],
        &sketch([1, 1, 1, 0]),
        &leading(),
    );
    let has_failed = "1 pod has failed, and is left alone for a while before it is replaced: agent-b on n1";
    assert_eq!(
        short(&waits),
        [
            (WaitCode::FailedPods, has_failed, 1),
            (WaitCode::Deletion, "1 pod is terminating: agent-a on n1", 1),
        ]
    );
}

#[test]
fn a_pod_that_is_not_ready_is_named() {
    let waits = placed(
        Verdict::Run,
        &[pending("agent-a", "n1")],
        &sketch([1, 1, 1, 0]),
        &leading(),
    );
    let message = "1 pod isn't ready: agent-a on n1 (Pending)";
    assert_eq!(short(&waits), [(WaitCode::Readiness, message, 1)]);
}

#[test]
fn exclude_with_a_pod_says_why_it_is_still_there() {
    let here = [pod("agent-a", "n1")];
    let mut sketch = sketch([0, 0, 0, 0]);
    sketch.deletions.in_progress = 1;
    let waits = placed(Verdict::Exclude, &here, &sketch, &leading());
    let going = "the pod is still there; of this DaemonSet 1 pod is being deleted, and 0 wait for their turn";
    assert_eq!(short(&waits), [(WaitCode::Deletion, going, 1)]);
    sketch.deletions.refusal = Some(refusal("the API server refuses: not today", 1));
    let waits = placed(Verdict::Exclude, &here, &sketch, &leading());
    let refused = "the pod is still there, because the API server refuses: not today; the next try is in 1 s";
    assert_eq!(short(&waits), [(WaitCode::Refused, refused, 1)]);
    let leaving = [PodFacts {
        deleting: true,
        ..pod("agent-a", "n1")
    }];
    let waits = placed(Verdict::Exclude, &leaving, &sketch, &leading());
    let terminating = "1 pod is terminating: agent-a on n1";
    assert_eq!(short(&waits), [(WaitCode::Deletion, terminating, 1)]);
}
