//! Runs kubectl as a child process, because it knows the user's clusters and every way of logging in to them.

use std::{env, ffi::OsString, io, process::Stdio};

use thiserror::Error;
use tokio::process::Command;

use super::args::ClusterArgs;

/// Environment variable with the path of the kubectl to run instead of the one on the PATH.
const PATH_VARIABLE: &str = "KUBECTL_PATH";

/// Label of executor pods.
pub(crate) const LABEL: &str = "app.kubernetes.io/name=everynode-executor";

/// Path of the context's namespace in the output of `kubectl config view --minify`.
const CONTEXT_NAMESPACE: &str = "jsonpath={.contexts[0].context.namespace}";
/// Output format with one line for each pod: its name and the names of its ports.
const PODS: &str =
    r#"jsonpath={range .items[*]}{.metadata.name} {.spec.containers[*].ports[*].name}{"\n"}{end}"#;
/// Name of the plain-text port for `kubectl port-forward`. Executors that serve TLS may have one in addition to the TLS
/// port.
const LOCAL_PORT: &str = "local";
/// Path of the object names in the output of `kubectl get`.
const NAMES: &str = "jsonpath={.items[*].metadata.name}";
/// Output format with one line for each object: its namespace and its name.
const KEYS: &str = r#"jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}"#;

/// An error from kubectl.
#[derive(Debug, Error)]
pub(crate) enum KubectlError {
    #[error(
        "can't run {} (install kubectl, set {PATH_VARIABLE} to its path, or set an executor's address with --server)",
        .program.to_string_lossy()
    )]
    Run {
        program: OsString,
        #[source]
        error: io::Error,
    },
    /// kubectl exited with an error.
    #[error("kubectl {command} failed: {message}")]
    Failed {
        /// The kubectl command, such as `get pods`.
        command: String,
        /// kubectl's error output, as one line.
        message: String,
    },
}

/// An executor's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecutorPod {
    pub(crate) name: String,
    /// Name of the plain-text port, if the pod has one in addition to the TLS port.
    pub(crate) local_port: Option<&'static str>,
}

impl ExecutorPod {
    /// Parses a line with the pod's name and the names of its ports.
    fn parse(line: &str) -> Option<Self> {
        let mut names = line.split_whitespace();
        Some(Self {
            name: names.next()?.to_owned(),
            local_port: names.any(|port| port == LOCAL_PORT).then_some(LOCAL_PORT),
        })
    }
}

/// kubectl with the flags that select the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    program: OsString,
    flags: Vec<OsString>,
}

impl Kubectl {
    /// Creates a kubectl for a cluster. It runs the program named by `KUBECTL_PATH`, or else the kubectl on the PATH.
    pub(crate) fn new(cluster: &ClusterArgs) -> Self {
        let path = env::var_os(PATH_VARIABLE).filter(|path| !path.is_empty());
        let mut flags = Vec::new();
        let kubeconfig = cluster.kubeconfig.clone().map(OsString::from);
        let context = cluster.context.clone().map(OsString::from);
        for (flag, value) in [("--kubeconfig", kubeconfig), ("--context", context)] {
            flags.extend(value.into_iter().flat_map(|value| [flag.into(), value]));
        }
        Self {
            program: path.unwrap_or_else(|| "kubectl".into()),
            flags,
        }
    }

