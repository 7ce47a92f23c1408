use everynode_proto::planner::v1::Problem;

use super::*;
use crate::testing::{summary, verdict};

const FITS: &str = "the node fits";

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

#[test]
fn few_pairs_are_all_shown_with_a_row_for_each_reason_and_the_summary_last() {
    let answer = ExplainResponse {
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
    };
    assert_eq!(
        table(&answer, false, TableStyle::default()),
        "\
DAEMONSET       NODE       VERDICT   REASON
default/agent   worker-1   RUN       the node fits
default/agent   worker-2   EXCLUDE   wants disk=ssd
default/agent   worker-2   EXCLUDE   taint a is not tolerated
default/agent   worker-3   KEEP      taint b is not tolerated

DAEMONSET       VERDICT   NODES   UNMET CONDITION
default/agent   EXCLUDE   1       nodeSelector disk=ssd
default/agent   KEEP      1       taint dedicated=db:NoSchedule

DAEMONSET       RUN   KEEP   EXCLUDE
default/agent   1     1      1
"
    );
    assert!(!is_as_desired(&answer));
}

#[test]
fn single_pair_has_no_summary() {
    let mut answer = many(1, 0);
    assert_eq!(
        table(&answer, false, TableStyle::default()),
        "DAEMONSET       NODE    VERDICT   REASON\ndefault/agent   a-000   RUN       the node fits\n"
    );
    assert!(is_as_desired(&answer));
    answer.problems.push(Problem::default());
    assert!(!is_as_desired(&answer));
}

#[test]
fn many_running_pairs_are_only_summarized() {
    assert_eq!(
        table(&many(100, 0), false, TableStyle::default()),
        "DAEMONSET       RUN   KEEP   EXCLUDE\ndefault/agent   100   0      0\n"
    );
}

#[test]
fn many_pairs_that_dont_run_are_shown_up_to_a_limit_and_the_rest_is_counted() {
    let text = table(&many(100, 22), false, TableStyle::default());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1 + MAX_SHOWN_PAIRS + 1 + 6);
    assert_eq!(lines[1], "default/agent   b-000   EXCLUDE   no");
    assert_eq!(lines[21], "(2 more pairs not running; --all shows every pair)");
    assert_eq!(lines[27], "default/agent   100   0      22");
    let text = table(&many(100, 20), false, TableStyle::default());
    assert!(!text.contains("more pair"), "{text}");
}

#[test]
fn every_pair_is_shown_on_request() {
    let text = table(&many(100, 22), true, TableStyle::default());
    assert_eq!(
        text.lines().filter(|line| line.contains("EXCLUDE   no")).count(),
        22
    );
    assert_eq!(text.lines().filter(|line| line.contains(FITS)).count(), 100);
}
