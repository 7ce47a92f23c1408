//! Tables for the answer to `SimulateRollout`: the steps, the result, the domains and the warnings.

use everynode_proto::planner::v1::{
    SimulateRolloutResponse, SimulatedDomain, SimulatedEvent, SimulatedOutcome, SimulatedStep,
};

use super::{
    TableStyle,
    csv::Csv,
    table::{Cell, Severity, Table},
    values,
};

/// The most domains that the table lists, unless it is wide.
const MAX_DOMAINS: usize = 20;
/// The last stage, which has no name, in tables.
const OTHER_NODES: &str = "(other nodes)";

/// Renders the simulations of several `DaemonSet`s one after another.
pub fn tables(answers: &[SimulateRolloutResponse], style: TableStyle) -> String {
    let answers = answers.iter().map(|answer| table(answer, style));
    answers.collect::<Vec<_>>().join("\n")
}

/// Renders the steps, the result, the domains and the warnings of a simulation.
pub fn table(answer: &SimulateRolloutResponse, style: TableStyle) -> String {
    let heading = format!(
        "{} on DaemonSet {}, {}",
        answer.policy,
        answer.daemon_set,
        values::count(answer.desired, "node")
    );
    let mut text = values::line(&heading);
    text.push('\n');
    text.push_str(&steps(answer, style));
    text.push('\n');
    text.push_str(&result(answer));
    text.push_str(&domains(answer, style));
    if !answer.warnings.is_empty() {
        text.push_str("\nWarnings:\n");
        for warning in &answer.warnings {
            let warning = values::line(&format!("  {}", warning.message));
            text.push_str(&Severity::Warning.paint(warning.trim_end(), style));
            text.push('\n');
        }
    }
    text
}

/// Renders a line for each step of each `DaemonSet`. Times are in seconds.
pub fn csv(answers: &[SimulateRolloutResponse]) -> String {
    let mut csv = Csv::new([
        "DAEMONSET",
        "SECONDS",
        "STAGE",
        "EVENT",
        "NODES",
        "UPDATED",
        "UNAVAILABLE",
        "WORST",
    ]);
    for answer in answers {
        for step in &answer.steps {
            let seconds = values::duration(&step.at.unwrap_or_default());
            let seconds = seconds.trim_end_matches(" s").to_owned();
            let names = [
                answer.daemon_set.clone(),
                seconds,
                step.stage.clone(),
                event(step).to_owned(),
            ];
            csv.add_row(names.into_iter().chain(counters(step)));
        }
    }
    csv.into_text()
}

/// Whether the rollout ends as the policy says, and nothing is doubtful.
pub fn is_as_desired(answer: &SimulateRolloutResponse) -> bool {
    let ends = matches!(
        answer.outcome(),
        SimulatedOutcome::Completed | SimulatedOutcome::Partition
    );
    ends && answer.warnings.is_empty() && answer.problems.is_empty()
}

fn steps(answer: &SimulateRolloutResponse, style: TableStyle) -> String {
    if answer.steps.is_empty() {
        return "Nothing happens.\n".to_owned();
    }
    let mut table = Table::new([
        "AFTER",
        "STAGE",
        "EVENT",
        "NODES",
        "UPDATED",
        "UNAVAILABLE",
        "WORST",
    ]);
    for step in &answer.steps {
        let stage = match (step.event(), step.stage.as_str()) {
            (SimulatedEvent::Completed, _) => "-",
            (_, "") => OTHER_NODES,
            (_, stage) => stage,
        };
        let severity = match step.event() {
            SimulatedEvent::Completed => Severity::Ok,
            SimulatedEvent::PromotionNeeded => Severity::Warning,
            _ => Severity::Neutral,
        };
        let cells = [
            elapsed(step.at.as_ref()).into(),
            stage.into(),
            Cell::with_severity(event(step), severity),
        ];
        table.add_row(cells.into_iter().chain(counters(step).map(Cell::from)));
    }
    table.render(style)
}

