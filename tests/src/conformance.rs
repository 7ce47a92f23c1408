//! Kubernetes' own end-to-end specs of `DaemonSet`s and `ControllerRevision`s, run against a control plane.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use serde::Deserialize;

use crate::control_plane::ControlPlane;
use crate::leash::{Home, Launch, Leash};
use crate::toolbox::Tool;
use crate::wait::eventually;

/// When Ginkgo ends what is still running, and reports it. A single spec would wait for five minutes for what doesn't come.
const TIMEOUT: Duration = Duration::from_mins(4);
/// How long a spec may take to clean up once it was ended.
const GRACE: Duration = Duration::from_secs(20);

/// Specs that run one after the other, chosen by regular expressions on their names.
struct Group {
    name: &'static str,
    focus: &'static str,
    skip: Option<&'static str>,
}

/// What runs at the same time, step by step. So the others don't have to wait for the surge, which takes
/// longer than all of them together.
///
/// The specs of the first step label nodes, and every spec takes such labels from all nodes when it begins and when it ends; so
/// nothing may run beside them. The others meet only in one that counts the `DaemonSet`s with a label in all namespaces, which
/// the surge's one doesn't have.
const STEPS: [&[Group]; 2] = [
    &[Group {
        name: "labels",
        focus: r"\[sig-apps\] Daemon set .* complex daemon",
        skip: None,
    }],
    &[
        Group {
            name: "surge",
            focus: r"\[sig-apps\] Daemon set .* should surge pods",
            skip: None,
        },
        Group {
            name: "rest",
            focus: r"\[sig-apps\] (Daemon set|ControllerRevision)",
            skip: Some("complex daemon|should surge pods"),
        },
    ],
];

/// What the specs run as `kubectl`. There are no containers in kwok's pods, so the one command that is executed in one, which
/// has the readiness probe of an old pod fail in the middle of a surge, becomes what it would have led to.
const KUBECTL: &str = r#"#!/bin/sh
flags=
while [ $# -gt 0 ] && [ "$1" != exec ]; do
    flags="$flags $1"
    shift
done
exec "$KUBECTL" $flags annotate pod "$4" everynode.test/ready=false
"#;

/// How the specs ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The specs that passed.
    pub passed: BTreeSet<String>,
    /// What is to be said of each that ran and didn't pass.
    pub failed: Vec<String>,
}

/// Runs the specs. They need at least two nodes that are ready, and nobody else on the cluster.
///
/// # Errors
/// When the specs can't be built or started, or end without a report: with the last lines of their log.
pub async fn run(control_plane: &ControlPlane) -> Result<Outcome> {
    let runner = Runner::new(control_plane).await?;
    let mut outcome = Outcome::default();
    for step in STEPS {
        for report in try_join_all(step.iter().map(|group| runner.run(group))).await? {
            outcome.add(&report)?;
        }
    }
    Ok(outcome)
}

/// What all groups have in common.
struct Runner {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    home: Home,
}

impl Runner {
    async fn new(control_plane: &ControlPlane) -> Result<Self> {
        let toolbox = control_plane.toolbox();
        let program = toolbox.conformance().await?;
        let home = Home::new("conformance")?;
        let kubectl = home.write("kubectl", KUBECTL)?;
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("making {} a program", kubectl.display()))?;
        let args = vec![
            "--provider=skeleton".to_owned(),
            format!("--kubeconfig={}", control_plane.kubeconfig().display()),
            format!("--kubectl-path={}", kubectl.display()),
            format!("--e2e-output-dir={}", home.path().display()),
            format!("--ginkgo.timeout={}s", TIMEOUT.as_secs()),
            format!("--ginkgo.grace-period={}s", GRACE.as_secs()),
            "--ginkgo.no-color".to_owned(),
        ];
        let real = toolbox.path(Tool::Kubectl)?.display().to_string();
        Ok(Self {
            program,
            args,
            env: vec![("KUBECTL".to_owned(), real)],
            home,
        })
    }

    /// Runs one group, and returns Ginkgo's report.
    async fn run(&self, group: &Group) -> Result<String> {
        let report = self.home.file(&format!("{}.json", group.name));
        let mut args = self.args.clone();
        args.push(format!("--ginkgo.json-report={}", report.display()));
        args.push(format!("--ginkgo.focus={}", group.focus));
        args.extend(group.skip.map(|skip| format!("--ginkgo.skip={skip}")));
        let mut specs = Leash::start(&Launch {
            name: format!("Kubernetes' own specs ({})", group.name),
            program: self.program.clone(),
            args,
            env: self.env.clone(),
            directory: Some(self.home.path().to_owned()),
            log: self.home.log(group.name)?,
            grace: Duration::from_secs(1),
        })?;
        let what = format!("the end of {}", specs.name());
        let ended = eventually(TIMEOUT + 2 * GRACE, what, async || {
            specs.exit_status().context("they are running")
        });
        let text = ended.await.and_then(|status| {
            fs::read_to_string(&report)
                .with_context(|| format!("they ended with {status}; reading {}", report.display()))
        });
        text.with_context(|| format!("the last lines of {}'s log:\n{}", specs.name(), specs.tail(40)))
    }
}

