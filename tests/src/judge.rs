//! Reference answers from Kubernetes' own code: kube-controller-manager's on placement, the scheduler's on the
//! resources and ports that pods need.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use everynode_proto::planner::v1::Verdict;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::questions::Question;
use crate::toolbox::{Tool, Toolbox};

/// The verdicts on one question: one row for each `DaemonSet`, with a verdict for each node.
pub type Verdicts = Vec<Vec<Verdict>>;

/// The resources and ports that a pod needs according to the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// The requests by resource, in Kubernetes' notation.
    pub requests: BTreeMap<String, String>,
    /// The host ports that the pod uses, in the order of the template.
    pub host_ports: Vec<HostPort>,
}

/// A port of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct HostPort {
    /// The port's number.
    pub port: u32,
    /// TCP, UDP or SCTP.
    pub protocol: String,
    /// The address of the node that the port is bound to; empty for all addresses.
    pub ip: String,
}

/// Asks the reference about placement. The answers are in the order of the questions.
///
/// # Errors
/// When the reference program is missing or fails. The error holds its standard error.
pub async fn judge(toolbox: &Toolbox, questions: &[Question]) -> Result<Vec<Verdicts>> {
    let lines = ask(toolbox, questions.iter().map(Question::to_json).collect()).await?;
    lines.iter().map(|line| answer(line)).collect()
}

/// Asks the reference what pods of these templates need. The answers are in the order of the templates.
///
/// # Errors
/// When the reference program is missing or fails. The error holds its standard error.
pub async fn weigh(toolbox: &Toolbox, templates: &[Value]) -> Result<Vec<Demand>> {
    let lines = ask(toolbox, vec![json!({"templates": templates})]).await?;
    let [line] = lines.as_slice() else {
        bail!("there is one answer to one question")
    };
    serde_json::from_str(line).context("reading the judge's answer")
}

/// Sends the questions to the judge and returns one line for each answer.
async fn ask(toolbox: &Toolbox, questions: Vec<Value>) -> Result<Vec<String>> {
    let asked_for = questions.len();
    let mut child = Command::new(toolbox.path(Tool::Judge)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the judge")?;
    let mut stdin = child.stdin.take().context("the judge has a standard input")?;
    // The judge answers while it reads. So writing and reading have to go on at the same time, or both pipes fill up.
    let ask = async move {
        for question in questions {
            stdin.write_all(question.to_string().as_bytes()).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let (asked, output) = tokio::join!(ask, child.wait_with_output());
    let output = output.context("waiting for the judge")?;
    ensure!(
        output.status.success(),
        "the judge failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    asked.context("asking the judge")?;
    let answers = String::from_utf8(output.stdout).context("the judge's answers are text")?;
    let answers: Vec<_> = answers.lines().map(str::to_owned).collect();
    ensure!(
        answers.len() == asked_for,
        "the judge answered {} of {asked_for} questions",
        answers.len(),
    );
    Ok(answers)
}

fn answer(line: &str) -> Result<Verdicts> {
    let rows: Vec<Vec<&str>> = serde_json::from_str(line).context("reading the judge's answer")?;
    let verdict = |name: &str| {
        Verdict::from_str_name(&format!("VERDICT_{name}")).with_context(|| format!("{name} is no verdict"))
    };
    rows.into_iter()
        .map(|row| row.into_iter().map(verdict).collect())
        .collect()
}