fn event(step: &SimulatedStep) -> &'static str {
    match step.event() {
        SimulatedEvent::Opened => "opened",
        SimulatedEvent::Updated => "updated",
        SimulatedEvent::PromotionNeeded => "promotion needed",
        SimulatedEvent::Done => "done",
        SimulatedEvent::Completed => "completed",
        SimulatedEvent::Unspecified => "?",
    }
}

fn counters(step: &SimulatedStep) -> [String; 4] {
    [step.nodes, step.updated, step.unavailable, step.most_unavailable].map(|count| count.to_string())
}

fn result(answer: &SimulateRolloutResponse) -> String {
    let after = elapsed(answer.duration.as_ref());
    let updated = format!("{} of {}", answer.updated, values::count(answer.desired, "node"));
    let end = match answer.outcome() {
        SimulatedOutcome::Completed => format!("The rollout completes after {after}."),
        SimulatedOutcome::Partition => {
            format!("The rollout ends at the partition after {after}, with {updated} updated.")
        }
        SimulatedOutcome::Stuck | SimulatedOutcome::Unspecified => format!(
            "The rollout doesn't end. After {after}, {updated} are updated, and nothing more happens: {}.",
            answer.message
        ),
    };
    let most = match answer.most_unavailable {
        0 => "Every node always has an available pod.".to_owned(),
        most => format!(
            "Nodes without an available pod at the same time: at most {most} of {}.",
            answer.desired
        ),
    };
    values::line(&end) + &values::line(&most)
}

/// Renders the domains. If there are many, those with the most unavailable nodes come first, and the rest is left out.
fn domains(answer: &SimulateRolloutResponse, style: TableStyle) -> String {
    if answer.domains.is_empty() {
        return String::new();
    }
    let mut domains: Vec<&SimulatedDomain> = answer.domains.iter().collect();
    let all = domains.len();
    if all > MAX_DOMAINS && !style.is_wide {
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.most_unavailable));
        domains.truncate(MAX_DOMAINS);
    }
    let mut table = Table::new([answer.topology_key.as_str(), "NODES", "WORST"]);
    for domain in &domains {
        let name = match domain.name.as_str() {
            "" => "(no label)",
            name => name,
        };
        table.add_row([
            name.into(),
            domain.nodes.to_string().into(),
            domain.most_unavailable.to_string().into(),
        ]);
    }
    let rest = match all - domains.len() {
        0 => String::new(),
        rest => format!("{rest} more; -o wide lists all\n"),
    };
    format!("\n{}{rest}", table.render(style))
}

