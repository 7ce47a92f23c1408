//! Reference results of Kubernetes' own code, which the program `judge` runs: kube-controller-manager's placement, the
//! scheduler's resources and ports of pods, and what kubectl reads from files.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use everynode_proto::planner::v1::Verdict;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::placement_cases::PlacementCase;
use crate::toolbox::{Tool, Toolbox};

/// The verdicts of one case: one row for each `DaemonSet`, with a verdict for each node.
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

/// What kubectl reads from a file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Contents {
    /// The documents up to the first error.
    pub documents: Vec<Value>,
    /// The error. Empty if there is none.
    pub error: String,
}

/// Returns kube-controller-manager's verdicts, in the order of the cases.
///
/// # Errors
/// When the reference program is missing or fails. The error holds its standard error.
pub async fn placement_verdicts(toolbox: &Toolbox, cases: &[PlacementCase]) -> Result<Vec<Verdicts>> {
    let lines = run(toolbox, cases.iter().map(PlacementCase::to_json).collect()).await?;
    lines.iter().map(|line| parse_verdicts(line)).collect()
}

/// Returns what pods of these templates need according to the scheduler, in the order of the templates.
///
/// # Errors
/// When the reference program is missing or fails. The error holds its standard error.
pub async fn pod_demands(toolbox: &Toolbox, templates: &[Value]) -> Result<Vec<Demand>> {
    let lines = run(toolbox, vec![json!({"templates": templates})]).await?;
    let [line] = lines.as_slice() else {
        bail!("the judge printed {} lines for one input", lines.len())
    };
    serde_json::from_str(line).context("parsing the judge's output")
}

/// Returns what kubectl reads from files with these bytes, in their order.
///
/// # Errors
/// When the reference program is missing or fails. The error holds its standard error.
pub async fn file_contents(toolbox: &Toolbox, files: &[Vec<u8>]) -> Result<Vec<Contents>> {
    let encoded: Vec<_> = files.iter().map(|file| STANDARD.encode(file)).collect();
    let lines = run(toolbox, vec![json!({"files": encoded})]).await?;
    let [line] = lines.as_slice() else {
        bail!("the judge printed {} lines for one input", lines.len())
    };
    serde_json::from_str(line).context("parsing the judge's output")
}

/// Writes the inputs to the judge and returns its output, one line for each input.
async fn run(toolbox: &Toolbox, inputs: Vec<Value>) -> Result<Vec<String>> {
    let count = inputs.len();
    let mut child = Command::new(toolbox.path(Tool::Judge)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the judge")?;
    let mut stdin = child.stdin.take().context("the judge has no standard input")?;
    // The judge writes while it reads. So this must write and read at the same time, or both pipes fill up.
    let write = async move {
        for input in inputs {
            stdin.write_all(input.to_string().as_bytes()).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let (written, output) = tokio::join!(write, child.wait_with_output());
    let output = output.context("waiting for the judge")?;
    ensure!(
        output.status.success(),
        "the judge failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    written.context("writing to the judge")?;
    let text = String::from_utf8(output.stdout).context("the judge's output isn't UTF-8")?;
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    ensure!(
        lines.len() == count,
        "the judge printed {} lines for {count} inputs",
        lines.len(),
    );
    Ok(lines)
}

fn parse_verdicts(line: &str) -> Result<Verdicts> {
    let rows: Vec<Vec<&str>> = serde_json::from_str(line).context("parsing the judge's output")?;
    let verdict = |name: &str| {
        Verdict::from_str_name(&format!("VERDICT_{name}")).with_context(|| format!("{name} is no verdict"))
    };
    rows.into_iter()
        .map(|row| row.into_iter().map(verdict).collect())
        .collect()
}
