use everynode_proto::planner::v1::{CreatePod, DaemonSetStatus, DeletePod, Problem};

use super::*;
use crate::testing::summary;

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
fn actions_status_summary_and_the_time_of_the_next_look_are_shown() {
    assert_eq!(
        table(&answer(), View::default()),
        "\
ACTION   NODE       POD        REASON
create   worker-3   -          a pod belongs on the node
delete   worker-1   agent-x2   it has failed

DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   MISSCHEDULED
2         1         0       0            0           0

DAEMONSET       VERDICT   NODES   CONDITION THAT ISN'T MET
default/agent   EXCLUDE   1       nodeSelector disk=ssd

DAEMONSET       RUN   KEEP   EXCLUDE
default/agent   2     0      1

Look again in 30 s, though nothing changes.
"
    );
    assert!(!is_as_wished(&answer()));
}

#[test]
fn a_wide_table_has_revisions_and_uids() {
    let view = View {
        wide: true,
        ..View::default()
    };
    let text = table(&answer(), view);
    assert_eq!(
        text.lines().take(3).collect::<Vec<_>>(),
        [
            "ACTION   NODE       POD        REVISION   UID   REASON",
            "create   worker-3   -          7bd5c      -     a pod belongs on the node",
            "delete   worker-1   agent-x2   -          u1    it has failed",
        ]
    );
}

#[test]
fn nothing_to_do_is_said_in_words() {
    let mut answer = PlanResponse::default();
    assert_eq!(table(&answer, View::default()), "Nothing to do.\n");
    assert!(is_as_wished(&answer));
    answer.problems.push(Problem::default());
    assert!(!is_as_wished(&answer));
}