/// Formats a duration with its two or three largest units, such as `2d4h`, `1h0m30s` or `40s`. Fractions of a second don't
/// matter.
fn elapsed(duration: Option<&prost_types::Duration>) -> String {
    let seconds = duration.map_or(0, |duration| duration.seconds);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, _, _) => format!("{hours}h{minutes}m{seconds}s"),
        _ => format!("{days}d{hours}h{minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::{RolloutWarning, RolloutWarningCode};

    use super::*;

    fn duration(seconds: i64) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos: 0 }
    }

    fn step(seconds: i64, stage: &str, event: SimulatedEvent, counters: [u32; 4]) -> SimulatedStep {
        let [nodes, updated, unavailable, most_unavailable] = counters;
        SimulatedStep {
            at: Some(duration(seconds)),
            stage: stage.to_owned(),
            event: event.into(),
            nodes,
            updated,
            unavailable,
            most_unavailable,
        }
    }

    fn answer() -> SimulateRolloutResponse {
        SimulateRolloutResponse {
            daemon_set: "default/agent".to_owned(),
            policy: "DaemonSetRolloutPolicy default/steps".to_owned(),
            outcome: SimulatedOutcome::Completed.into(),
            duration: Some(duration(3_725)),
            desired: 10,
            updated: 10,
            most_unavailable: 2,
            steps: vec![
                step(0, "canary", SimulatedEvent::Opened, [1, 0, 0, 0]),
                step(640, "canary", SimulatedEvent::Done, [1, 1, 0, 1]),
                step(640, "", SimulatedEvent::Opened, [9, 1, 0, 0]),
                step(3_725, "", SimulatedEvent::Completed, [10, 10, 0, 2]),
            ],
            topology_key: "zone".to_owned(),
            domains: vec![SimulatedDomain {
                name: "a".to_owned(),
                nodes: 10,
                most_unavailable: 2,
            }],
            ..SimulateRolloutResponse::default()
        }
    }

    #[test]
    fn steps_result_and_domains_are_shown() {
        assert_eq!(
            table(&answer(), TableStyle::default()),
            "\
DaemonSetRolloutPolicy default/steps on DaemonSet default/agent, 10 nodes

AFTER    STAGE           EVENT       NODES   UPDATED   UNAVAILABLE   WORST
0s       canary          opened      1       0         0             0
10m40s   canary          done        1       1         0             1
10m40s   (other nodes)   opened      9       1         0             0
1h2m5s   -               completed   10      10        0             2

The rollout completes after 1h2m5s.
Nodes without an available pod at the same time: at most 2 of 10.

zone   NODES   WORST
a      10      2
"
        );
        assert!(is_as_desired(&answer()));
    }

    #[test]
    fn warnings_and_an_end_that_never_comes_are_findings() {
        let mut doubtful = answer();
        doubtful.warnings.push(RolloutWarning {
            code: RolloutWarningCode::ShortSoak.into(),
            stage: "canary".to_owned(),
            message: "stage canary doesn't soak".to_owned(),
        });
        assert!(!is_as_desired(&doubtful));
        let text = table(&doubtful, TableStyle::default());
        assert!(
            text.ends_with("\nWarnings:\n  stage canary doesn't soak\n"),
            "{text}"
        );
        let stuck = SimulateRolloutResponse {
            outcome: SimulatedOutcome::Stuck.into(),
            updated: 1,
            message: "the rollout is paused".to_owned(),
            ..answer()
        };
        assert!(!is_as_desired(&stuck));
        let text = table(&stuck, TableStyle::default());
        assert!(
            text.contains(
                "After 1h2m5s, 1 of 10 nodes are updated, and nothing more happens: the rollout is paused."
            ),
            "{text}"
        );
    }

    #[test]
    fn csv_has_a_line_for_each_step() {
        assert_eq!(
            csv(&[answer()]),
            "\
DAEMONSET,SECONDS,STAGE,EVENT,NODES,UPDATED,UNAVAILABLE,WORST
default/agent,0,canary,opened,1,0,0,0
default/agent,640,canary,done,1,1,0,1
default/agent,640,,opened,9,1,0,0
default/agent,3725,,completed,10,10,0,2
"
        );
    }

    #[test]
    fn many_domains_are_shortened_unless_the_style_is_wide() {
        let domain = |number: u32| SimulatedDomain {
            name: format!("rack-{number:02}"),
            nodes: 1,
            most_unavailable: u32::from(number == 24),
        };
        let answer = SimulateRolloutResponse {
            domains: (0..25).map(domain).collect(),
            ..answer()
        };
        let text = table(&answer, TableStyle::default());
        assert!(text.contains("rack-24") && !text.contains("rack-23"), "{text}");
        assert!(text.ends_with("5 more; -o wide lists all\n"), "{text}");
        let wide = TableStyle {
            is_wide: true,
            ..TableStyle::default()
        };
        assert!(table(&answer, wide).contains("rack-23"));
    }

    #[test]
    fn elapsed_times_have_their_largest_units() {
        for (seconds, expected) in [(0, "0s"), (90, "1m30s"), (3_600, "1h0m0s"), (180_000, "2d2h0m")] {
            assert_eq!(elapsed(Some(&duration(seconds))), expected);
        }
    }
}
