//! kube-controller-manager's own answers to questions about placement.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use everynode_proto::planner::v1::Verdict;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::questions::Question;
use crate::toolbox::{Tool, Toolbox};

/// The verdicts on one question: a row for each `DaemonSet`, with each node's verdict.
pub type Verdicts = Vec<Vec<Verdict>>;

/// Asks the reference, which answers in the order of the questions.
///
/// # Errors
/// When it isn't there or fails: with its words.
pub async fn judge(toolbox: &Toolbox, questions: &[Question]) -> Result<Vec<Verdicts>> {
    let mut child = Command::new(toolbox.path(Tool::Judge)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the judge")?;
    let mut stdin = child.stdin.take().context("the judge has a standard input")?;
    // It answers while it reads, so both have to go on at the same time, or both pipes fill up.
    let ask = async move {
        for question in questions {
            stdin.write_all(question.to_json().to_string().as_bytes()).await?;
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
    let answers: Vec<_> = String::from_utf8(output.stdout)
        .context("the judge's answers are text")?
        .lines()
        .map(answer)
        .collect::<Result<_>>()?;
    ensure!(
        answers.len() == questions.len(),
        "the judge answered {} of {} questions",
        answers.len(),
        questions.len()
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
