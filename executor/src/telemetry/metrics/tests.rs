use super::*;

const AGENT: (&str, &str) = ("ns", "agent");

#[test]
fn daemon_set_has_series_from_its_first_status_until_it_is_gone() {
    let metrics = Metrics::new(true);
    let series = || {
        let page = metrics.encode();
        let lines = page.lines().filter(|line| line.contains("daemonset=\"agent\""));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(series(), [""; 0]);
    let status = DaemonSetStatus {
        desired_number_scheduled: 5,
        ..DaemonSetStatus::default()
    };
    metrics.daemon_set(AGENT, &status, true);
    let lines = series();
    assert_eq!(lines.len(), 8, "{lines:?}");
    for line in [
        "everynode_executor_daemonset_desired{namespace=\"ns\",daemonset=\"agent\"} 5",
        "everynode_executor_daemonset_rollout_in_progress{namespace=\"ns\",daemonset=\"agent\"} 1",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line}: {lines:?}");
    }
    metrics.forget_daemon_set(AGENT);
    assert_eq!(series(), [""; 0]);
    metrics.daemon_set(AGENT, &status, false);
    metrics.forget_daemon_sets();
    assert_eq!(series(), [""; 0]);
}

#[test]
fn per_daemon_set_series_are_optional() {
    let metrics = Metrics::default();
    metrics.daemon_set(AGENT, &DaemonSetStatus::default(), true);
    assert!(!metrics.encode().contains("daemonset_"));
}

#[test]
fn series_of_closed_label_sets_exist_from_the_start() {
    let page = Metrics::default().encode();
    for series in [
        "everynode_executor_actions_total{action=\"Delete\",outcome=\"Refused\"} 0",
        "everynode_executor_actions_waiting{action=\"Create\"} 0",
        "everynode_executor_competing_controller_total{work=\"Pod\"} 0",
        "everynode_executor_plan_violations_total{kind=\"ForeignPod\"} 0",
        "everynode_executor_view_calls_total{method=\"Explain\"} 0",
        "everynode_executor_caller_reviews_total{review=\"Token\",outcome=\"Refused\"} 0",
        "everynode_executor_view_refused_calls_total{reason=\"unauthenticated\"} 0",
        "everynode_executor_event_to_action_seconds_count 0",
        "everynode_executor_leader 0",
        "everynode_executor_rollouts{phase=\"GoingBack\"} 0",
        "everynode_executor_rollout_phase_longest_seconds{phase=\"Paused\"} 0",
        "everynode_executor_rollout_policies{accepted=\"false\"} 0",
    ] {
        assert!(page.lines().any(|line| line == series), "{series}: {page}");
    }
}

#[test]
fn rollouts_are_counted_by_phase_with_the_longest_age() {
    let metrics = Metrics::default();
    let mut counts = RolloutCounts::default();
    counts.add_rollout("Paused", Duration::from_secs(5));
    counts.add_rollout("Paused", Duration::from_secs(90));
    counts.add_rollout("Soaking", Duration::ZERO);
    counts.add_rollout("Sleeping", Duration::MAX);
    counts.add_policy(true);
    metrics.set_rollouts(&counts);
    let page = metrics.encode();
    for series in [
        "everynode_executor_rollouts{phase=\"Paused\"} 2",
        "everynode_executor_rollouts{phase=\"Soaking\"} 1",
        "everynode_executor_rollouts{phase=\"Stalled\"} 0",
        "everynode_executor_rollout_phase_longest_seconds{phase=\"Paused\"} 90",
        "everynode_executor_rollout_policies{accepted=\"true\"} 1",
    ] {
        assert!(page.lines().any(|line| line == series), "{series}: {page}");
    }
    for unknown in [
        "Sleeping",
        "everynode_executor_rollout_phase_longest_seconds{phase=\"Soaking\"}",
    ] {
        assert!(!page.contains(unknown), "{page}");
    }
    metrics.set_rollouts(&RolloutCounts::default());
    assert!(
        metrics
            .encode()
            .contains("everynode_executor_rollouts{phase=\"Paused\"} 0")
    );
}
