//! Placement on one node.

use super::*;

fn placed(verdict: Verdict, pods: &[PodFacts], snapshot: &Snapshot, context: &Context) -> Vec<Wait> {
    let verdict = NodeVerdict {
        verdict: verdict.into(),
        ..NodeVerdict::default()
    };
    let pods: Vec<_> = pods.iter().collect();
    let placement = placement::of(verdict.clone(), &pods, snapshot, context);
    assert_eq!(placement.verdict, Some(verdict));
    assert_eq!(placement.pods.len(), pods.len());
    placement.waits
}

#[test]
fn nodes_that_match_their_verdict_have_no_waits() {
    let (snapshot, here) = (snapshot([1, 1, 1, 1]), [pod("agent-a", "n1")]);
    for (verdict, pods) in [
        (Verdict::Run, &here[..]),
        (Verdict::Keep, &here[..]),
        (Verdict::Keep, &[][..]),
        (Verdict::Exclude, &[][..]),
    ] {
        assert_eq!(placed(verdict, pods, &snapshot, &leading()), [], "{verdict:?}");
        assert_eq!(
            placed(verdict, pods, &snapshot, &following("other")),
            [],
            "{verdict:?}"
        );
    }
}

#[test]
fn missing_pod_is_explained_by_its_cause() {
    let refused = |message: &str| {
        let mut snapshot = snapshot([1, 0, 0, 0]);
        snapshot.creations.refusal = Some(refusal(message, 2));
        snapshot
    };
    let cases = [
        (
            refused("the API server refuses: exceeded quota: few"),
            leading(),
            WaitCode::Refused,
            "there is no pod, because the API server refuses: exceeded quota: few; next retry in 2 s",
        ),
        (
            refused("whatever"),
            Context {
                planner: None,
                ..leading()
            },
            WaitCode::Planner,
            "there is no pod: there is no planner, so nothing is created or deleted",
        ),
        (
            Snapshot {
                revision: None,
                upkeep: Upkeep::InProgress,
                ..snapshot([1, 0, 0, 0])
            },
            leading(),
            WaitCode::Upkeep,
            "there is no pod: the revision history and the ownership of pods are being reconciled",
        ),
        (
            Snapshot {
                creations: RequestedActions {
                    queued: 3,
                    in_progress: 2,
                    ..RequestedActions::default()
                },
                ..snapshot([1, 0, 0, 0])
            },
            leading(),
            WaitCode::Creation,
            "there is no pod; for this DaemonSet, 2 pods are being created, 3 queued",
        ),
        (
            snapshot([1, 0, 0, 0]),
            leading(),
            WaitCode::Creation,
            "there is no pod, and the planner has not requested an action yet",
        ),
        (
            snapshot([1, 0, 0, 0]),
            following("other"),
            WaitCode::Creation,
            "there is no pod; only the leader, other, knows the actions in progress",
        ),
    ];
    for (snapshot, context, code, message) in cases {
        let waits = placed(Verdict::Run, &[], &snapshot, &context);
        assert_eq!(short(&waits), [(code, message, 1)]);
    }
}

#[test]
fn pod_that_delays_its_replacement_is_named() {
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
        &snapshot([1, 1, 1, 0]),
        &leading(),
    );
    let has_failed = "1 pod has failed and is replaced after its back-off: agent-b on n1";
    assert_eq!(
        short(&waits),
        [
            (WaitCode::FailedPods, has_failed, 1),
            (WaitCode::Deletion, "1 pod is terminating: agent-a on n1", 1),
        ]
    );
}

#[test]
fn unready_pod_is_named() {
    let waits = placed(
        Verdict::Run,
        &[pending("agent-a", "n1")],
        &snapshot([1, 1, 1, 0]),
        &leading(),
    );
    let message = "1 pod isn't ready: agent-a on n1 (Pending)";
    assert_eq!(short(&waits), [(WaitCode::Readiness, message, 1)]);
}

#[test]
fn exclude_with_a_pod_explains_why_the_pod_still_exists() {
    let here = [pod("agent-a", "n1")];
    let mut snapshot = snapshot([0, 0, 0, 0]);
    snapshot.deletions.in_progress = 1;
    let waits = placed(Verdict::Exclude, &here, &snapshot, &leading());
    let going = "the pod is still there; for this DaemonSet, 1 pod is being deleted, 0 queued";
    assert_eq!(short(&waits), [(WaitCode::Deletion, going, 1)]);
    snapshot.deletions.refusal = Some(refusal("the API server refuses: not today", 1));
    let waits = placed(Verdict::Exclude, &here, &snapshot, &leading());
    let refused = "the pod is still there, because the API server refuses: not today; next retry in 1 s";
    assert_eq!(short(&waits), [(WaitCode::Refused, refused, 1)]);
    let leaving = [PodFacts {
        deleting: true,
        ..pod("agent-a", "n1")
    }];
    let waits = placed(Verdict::Exclude, &leaving, &snapshot, &leading());
    let terminating = "1 pod is terminating: agent-a on n1";
    assert_eq!(short(&waits), [(WaitCode::Deletion, terminating, 1)]);
}