/// Ginkgo's report, as far as it matters here. Lists without items are null in it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    special_suite_failure_reasons: Option<Vec<String>>,
    spec_reports: Option<Vec<Spec>>,
}

/// A spec, or a step before or after all of them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
    failure: Option<Failure>,
    additional_failures: Option<Vec<AdditionalFailure>>,
}

/// What a spec said when it was ended already: where it hung, for one that took too long.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AdditionalFailure {
    failure: Failure,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: String,
    location: Location,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    file_name: String,
    line_number: u32,
}

impl Outcome {
    fn add(&mut self, report: &str) -> Result<()> {
        let suites: Vec<Suite> = serde_json::from_str(report).context("reading Ginkgo's report")?;
        for suite in suites {
            self.failed
                .extend(suite.special_suite_failure_reasons.unwrap_or_default());
            for spec in suite.spec_reports.unwrap_or_default() {
                match (spec.state.as_str(), spec.leaf_node_type.as_str()) {
                    ("passed", "It") => {
                        self.passed.insert(spec.name());
                    }
                    ("passed" | "skipped" | "pending", _) => {}
                    _ => self.failed.push(spec.complaint()),
                }
            }
        }
        Ok(())
    }
}

impl Spec {
    fn name(&self) -> String {
        let containers = self.container_hierarchy_texts.iter().flatten();
        let words: Vec<_> = containers
            .chain([&self.leaf_node_text])
            .filter(|text| !text.is_empty())
            .map(String::as_str)
            .collect();
        if words.is_empty() {
            self.leaf_node_type.clone()
        } else {
            words.join(" ")
        }
    }

    fn complaint(&self) -> String {
        let mut complaint = format!("{}: {}", self.name(), self.state);
        let additional = self.additional_failures.iter().flatten();
        let failures = self
            .failure
            .iter()
            .chain(additional.map(|additional| &additional.failure));
        for Failure { message, location } in failures {
            let _ = write!(
                complaint,
                "\n  {}:{}: {message}",
                location.file_name, location.line_number
            );
        }
        complaint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_and_what_did_not_is_told_by_name() {
        let report = r#"[{
            "SpecialSuiteFailureReasons": ["Suite Timeout Elapsed"],
            "SpecReports": [
                {"ContainerHierarchyTexts": null, "LeafNodeType": "BeforeSuite", "LeafNodeText": "", "State": "passed"},
                {"ContainerHierarchyTexts": ["Daemon set", ""], "LeafNodeType": "It", "LeafNodeText": "should run", "State": "passed"},
                {"ContainerHierarchyTexts": ["Deployment"], "LeafNodeType": "It", "LeafNodeText": "should run", "State": "skipped"},
                {"ContainerHierarchyTexts": ["Daemon set"], "LeafNodeType": "It", "LeafNodeText": "should stop", "State": "timedout",
                 "Failure": {"Message": "no pod", "Location": {"FileName": "daemon_set.go", "LineNumber": 7}},
                 "AdditionalFailures": [{"State": "failed",
                    "Failure": {"Message": "waiting", "Location": {"FileName": "daemon_set.go", "LineNumber": 9}}}]},
                {"ContainerHierarchyTexts": null, "LeafNodeType": "AfterSuite", "LeafNodeText": "", "State": "panicked"}
            ]
        }]"#;
        let mut outcome = Outcome::default();
        outcome.add(report).unwrap();
        outcome
            .add(r#"[{"SpecialSuiteFailureReasons": null, "SpecReports": null}]"#)
            .unwrap();
        assert_eq!(
            outcome.passed,
            BTreeSet::from(["Daemon set should run".to_owned()])
        );
        assert_eq!(
            outcome.failed,
            [
                "Suite Timeout Elapsed",
                "Daemon set should stop: timedout\n  daemon_set.go:7: no pod\n  daemon_set.go:9: waiting",
                "AfterSuite: panicked"
            ]
        );
    }
}
