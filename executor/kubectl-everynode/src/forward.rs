//! Runs `kubectl port-forward` to a pod while the connection needs it.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdout},
    time::timeout,
};

use super::kubectl::{self, Kubectl, KubectlError};

/// Timeout for starting the port-forward. It includes logging in, which may need a browser.
const BEGIN_DEADLINE: Duration = Duration::from_mins(1);
/// Start of the line that kubectl prints when it listens; the port follows.
const LISTENING: &str = "Forwarding from 127.0.0.1:";
/// Maximum number of bytes kept of kubectl's error output.
const WORDS_LIMIT: u64 = 4096;

/// A local port that forwards to a pod. Dropping it ends the port-forward.
#[derive(Debug)]
pub struct Forward {
    /// The local port.
    pub port: u16,
    /// The kubectl process. Dropping it kills the process.
    _child: Child,
}

impl Forward {
    /// Starts a port-forward to a pod's port.
    ///
    /// # Errors
    /// kubectl fails, or doesn't listen before the timeout.
    pub async fn begin(
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
        let mut child = child.map_err(|error| kubectl.cant_run(error))?;
        let failed = |words: String| KubectlError::Failed {
            command: format!("port-forward {target}"),
            words,
        };
        let listening = timeout(BEGIN_DEADLINE, listening(&mut child)).await;
        match listening {
            Ok(Some((port, mut lines))) => {
                // kubectl would block once a pipe that nobody reads is full.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                drain_stderr(&mut child);
                Ok(Self { port, _child: child })
            }
            Ok(None) => Err(failed(last_words(&mut child).await)),
            Err(_) => Err(failed(format!(
                "it has not begun within {} s",
                BEGIN_DEADLINE.as_secs()
            ))),
        }
    }
}

type Lines = tokio::io::Lines<BufReader<ChildStdout>>;

/// Waits for the port. Returns `None` when kubectl exits first.
async fn listening(child: &mut Child) -> Option<(u16, Lines)> {
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(port) = port(&line) {
            return Some((port, lines));
        }
    }
    None
}

/// Parses the port from a line such as `Forwarding from 127.0.0.1:34567 -> 50052`.
fn port(line: &str) -> Option<u16> {
    let rest = line.strip_prefix(LISTENING)?;
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

async fn last_words(child: &mut Child) -> String {
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // After a read error, the bytes read so far are still worth showing.
        let _ = stderr.take(WORDS_LIMIT).read_to_end(&mut said).await;
    }
    kubectl::words(&said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_kubectls_words() {
        assert_eq!(port("Forwarding from 127.0.0.1:34567 -> 50052"), Some(34567));
        assert_eq!(port("Forwarding from [::1]:34567 -> 50052"), None);
        assert_eq!(port("Handling connection for 34567"), None);
        assert_eq!(port("Forwarding from 127.0.0.1:99999 -> 50052"), None);
    }
}