    /// Creates a command. Dropping its child process kills it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn run_error(&self, error: io::Error) -> KubectlError {
        KubectlError::Run {
            program: self.program.clone(),
            error,
        }
    }

    /// Runs kubectl and returns its output.
    ///
    /// # Errors
    /// kubectl can't be run, or exits with an error.
    pub(crate) async fn output(&self, args: &[&str]) -> Result<String, KubectlError> {
        let output = self.command(args).output().await;
        let output = output.map_err(|error| self.run_error(error))?;
        if !output.status.success() {
            return Err(KubectlError::Failed {
                command: args.iter().take(2).copied().collect::<Vec<_>>().join(" "),
                message: format_stderr(&output.stderr),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Returns the context's namespace, or `default` if the context has none. It is also `default` when kubectl fails
    /// and no flag selects a kubeconfig or context, because the user may have no kubectl or no context.
    ///
    /// # Errors
    /// kubectl fails, for example because the given context doesn't exist.
    pub(crate) async fn namespace(&self) -> Result<String, KubectlError> {
        let args = ["config", "view", "--minify", "-o", CONTEXT_NAMESPACE];
        let namespace = match self.output(&args).await {
            Err(_) if self.flags.is_empty() => String::new(),
            namespace => namespace?,
        };
        Ok(match namespace.trim() {
            "" => "default".to_owned(),
            namespace => namespace.to_owned(),
        })
    }

    /// Returns the names of all objects of a kind, each with this prefix. Returns none when they can't be listed.
    pub(crate) async fn names(&self, kind: &str, prefix: &str, namespace: Option<&str>) -> Vec<String> {
        let mut args = vec!["get", kind, "-o", NAMES];
        args.extend(namespace.into_iter().flat_map(|namespace| ["-n", namespace]));
        let names = self.output(&args).await.unwrap_or_default();
        names
            .split_whitespace()
            .map(|name| format!("{prefix}{name}"))
            .collect()
    }

    /// Returns the DaemonSets that match a label selector, as namespace/name. An empty namespace means all namespaces.
    ///
    /// # Errors
    /// kubectl fails, for example because the selector is invalid.
    pub(crate) async fn daemon_sets(
        &self,
        selector: &str,
        namespace: &str,
    ) -> Result<Vec<String>, KubectlError> {
        let selector = format!("--selector={selector}");
        let mut args = vec!["get", "daemonsets", selector.as_str()];
        match namespace {
            "" => args.push("--all-namespaces"),
            namespace => args.extend(["-n", namespace]),
        }
        args.extend(["-o", KEYS]);
        let keys = self.output(&args).await?;
        Ok(keys.split_whitespace().map(str::to_owned).collect())
    }

    /// Returns the names of all nodes.
    ///
    /// # Errors
    /// kubectl fails, for example because the user may not list nodes.
    pub(crate) async fn nodes(&self) -> Result<Vec<String>, KubectlError> {
        let names = self.output(&["get", "nodes", "-o", NAMES]).await?;
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }

    /// Returns the running executor pods.
    ///
    /// # Errors
    /// kubectl fails, for example because the user may not list pods in this namespace.
    pub(crate) async fn executor_pods(&self, namespace: &str) -> Result<Vec<ExecutorPod>, KubectlError> {
        let running = "--field-selector=status.phase=Running";
        let args = ["get", "pods", "-n", namespace, "-l", LABEL, running, "-o", PODS];
        let pods = self.output(&args).await?;
        Ok(pods.lines().filter_map(ExecutorPod::parse).collect())
    }
}

/// Returns kubectl's error output as one line. Omits log lines unless there is nothing else.
pub(crate) fn format_stderr(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (log_lines, messages): (Vec<_>, Vec<_>) = lines.partition(|line| is_log_line(line));
    match (messages.as_slice(), log_lines.as_slice()) {
        ([], []) => "no error output".to_owned(),
        ([], log_lines) => log_lines.join("; "),
        (messages, _) => messages.join("; "),
    }
}

/// Whether this is a log line, such as `E1125 00:57:36.569793 28593 memcache.go:265] …`.
fn is_log_line(line: &str) -> bool {
    let rest = line.strip_prefix(['I', 'W', 'E', 'F']).unwrap_or_default();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    digits == 4 && rest.contains("] ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_flags_are_passed_to_kubectl() {
        let cluster = ClusterArgs {
            kubeconfig: Some("a file".into()),
            context: Some("b".to_owned()),
            ..ClusterArgs::default()
        };
        let kubectl = Kubectl::new(&cluster);
        assert_eq!(kubectl.flags, ["--kubeconfig", "a file", "--context", "b"]);
        assert!(Kubectl::new(&ClusterArgs::default()).flags.is_empty());
    }

    #[test]
    fn error_output_of_kubectl_becomes_one_line() {
        assert_eq!(format_stderr(b"error: a\n\n  b\n"), "error: a; b");
        let log_line = "E1125 00:57:36.569793   28593 memcache.go:265] \"Unhandled Error\"";
        assert_eq!(
            format_stderr(format!("{log_line}\nrefused\n").as_bytes()),
            "refused"
        );
        assert_eq!(format_stderr(log_line.as_bytes()), log_line);
        assert_eq!(format_stderr(b""), "no error output");
    }
}
