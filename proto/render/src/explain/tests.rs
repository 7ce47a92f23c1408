use everynode_proto::planner::v1::{Problem, Reason, ReasonCode};

use super::*;
use crate::testing::{summary, tainted, verdict};

const FITS: &str = "the node fits";

fn fitting() -> ExplainView {
    ExplainView::default()
}

fn extent(extent: Extent) -> ExplainView {
    ExplainView {
        extent,
        ..ExplainView::default()
    }
}

fn many(running: usize, excluded: usize) -> ExplainResponse {
    let run = (0..running).map(|number| verdict(&format!("a-{number:03}"), Verdict::Run, &[FITS]));
    let exclude = (0..excluded).map(|number| verdict(&format!("b-{number:03}"), Verdict::Exclude, &["no"]));
    ExplainResponse {
        verdicts: run.chain(exclude).collect(),
        problems: Vec::new(),
        summaries: vec![summary(
            running.try_into().unwrap(),
            0,
            excluded.try_into().unwrap(),
        )],
    }
}

fn few() -> ExplainResponse {
    ExplainResponse {
        verdicts: vec![
            verdict("worker-1", Verdict::Run, &[FITS]),
            verdict(
                "worker-2",
                Verdict::Exclude,
                &["wants disk=ssd", "taint a is not tolerated"],
            ),
            verdict("worker-3", Verdict::Keep, &["taint b is not tolerated"]),
        ],
        problems: Vec::new(),
        summaries: vec![summary(1, 1, 1)],
    }
}

const SUMMARY_OF_FEW: &str = "\
DAEMONSET       VERDICT   NODES   UNMET CONDITION
default/agent   EXCLUDE   1       nodeSelector disk=ssd
default/agent   KEEP      1       taint dedicated=db:NoSchedule

DAEMONSET       RUN   KEEP   EXCLUDE
default/agent   1     1      1
";

#[test]
fn few_pairs_are_all_shown_with_a_row_for_each_reason_and_the_summary_last() {
    let pairs = "\
DAEMONSET       NODE       VERDICT   REASON
default/agent   worker-1   RUN       the node fits
default/agent   worker-2   EXCLUDE   wants disk=ssd
default/agent   worker-2   EXCLUDE   taint a is not tolerated
default/agent   worker-3   KEEP      taint b is not tolerated
";
    let expected = format!("{pairs}\n{SUMMARY_OF_FEW}");
    assert_eq!(table(&few(), &fitting(), TableStyle::default()), expected);
    assert!(!is_as_desired(&few()));
}

#[test]
fn summary_has_no_pairs() {
    let text = table(&few(), &extent(Extent::Summary), TableStyle::default());
    assert_eq!(text, SUMMARY_OF_FEW);
}

#[test]
fn single_pair_has_no_summary() {
    let mut answer = many(1, 0);
    assert_eq!(
        table(&answer, &fitting(), TableStyle::default()),
        "DAEMONSET       NODE    VERDICT   REASON\ndefault/agent   a-000   RUN       the node fits\n"
    );
    assert!(is_as_desired(&answer));
    answer.problems.push(Problem::default());
    assert!(!is_as_desired(&answer));
}

#[test]
fn several_daemon_sets_on_one_node_have_no_summary() {
    let daemon_sets = ["a", "b"].map(|name| tainted(name, "n1", "gpu"));
    let answer = ExplainResponse {
        summaries: summarize(&daemon_sets),
        verdicts: daemon_sets.into(),
        problems: Vec::new(),
    };
    let text = table(&answer, &fitting(), TableStyle::default());
    assert_eq!(text.lines().count(), 3, "{text}");
    let text = table(&answer, &extent(Extent::Summary), TableStyle::default());
    assert!(text.ends_with("b           0     1      0\n"), "{text}");
}

