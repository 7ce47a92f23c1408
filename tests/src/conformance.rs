//! Runs Kubernetes' own end-to-end specs of `DaemonSet`s and `ControllerRevision`s against a control plane.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use serde::Deserialize;

use crate::child_process::{ChildProcess, ProcessOptions, WorkDir};
use crate::control_plane::ControlPlane;
use crate::toolbox::Tool;
use crate::wait::eventually;

/// Time after which Ginkgo ends the specs that are still running, and reports them. Otherwise a single failing spec
/// would wait for five minutes.
const TIMEOUT: Duration = Duration::from_mins(4);
/// How long a spec may take to clean up after Ginkgo has interrupted it.
const GRACE: Duration = Duration::from_secs(20);

/// Specs that run one after the other, chosen by regular expressions on their names.
struct Group {
    name: &'static str,
    focus: &'static str,
    skip: Option<&'static str>,
}

/// All specs, in steps. The steps run one after the other, and the groups of a step run in parallel. So the other specs
/// don't have to wait for the surge spec, which takes longer than all of them together.
///
/// The specs of the first step label nodes, and every spec removes such labels from all nodes when it begins and when
/// it ends. So nothing may run beside the first step. The groups of the second step don't affect each other. Only one
/// of their specs looks at all namespaces: it counts the `DaemonSet`s with a certain label, which the surge spec's
/// `DaemonSet` doesn't have.
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

/// The script that the specs run as `kubectl`. kwok's pods have no containers, so nothing can be executed in them. The
/// specs execute one command in a pod: it makes the readiness probe of an old pod fail in the middle of a surge. The
/// script sets an annotation instead, which makes kwok mark the pod as not ready.
const KUBECTL: &str = r#"#!/bin/sh
flags=
while [ $# -gt 0 ] && [ "$1" != exec ]; do
    flags="$flags $1"
    shift
done
exec "$KUBECTL" $flags annotate pod "$4" everynode.test/ready=false
"#;

/// The results of the specs.
#[derive(Debug, Default)]
pub struct SpecResults {
    /// The specs that passed.
    pub passed: BTreeSet<String>,
    /// A message for each spec that ran and didn't pass.
    pub failed: Vec<String>,
}

/// Runs the specs. They need at least two ready nodes, and the cluster to themselves.
///
/// # Errors
/// When the specs can't be built or started, or end without a report. The error then holds the last lines of their log.
pub async fn run(control_plane: &ControlPlane) -> Result<SpecResults> {
    let runner = Runner::new(control_plane).await?;
    let mut results = SpecResults::default();
    for step in STEPS {
        for report in try_join_all(step.iter().map(|group| runner.run(group))).await? {
            results.add(&report)?;
        }
    }
    Ok(results)
}

/// The program and the settings that all groups share.
struct Runner {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    work_dir: WorkDir,
}

impl Runner {
    async fn new(control_plane: &ControlPlane) -> Result<Self> {
        let toolbox = control_plane.toolbox();
        let program = toolbox.conformance().await?;
        let work_dir = WorkDir::new("conformance")?;
        let kubectl = work_dir.write("kubectl", KUBECTL)?;
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("making {} executable", kubectl.display()))?;
        let args = vec![
            "--provider=skeleton".to_owned(),
            format!("--kubeconfig={}", control_plane.kubeconfig().display()),
            format!("--kubectl-path={}", kubectl.display()),
            format!("--e2e-output-dir={}", work_dir.path().display()),
            format!("--ginkgo.timeout={}s", TIMEOUT.as_secs()),
            format!("--ginkgo.grace-period={}s", GRACE.as_secs()),
            "--ginkgo.no-color".to_owned(),
        ];
        let real = toolbox.path(Tool::Kubectl)?.display().to_string();
        Ok(Self {
            program,
            args,
            env: vec![("KUBECTL".to_owned(), real)],
            work_dir,
        })
    }

    /// Runs one group, and returns Ginkgo's report.
    async fn run(&self, group: &Group) -> Result<String> {
        let report = self.work_dir.file(&format!("{}.json", group.name));
        let mut args = self.args.clone();
        args.push(format!("--ginkgo.json-report={}", report.display()));
        args.push(format!("--ginkgo.focus={}", group.focus));
        args.extend(group.skip.map(|skip| format!("--ginkgo.skip={skip}")));
        let mut specs = ChildProcess::start(&ProcessOptions {
            name: format!("Kubernetes' own specs ({})", group.name),
            program: self.program.clone(),
            args,
            env: self.env.clone(),
            directory: Some(self.work_dir.path().to_owned()),
            log: self.work_dir.log(group.name)?,
            grace: Duration::from_secs(1),
        })?;
        let what = format!("the end of {}", specs.name());
        let ended = eventually(TIMEOUT + 2 * GRACE, what, async || {
            specs.exit_status().context("still running")
        });
        let text = ended.await.and_then(|status| {
            fs::read_to_string(&report)
                .with_context(|| format!("the specs ended with {status}; reading {}", report.display()))
        });
        text.with_context(|| format!("the last lines of {}'s log:\n{}", specs.name(), specs.tail(40)))
    }
}

/// The part of Ginkgo's report that is used here. Ginkgo writes an empty list as null.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    special_suite_failure_reasons: Option<Vec<String>>,
    spec_reports: Option<Vec<Spec>>,
}

/// A spec, or a setup or teardown step that runs before or after all of them.
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

/// A failure that a spec reported after Ginkgo had interrupted it. For a spec that timed out, this failure names the
/// place where the spec hung.
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

impl SpecResults {
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
                    _ => self.failed.push(spec.failure_message()),
                }
            }
        }
        Ok(())
    }
}

impl Spec {
    fn name(&self) -> String {
        let containers = self.container_hierarchy_texts.iter().flatten();
        let parts: Vec<_> = containers
            .chain([&self.leaf_node_text])
            .filter(|text| !text.is_empty())
            .map(String::as_str)
            .collect();
        if parts.is_empty() {
            self.leaf_node_type.clone()
        } else {
            parts.join(" ")
        }
    }

    fn failure_message(&self) -> String {
        let mut text = format!("{}: {}", self.name(), self.state);
        let additional = self.additional_failures.iter().flatten();
        let failures = self
            .failure
            .iter()
            .chain(additional.map(|additional| &additional.failure));
        for Failure { message, location } in failures {
            let _ = write!(
                text,
                "\n  {}:{}: {message}",
                location.file_name, location.line_number
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_lists_passed_and_failed_specs_by_name() {
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
        let mut results = SpecResults::default();
        results.add(report).unwrap();
        results
            .add(r#"[{"SpecialSuiteFailureReasons": null, "SpecReports": null}]"#)
            .unwrap();
        assert_eq!(
            results.passed,
            BTreeSet::from(["Daemon set should run".to_owned()])
        );
        assert_eq!(
            results.failed,
            [
                "Suite Timeout Elapsed",
                "Daemon set should stop: timedout\n  daemon_set.go:7: no pod\n  daemon_set.go:9: waiting",
                "AfterSuite: panicked"
            ]
        );
    }
}
