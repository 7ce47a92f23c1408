//! The programs' Prometheus metrics, and the alerts and the dashboard that use them.
//!
//! `rules.yaml` wraps `alerts.yaml` for the Prometheus operator. To regenerate it, run
//! `EVERYNODE_BLESS=1 cargo test -p everynode-tests --test it -- metrics`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use everynode_planner::offline::documents;
use everynode_tests::programs::workspace;
use everynode_tests::toolbox::Toolbox;
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::world::{DEADLINE, World};

fn monitoring_folder() -> PathBuf {
    workspace().join("deploy/components/monitoring")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(monitoring_folder().join(name)).unwrap()
}

/// Runs promtool. Returns whether it succeeded, and its output.
async fn promtool(folder: &Path, args: &[&str], input: &str) -> (bool, String) {
    let mut promtool = Command::new(Toolbox::promtool().await.unwrap())
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().await.unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), text.concat())
}

/// The names of the programs' metrics that occur in a text.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|end: char| !(end.is_ascii_alphanumeric() || end == '_'));
    let ours = words.filter(|word| {
        ["everynode_executor_", "everynode_planner_", "process_"]
            .iter()
            .any(|prefix| word.starts_with(prefix))
    });
    ours.map(str::to_owned).collect()
}

/// The names of the series on a metrics page.
fn series_names(page: &str) -> BTreeSet<String> {
    let series = page.lines().filter(|line| !line.starts_with('#'));
    let names = series.filter_map(|line| line.split(['{', ' ']).next());
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn exported_metrics_are_well_formed_and_cover_alerts_and_dashboard() {
    let (mut world, _) = World::with_agent(2).await;
    world.replace_executor(&["--per-daemon-set-metrics"]).await;
    world.set_image("example/daemon:2").await;
    world.wait_rolled_out().await;
    let counted = eventually(DEADLINE, "the work to be counted", async || {
        for name in [
            "event_to_plan_seconds_count",
            "event_to_action_seconds_count",
            "daemonset_available",
        ] {
            let value = world
                .executor
                .metric(&format!("everynode_executor_{name}"), "")
                .await?;
            anyhow::ensure!(value > 0.0, "{name} is {value}");
        }
        Ok(())
    });
    counted
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    let took = world
        .executor
        .metric("everynode_executor_event_to_action_seconds_sum", "")
        .await;
    assert!(took.unwrap() > 0.0);
    for (name, least) in [
        ("nodes", 2.0),
        ("daemon_sets", 1.0),
        ("pods", 2.0),
        ("cells", 2.0),
        ("sessions", 1.0),
    ] {
        let value = world
            .planner
            .metric(&format!("everynode_planner_{name}"), "")
            .await
            .unwrap();
        assert!(value >= least, "{name} is {value}");
    }

    let (_, executor) = world.executor.get("/metrics").await.unwrap();
    let (_, planner) = world.planner.get("/metrics").await.unwrap();
    for page in [&executor, &planner] {
        let (succeeded, output) = promtool(&workspace(), &["check", "metrics"], page).await;
        assert!(succeeded && output.is_empty(), "{output}\n{page}");
    }
    let exported = series_names(&(executor + &planner));
    let used = metric_names(&(text("alerts.yaml") + &text("dashboard.json")));
    let missing: Vec<_> = used.difference(&exported).collect();
    assert!(
        missing.is_empty(),
        "alerts or dashboard use metrics that are not exported: {missing:?}"
    );

    let sets: Api<DaemonSet> = Api::namespaced(world.client.clone(), &world.namespace);
    sets.delete("agent", &DeleteParams::default()).await.unwrap();
    let forgotten = eventually(DEADLINE, "the series of the DaemonSet to disappear", async || {
        let (_, page) = world.executor.get("/metrics").await?;
        anyhow::ensure!(
            !page.contains("daemonset=\"agent\""),
            "the series are still exported"
        );
        Ok(())
    });
    forgotten
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
}

#[tokio::test]
async fn alerts_fire_exactly_when_they_should() {
    for args in [
        &["check", "rules", "alerts.yaml"][..],
        &["test", "rules", "alerts.test.yaml"],
    ] {
        let (succeeded, output) = promtool(&monitoring_folder(), args, "").await;
        assert!(succeeded, "{output}");
    }
}

#[test]
fn every_alert_has_summary_description_and_severity() {
    let documents = documents::parse("alerts.yaml", text("alerts.yaml").as_bytes())
        .unwrap()
        .documents;
    let groups = documents
        .iter()
        .flat_map(|document| document.value["groups"].as_array().unwrap());
    let alerts: Vec<_> = groups
        .flat_map(|group| group["rules"].as_array().unwrap())
        .filter(|rule| rule["alert"].is_string())
        .collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        for field in [
            "/annotations/summary",
            "/annotations/description",
            "/labels/severity",
        ] {
            let value = alert.pointer(field).and_then(Value::as_str);
            assert!(value.is_some_and(|value| !value.is_empty()), "{field} of {alert}");
        }
    }
}

#[test]
fn rules_for_the_prometheus_operator_match_the_alerts() {
    let mut rules = "\
# Generated by a test from alerts.yaml, for the Prometheus operator.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: everynode
  namespace: everynode-system
spec:
"
    .to_owned();
    let groups = text("alerts.yaml");
    for line in groups.lines().filter(|line| !line.starts_with('#')) {
        rules.extend(["  ", line, "\n"]);
    }
    if std::env::var_os("EVERYNODE_BLESS").is_some() {
        std::fs::write(monitoring_folder().join("rules.yaml"), &rules).unwrap();
    }
    assert_eq!(
        text("rules.yaml"),
        rules,
        "rules.yaml is outdated; the top of this module says how to regenerate it"
    );
}