#[test]
fn only_the_first_row_about_a_taint_has_advice() {
    let nodes = ["n1", "n2"].map(|node| tainted("default/agent", node, "gpu"));
    let answer = ExplainResponse {
        verdicts: nodes.into(),
        ..ExplainResponse::default()
    };
    for view in [fitting(), extent(Extent::All)] {
        assert_eq!(
            table(&answer, &view, TableStyle::default()),
            "\
DAEMONSET       NODE   VERDICT   REASON
default/agent   n1     KEEP      taint gpu:NoSchedule is not tolerated (an existing pod stays, none is created); a toleration … would admit it
default/agent   n2     KEEP      taint gpu:NoSchedule is not tolerated
"
        );
    }
    assert_eq!(csv(&answer, &fitting()).matches("would admit it").count(), 2);
}

#[test]
fn pair_whose_pod_stays_pending_doesnt_run() {
    let mut answer = many(1, 0);
    assert!(is_as_desired(&answer));
    let [verdict] = answer.verdicts.as_mut_slice() else {
        panic!("{answer:?}");
    };
    verdict.reasons.push(Reason {
        code: ReasonCode::RuntimeClass.into(),
        message: "the pod stays pending".to_owned(),
        condition: "RuntimeClass kata: runtime=kata".to_owned(),
        ..Reason::default()
    });
    assert!(!is_as_desired(&answer));
}

#[test]
fn many_running_pairs_are_only_summarized() {
    assert_eq!(
        table(&many(100, 0), &fitting(), TableStyle::default()),
        "DAEMONSET       RUN   KEEP   EXCLUDE\ndefault/agent   100   0      0\n"
    );
}

#[test]
fn few_of_many_pairs_that_dont_run_are_listed_with_the_advice_below() {
    let mut answer = many(100, 0);
    answer.verdicts.push(tainted("default/agent", "c", "gpu"));
    assert_eq!(
        table(&answer, &fitting(), TableStyle::default()),
        "\
DAEMONSET       NODE   VERDICT   REASON
default/agent   c      KEEP      taint gpu:NoSchedule is not tolerated

VERDICT   CONDITION
KEEP      taint gpu:NoSchedule keeps default/agent off c; a toleration {key: gpu, operator: Exists, effect: NoSchedule} would admit the pods

DAEMONSET       RUN   KEEP   EXCLUDE
default/agent   100   1      0
"
    );
}

#[test]
fn many_pairs_that_dont_run_are_folded() {
    assert_eq!(
        table(&many(100, 22), &fitting(), TableStyle::default()),
        "\
VERDICT   CONDITION
EXCLUDE   no keeps default/agent off 22 nodes

NODES                  RUN   KEEP   EXCLUDE   CONDITIONS
100 nodes like a-000   1     0      0
22 nodes like b-000    0     0      1         no (1)

DAEMONSET       RUN   KEEP   EXCLUDE   CONDITIONS
default/agent   100   0      22        no (22)
"
    );
}

#[test]
fn every_pair_is_shown_on_request() {
    let text = table(&many(100, 22), &extent(Extent::All), TableStyle::default());
    assert_eq!(
        text.lines().filter(|line| line.contains("EXCLUDE   no")).count(),
        22
    );
    assert_eq!(text.lines().filter(|line| line.contains(FITS)).count(), 100);
    assert!(text.ends_with("default/agent   100   0      22\n"), "{text}");
}

#[test]
fn only_pairs_with_the_chosen_verdicts_are_shown() {
    let view = ExplainView {
        verdicts: vec![Verdict::Run],
        ..ExplainView::default()
    };
    let text = table(&few(), &view, TableStyle::default());
    assert!(text.contains("worker-1"), "{text}");
    assert!(!text.contains("worker-2") && !text.contains("worker-3"), "{text}");
    assert!(text.ends_with(SUMMARY_OF_FEW), "{text}");
    let text = table(&many(15, 22), &view, TableStyle::default());
    assert_eq!(text.lines().filter(|line| line.contains(FITS)).count(), 15);
    assert!(!text.contains("b-000"), "{text}");
    assert!(text.ends_with("default/agent   15    0      22\n"), "{text}");
}

