//! Runs `kubectl port-forward` to a pod while the connection needs it.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdout},
    time::timeout,
};

use super::kubectl::{self, Kubectl, KubectlError};

/// Timeout for starting the port-forward. It includes logging in, which may need a browser.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// Prefix of the line that kubectl prints when it listens; the port follows.
const LISTENING_PREFIX: &str = "Forwarding from 127.0.0.1:";
/// Maximum number of bytes kept of kubectl's error output.
const MAX_STDERR_BYTES: u64 = 4096;

/// A local port that forwards to a pod. Dropping it ends the port-forward.
#[derive(Debug)]
pub(crate) struct PortForward {
    pub(crate) port: u16,
    /// The kubectl process. Dropping it kills the process.
    _child: Child,
}

impl PortForward {
    /// Starts a port-forward to a pod's port.
    ///
    /// # Errors
    /// kubectl fails, or doesn't listen before the timeout.
    pub(crate) async fn start(
        kubectl: &Kubectl,
        namespace: &str,
        pod: &str,
        port: &str,
    ) -> Result<Self, KubectlError> {
        let target = format!("pod/{pod}");
        let ports = format!(":{port}");
        let args = [
            "port-forward",
            "-n",
            namespace,
            "--address",
            "127.0.0.1",
            &target,
            &ports,
        ];
        let child = kubectl.command(&args).spawn();
        let mut child = child.map_err(|error| kubectl.run_error(error))?;
        let failed = |message: String| KubectlError::Failed {
            command: format!("port-forward {target}"),
            message,
        };
        match timeout(START_TIMEOUT, wait_until_listening(&mut child)).await {
            Ok(Some((port, mut lines))) => {
                // Drain both pipes, because kubectl blocks when its output fills one.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                drain_stderr(&mut child);
                Ok(Self { port, _child: child })
            }
            Ok(None) => Err(failed(read_stderr(&mut child).await)),
            Err(_) => Err(failed(format!(
                "not listening after {} s",
                START_TIMEOUT.as_secs()
            ))),
        }
    }
}

type Lines = tokio::io::Lines<BufReader<ChildStdout>>;

/// Waits for the port. Returns `None` when kubectl exits first.
async fn wait_until_listening(child: &mut Child) -> Option<(u16, Lines)> {
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(port) = parse_port(&line) {
            return Some((port, lines));
        }
    }
    None
}

/// Parses the port from a line such as `Forwarding from 127.0.0.1:34567 -> 50052`.
fn parse_port(line: &str) -> Option<u16> {
    let rest = line.strip_prefix(LISTENING_PREFIX)?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn drain_stderr(child: &mut Child) {
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(_)) = lines.next_line().await {}
        });
    }
}

async fn read_stderr(child: &mut Child) -> String {
    let mut output = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // After a read error, the bytes read so far are still worth showing.
        let _ = stderr.take(MAX_STDERR_BYTES).read_to_end(&mut output).await;
    }
    kubectl::format_stderr(&output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_parsed_from_kubectl_output() {
        assert_eq!(
            parse_port("Forwarding from 127.0.0.1:34567 -> 50052"),
            Some(34567)
        );
        assert_eq!(parse_port("Forwarding from [::1]:34567 -> 50052"), None);
        assert_eq!(parse_port("Handling connection for 34567"), None);
        assert_eq!(parse_port("Forwarding from 127.0.0.1:99999 -> 50052"), None);
    }
}
