use everynode_proto::planner::v1::{ExplainResponse, NodeVerdict, Verdict};

use super::*;
use crate::{
    explain::table,
    testing::{tainted, verdict},
};

/// Verdicts as in a real cluster: every tenth `DaemonSet` wants a label that two nodes have, and every third one
/// doesn't tolerate the taint of the nodes with GPUs.
fn cluster(daemon_sets: usize, nodes: usize) -> ExplainResponse {
    let mut verdicts = Vec::new();
    for number in 0..daemon_sets {
        let daemon_set = format!("team-{}/daemon-set-with-a-long-name-{number:02}", number % 7);
        for node in 0..nodes {
            let name = format!(
                "ip-10-0-{}-{}.eu-central-1.compute.internal",
                node / 200,
                node % 200
            );
            let pair = if number % 10 == 9 && node > 1 {
                let wants = format!(
                    "required node affinity, term 1 of 1: example.com/pool-{number} In [a-very-long-value-{number}]"
                );
                verdict(&name, Verdict::Exclude, &[&wants])
            } else if number % 3 == 0 && node % 15 == 14 {
                tainted("", &name, "nvidia.com/gpu")
            } else {
                verdict(&name, Verdict::Run, &["fits"])
            };
            verdicts.push(NodeVerdict {
                daemon_set: daemon_set.clone(),
                ..pair
            });
        }
    }
    ExplainResponse {
        verdicts,
        ..ExplainResponse::default()
    }
}

#[track_caller]
fn assert_fits(answer: &ExplainResponse, lines: usize) -> String {
    let text = table(answer, &ExplainView::default(), TableStyle::default());
    assert!(
        text.lines().count() <= lines,
        "{} lines:\n{text}",
        text.lines().count()
    );
    for line in text.lines() {
        assert!(
            length(line) <= DEFAULT_WIDTH,
            "{} characters:\n{line}",
            length(line)
        );
    }
    text
}

#[test]
fn sixty_daemon_sets_on_fifteen_nodes_fit_on_one_screen() {
    let text = assert_fits(&cluster(60, 15), 50);
    assert!(
        text.contains("taint nvidia.com/gpu:NoSchedule keeps 18 DaemonSets off ip-10-0-0-14."),
        "{text}"
    );
    assert!(
        text.contains("12 nodes like ip-10-0-0-2.eu-central-1.compute.internal"),
        "{text}"
    );
    assert_eq!(text.matches("a toleration {key: nvidia.com/gpu").count(), 1);
}

#[test]
fn seventy_five_daemon_sets_on_a_thousand_nodes_fit_on_two_screens() {
    let text = assert_fits(&cluster(75, 1_000), 100);
    let sentence =
        "taint nvidia.com/gpu:NoSchedule keeps 22 DaemonSets off 66 nodes; a toleration {key: nvidia.com/gpu";
    assert!(text.contains(sentence), "{text}");
}

#[test]
fn hundreds_of_different_daemon_sets_and_nodes_still_fit() {
    let verdicts = (0..200).flat_map(|daemon_set| {
        (0..40).map(move |node| {
            let reason = format!("nodeSelector pool-{}=a", daemon_set * (node % 20));
            NodeVerdict {
                daemon_set: format!("default/agent-{daemon_set}"),
                ..verdict(&format!("node-{node}"), Verdict::Exclude, &[&reason])
            }
        })
    });
    let answer = ExplainResponse {
        verdicts: verdicts.collect(),
        ..ExplainResponse::default()
    };
    let text = assert_fits(&answer, 100);
    assert!(
        text.contains("more conditions; --all shows every pair)"),
        "{text}"
    );
    assert!(
        text.contains("more DaemonSets; --all shows every pair)"),
        "{text}"
    );
}

#[test]
fn each_section_gets_what_it_needs_or_an_equal_share() {
    assert_eq!(shares(10, [2, 0, 3]), [2, 0, 3]);
    assert_eq!(shares(12, [20, 2, 20]), [5, 2, 5]);
    assert_eq!(shares(3, [9, 9, 9]), [1, 1, 1]);
    assert_eq!(shares(0, [9, 9, 9]), [0, 0, 0]);
}

#[test]
fn list_that_doesnt_fit_counts_the_rest() {
    let texts = ["one (1)", "two (2)", "three (3)"].map(str::to_owned);
    assert_eq!(join_fitting(&texts, 40), "one (1); two (2); three (3)");
    assert_eq!(join_fitting(&texts, 24), "one (1); two (2); 1 more");
    assert_eq!(join_fitting(&texts, 15), "one (1); 2 more");
    assert_eq!(join_fitting(&texts, 13), "one …; 2 more");
    assert_eq!(join_fitting(&texts[..1], 5), "one …");
    assert_eq!(join_fitting(&[], 5), "");
}

#[test]
fn names_that_leave_no_room_for_conditions_shorten_the_list() {
    let reasons: Vec<_> = (0..30)
        .map(|number| format!("nodeSelector pool-{number}=a"))
        .collect();
    let reasons: Vec<_> = reasons.iter().map(String::as_str).collect();
    let node = "n".repeat(80);
    let verdicts = (0..30).map(|number| NodeVerdict {
        daemon_set: format!("default/agent-{number}"),
        ..verdict(&node, Verdict::Exclude, &reasons)
    });
    let answer = ExplainResponse {
        verdicts: verdicts.collect(),
        ..ExplainResponse::default()
    };
    let narrow = TableStyle {
        width: Some(80),
        ..TableStyle::default()
    };
    let text = table(&answer, &ExplainView::default(), narrow);
    let longest = text.lines().map(length).max().unwrap_or_default();
    assert!(longest <= 150, "{longest} characters:\n{text}");
}

#[test]
fn condition_with_a_long_list_of_values_is_shortened() {
    let types = vec!["g5.48xlarge"; 200].join(", ");
    let reason = format!("required node affinity, term 1 of 1: instance-type In [{types}]");
    let verdicts = (0..30).map(|number| verdict(&format!("n{number}"), Verdict::Exclude, &[&reason]));
    let answer = ExplainResponse {
        verdicts: verdicts.collect(),
        ..ExplainResponse::default()
    };
    let text = assert_fits(&answer, 12);
    assert!(text.contains("… keeps default/agent off 30 nodes"), "{text}");
    assert_eq!(shortened("abc", 3), "abc");
    assert_eq!(shortened("abcd", 3), "ab…");
}

#[test]
fn condition_of_pairs_with_different_verdicts_is_counted_once_for_each_node() {
    let verdicts = (0..30).map(|number| {
        let name = format!("default/agent-{number}");
        let mut pair = tainted(&name, "gpu", "nvidia.com/gpu");
        if number % 2 == 0 {
            pair.verdict = Verdict::Exclude.into();
        }
        pair
    });
    let answer = ExplainResponse {
        verdicts: verdicts.collect(),
        ..ExplainResponse::default()
    };
    let summary = ExplainView {
        extent: Extent::Summary,
        ..ExplainView::default()
    };
    let text = table(&answer, &summary, TableStyle::default());
    assert!(text.contains("taint nvidia.com/gpu:NoSchedule (30)\n"), "{text}");
}