#[test]
fn csv_has_a_line_for_each_pair() {
    let view = ExplainView {
        verdicts: vec![Verdict::Run, Verdict::Exclude],
        ..ExplainView::default()
    };
    assert_eq!(
        csv(&few(), &view),
        "\
DAEMONSET,NODE,VERDICT,REASON
default/agent,worker-1,RUN,the node fits
default/agent,worker-2,EXCLUDE,wants disk=ssd; taint a is not tolerated
"
    );
    assert_eq!(csv(&many(100, 22), &fitting()).lines().count(), 1 + 122);
    assert_eq!(
        csv(&few(), &extent(Extent::Summary)),
        "DAEMONSET,RUN,KEEP,EXCLUDE\ndefault/agent,1,1,1\n"
    );
}

#[test]
fn verdicts_are_counted_as_the_planner_counts_them() {
    let verdicts = [
        verdict("a", Verdict::Run, &[FITS]),
        tainted("default/agent", "b", "gpu"),
        verdict("c", Verdict::Exclude, &["no"]),
        verdict("d", Verdict::Exclude, &["no", "no", "never"]),
        tainted("other/agent", "b", "gpu"),
    ];
    let summaries = summarize(&verdicts);
    let counts = |summary: &VerdictSummary| {
        let conditions: Vec<_> = summary
            .reasons
            .iter()
            .map(|reason| (reason.condition.clone(), reason.nodes))
            .collect();
        (summary.daemon_set.clone(), conditions)
    };
    let condition = |text: &str, nodes| (text.to_owned(), nodes);
    assert_eq!(
        summaries.iter().map(counts).collect::<Vec<_>>(),
        [
            (
                "default/agent".to_owned(),
                vec![
                    condition("no", 2),
                    condition("taint gpu:NoSchedule", 1),
                    condition("never", 1)
                ]
            ),
            (
                "other/agent".to_owned(),
                vec![condition("taint gpu:NoSchedule", 1)]
            ),
        ]
    );
    let [first, _] = summaries.as_slice() else {
        panic!("{summaries:?}");
    };
    assert_eq!(
        (first.run_nodes, first.keep_nodes, first.exclude_nodes),
        (1, 1, 2)
    );
}

#[test]
fn verdict_names_are_accepted_in_any_case() {
    assert_eq!("KEEP".parse(), Ok(VerdictName(Verdict::Keep)));
    for name in VerdictName::NAMES {
        assert!(name.parse::<VerdictName>().is_ok(), "{name}");
    }
    let error = "stay".parse::<VerdictName>().unwrap_err();
    assert_eq!(error, "must be one of run, keep, exclude");
}

#[test]
fn selection_of_nothing_is_said() {
    let answer = ExplainResponse {
        verdicts: vec![verdict("a", Verdict::Run, &["fits"])],
        ..ExplainResponse::default()
    };
    let view = ExplainView {
        verdicts: vec![Verdict::Keep, Verdict::Exclude],
        ..ExplainView::default()
    };
    assert_eq!(
        table(&answer, &view, TableStyle::default()),
        "No pair has the verdict KEEP or EXCLUDE.\n"
    );
}

#[test]
fn place_in_a_rollout_is_a_row_and_has_columns_of_its_own() {
    let mut answer = few();
    answer.verdicts[0].rollout = Some(NodeRollout {
        policy: "DaemonSetRolloutPolicy default/steps".to_owned(),
        rollout: 7,
        stage: "half".to_owned(),
        target_revision: "5d9c".to_owned(),
        message: "in stage half (2 of 3) of rollout 7: released, and replaced next".to_owned(),
        ..NodeRollout::default()
    });
    let text = table(&answer, &fitting(), TableStyle::default());
    assert!(
        text.contains("rollout: in stage half (2 of 3) of rollout 7: released, and replaced next\n"),
        "{text}"
    );
    let lines = csv(&answer, &fitting());
    let lines: Vec<_> = lines.lines().take(3).collect();
    assert_eq!(
        lines,
        [
            "DAEMONSET,NODE,VERDICT,REASON,POLICY,ROLLOUT,STAGE,TARGET REVISION,ROLLOUT REASON",
            &format!(
                "default/agent,worker-1,RUN,{FITS},DaemonSetRolloutPolicy default/steps,7,half,5d9c,\"in stage half (2 of \
                 3) of rollout 7: released, and replaced next\""
            ),
            "default/agent,worker-2,EXCLUDE,wants disk=ssd; taint a is not tolerated,,,,,",
        ]
    );
}
