//! `kubectl port-forward` to a pod, for as long as it is needed.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdout},
    time::timeout,
};

use super::kubectl::{self, Kubectl, KubectlError};

/// How long the port-forward may take to begin: logging in is part of it, perhaps with a browser.
const BEGIN_DEADLINE: Duration = Duration::from_mins(1);
/// What kubectl prints when it listens, before the port.
const LISTENING: &str = "Forwarding from 127.0.0.1:";
/// How much of kubectl's words is kept.
const WORDS_LIMIT: u64 = 4096;

/// A port of this machine that leads to a pod. It is given up when this is dropped.
#[derive(Debug)]
pub struct Forward {
    /// The port.
    pub port: u16,
    /// kubectl, which is ended with this.
    _child: Child,
}

impl Forward {
    /// Begins a port-forward to a pod's port.
    ///
    /// # Errors
    /// kubectl refuses, or doesn't get there in time.
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
                // A pipe that nobody reads would stop kubectl one day.
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

/// Waits for the port; `None` when kubectl ends before.
async fn listening(child: &mut Child) -> Option<(u16, Lines)> {
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(port) = port(&line) {
            return Some((port, lines));
        }
    }
    None
}

/// The port in a line such as `Forwarding from 127.0.0.1:34567 -> 50052`.
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
        // What has been read until an error is what there is to say.
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
