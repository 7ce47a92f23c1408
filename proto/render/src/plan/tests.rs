use everynode_proto::planner::v1::{CreatePod, DaemonSetStatus, DeletePod, Problem};

use super::*;
use crate::testing::{summary, verdict};

fn answer() -> PlanResponse {
    let create = action::Action::Create(CreatePod {
        node: "worker-3".to_owned(),
        revision: "7bd5c".to_owned(),
        succeeds_uid: String::new(),
    });
    let delete = action::Action::Delete(DeletePod {
        pod: "agent-x2".to_owned(),
        uid: "u1".to_owned(),
        reason: DeleteReason::Failed.into(),
        node: "worker-1".to_owned(),
    });
    let action = |action| Action {
        id: 0,
        action: Some(action),
    };
    PlanResponse {
        actions: vec![action(create), action(delete)],
        status: Some(DaemonSetStatus {
            desired_number_scheduled: 2,
            current_number_scheduled: 1,
            number_ready: 0,
            ..DaemonSetStatus::default()
        }),
        reconsider_after: Some(prost_types::Duration {
            seconds: 30,
            nanos: 0,
        }),
        summary: Some(summary(2, 0, 1)),
        ..PlanResponse::default()
    }
}

#[test]
fn actions_status_summary_and_the_time_of_the_next_plan_are_shown() {
    assert_eq!(
        table(&answer(), TableStyle::default()),
        "\
ACTION   NODE       POD        REASON
create   worker-3   -          the node should run a pod
delete   worker-1   agent-x2   the pod has failed

DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   MISSCHEDULED
2         1         0       0            0           0

DAEMONSET       VERDICT   NODES   UNMET CONDITION
default/agent   EXCLUDE   1       nodeSelector disk=ssd

DAEMONSET       RUN   KEEP   EXCLUDE
default/agent   2     0      1

Plan again in 30 s, even if nothing changes.
"
    );
    assert!(!is_as_desired(&answer()));
}

#[test]
fn wide_table_has_revisions_and_uids() {
    let style = TableStyle {
        is_wide: true,
        ..TableStyle::default()
    };
    let text = table(&answer(), style);
    assert_eq!(
        text.lines().take(3).collect::<Vec<_>>(),
        [
            "ACTION   NODE       POD        REVISION   UID   REASON",
            "create   worker-3   -          7bd5c      -     the node should run a pod",
            "delete   worker-1   agent-x2   -          u1    the pod has failed",
        ]
    );
}

#[test]
fn answer_without_actions_says_that_there_is_nothing_to_do() {
    let mut answer = PlanResponse::default();
    assert_eq!(table(&answer, TableStyle::default()), "Nothing to do.\n");
    assert!(is_as_desired(&answer));
    answer.problems.push(Problem::default());
    assert!(!is_as_desired(&answer));
}

#[test]
fn several_plans_have_headings_and_those_with_nothing_to_do_share_a_table() {
    let mut other = PlanResponse {
        summary: Some(summary(1, 0, 0)),
        ..PlanResponse::default()
    };
    if let Some(summary) = &mut other.summary {
        "other/agent".clone_into(&mut summary.daemon_set);
    }
    let text = tables(&[answer(), other.clone()], TableStyle::default());
    assert!(
        text.starts_with("DaemonSet default/agent\nACTION   NODE"),
        "{text}"
    );
    assert!(
        text.contains("even if nothing changes.\n\nNothing to do for 1 DaemonSet:\nDAEMONSET     DESIRED"),
        "{text}"
    );
    assert!(text.contains("\nother/agent   -   "), "{text}");
    let single = tables(&[answer()], TableStyle::default());
    assert_eq!(single, table(&answer(), TableStyle::default()));
    assert_eq!(
        csv(&[answer(), other]),
        "\
DAEMONSET,ACTION,NODE,POD,REVISION,UID,REASON
default/agent,create,worker-3,,7bd5c,,the node should run a pod
default/agent,delete,worker-1,agent-x2,,u1,the pod has failed
"
    );
}

#[test]
fn nodes_and_verdicts_select_actions() {
    let whole = PlanResponse {
        verdicts: vec![
            verdict("worker-1", Verdict::Exclude, &["no"]),
            verdict("worker-3", Verdict::Run, &["the node fits"]),
        ],
        ..answer()
    };
    let nodes = |answer: &PlanResponse| -> Vec<_> {
        let actions = answer.actions.iter().filter_map(node).map(str::to_owned);
        let verdicts = answer.verdicts.iter().map(|verdict| verdict.node.clone());
        actions.chain(verdicts).collect()
    };
    let mut selected = whole.clone();
    retain_nodes(&mut selected, |node| node == "worker-3");
    assert_eq!(nodes(&selected), ["worker-3", "worker-3"]);
    let mut selected = whole.clone();
    retain_verdicts(&mut selected, &[Verdict::Exclude]);
    assert_eq!(nodes(&selected), ["worker-1", "worker-1"]);
    assert_eq!(selected.status, whole.status);
    let mut selected = whole.clone();
    retain_verdicts(&mut selected, &[]);
    assert_eq!(selected, whole);
}

#[test]
fn pods_that_change_their_owner_come_first() {
    let pod = |pod: &str, node: &str| PodReference {
        pod: pod.to_owned(),
        node: node.to_owned(),
    };
    let answer = PlanResponse {
        adopt: vec![pod("agent-x1", "worker-1")],
        release: vec![pod("agent-x2", "")],
        ..PlanResponse::default()
    };
    assert_eq!(
        table(&answer, TableStyle::default()),
        "\
ACTION    NODE       POD        REASON
adopt     worker-1   agent-x1   the DaemonSet selects the pod, and nothing controls it
release   -          agent-x2   the DaemonSet's selector no longer matches the pod
"
    );
    assert!(!is_as_desired(&answer));
}
