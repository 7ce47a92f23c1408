//! kubectl as a child process: it knows the user's clusters, and every way of logging in to them.

use std::{env, ffi::OsString, io, process::Stdio};

use thiserror::Error;
use tokio::process::Command;

use super::args::Cluster;

/// Names another kubectl than that on the PATH.
const PATH_VARIABLE: &str = "KUBECTL_PATH";

/// Executors' pods have it.
pub const LABEL: &str = "app.kubernetes.io/name=everynode-executor";

/// Where a context's namespace is in what `kubectl config view --minify` prints.
const CONTEXT_NAMESPACE: &str = "jsonpath={.contexts[0].context.namespace}";
/// A pod of each line, with the names of its ports.
const PODS: &str =
    r#"jsonpath={range .items[*]}{.metadata.name} {.spec.containers[*].ports[*].name}{"\n"}{end}"#;
/// What the executor's port for `kubectl port-forward` is called, where it has one beside that for TLS.
const LOCAL_PORT: &str = "local";
/// Where the names are in what `kubectl get` prints.
const NAMES: &str = "jsonpath={.items[*].metadata.name}";

/// Why kubectl is of no help.
#[derive(Debug, Error)]
pub enum KubectlError {
    /// It can't be run.
    #[error(
        "{} can't be run: {error}; install kubectl, or name it with {PATH_VARIABLE}, or an executor's address with --server",
        .program.to_string_lossy()
    )]
    Run {
        /// What was run.
        program: OsString,
        /// Why not.
        error: io::Error,
    },
    /// It has ended with an error.
    #[error("kubectl {command}: {words}")]
    Failed {
        /// What it was to do.
        command: String,
        /// Its own words.
        words: String,
    },
}

/// A pod of an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorPod {
    /// Its name.
    pub name: String,
    /// Its port in plain text, by name, if it has one beside that for TLS.
    pub local_port: Option<&'static str>,
}

impl ExecutorPod {
    /// Reads a line of names: the pod's, and its ports'.
    fn read(line: &str) -> Option<Self> {
        let mut names = line.split_whitespace();
        Some(Self {
            name: names.next()?.to_owned(),
            local_port: names.any(|port| port == LOCAL_PORT).then_some(LOCAL_PORT),
        })
    }
}

/// kubectl with the flags that say which cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: OsString,
    flags: Vec<OsString>,
}

impl Kubectl {
    /// The kubectl that is to be used.
    pub fn new(cluster: &Cluster) -> Self {
        let named = env::var_os(PATH_VARIABLE).filter(|path| !path.is_empty());
        let mut flags = Vec::new();
        let kubeconfig = cluster.kubeconfig.clone().map(OsString::from);
        let context = cluster.context.clone().map(OsString::from);
        for (flag, value) in [("--kubeconfig", kubeconfig), ("--context", context)] {
            flags.extend(value.into_iter().flat_map(|value| [flag.into(), value]));
        }
        Self {
            program: named.unwrap_or_else(|| "kubectl".into()),
            flags,
        }
    }

    /// A command that ends with whoever drops its child.
    pub(super) fn command(&self, args: &[&str]) -> Command {
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

    pub(super) fn cant_run(&self, error: io::Error) -> KubectlError {
        KubectlError::Run {
            program: self.program.clone(),
            error,
        }
    }

    async fn output(&self, args: &[&str]) -> Result<String, KubectlError> {
        let output = self.command(args).output().await;
        let output = output.map_err(|error| self.cant_run(error))?;
        if !output.status.success() {
            return Err(KubectlError::Failed {
                command: args.iter().take(2).copied().collect::<Vec<_>>().join(" "),
                words: words(&output.stderr),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The context's namespace; that of a user without kubectl or without a context is the default one.
    ///
    /// # Errors
    /// kubectl refuses, as when there is no context of the name that was given.
    pub async fn namespace(&self) -> Result<String, KubectlError> {
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

    /// The names of all objects of a kind, each with something before it; none when they can't be listed.
    pub(super) async fn names(&self, kind: &str, before: &str, namespace: Option<&str>) -> Vec<String> {
        let mut args = vec!["get", kind, "-o", NAMES];
        args.extend(namespace.into_iter().flat_map(|namespace| ["-n", namespace]));
        let names = self.output(&args).await.unwrap_or_default();
        names
            .split_whitespace()
            .map(|name| format!("{before}{name}"))
            .collect()
    }

    /// The executors' pods that run.
    ///
    /// # Errors
    /// kubectl refuses, as when the user may not list pods there.
    pub async fn executors(&self, namespace: &str) -> Result<Vec<ExecutorPod>, KubectlError> {
        let running = "--field-selector=status.phase=Running";
        let args = ["get", "pods", "-n", namespace, "-l", LABEL, running, "-o", PODS];
        let pods = self.output(&args).await?;
        Ok(pods.lines().filter_map(ExecutorPod::read).collect())
    }
}

/// kubectl's own words, in one line, without its log where it says something beside it.
pub(super) fn words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (logged, said): (Vec<_>, Vec<_>) = lines.partition(|line| is_logged(line));
    match (said.as_slice(), logged.as_slice()) {
        ([], []) => "it has failed without a word".to_owned(),
        ([], logged) => logged.join("; "),
        (said, _) => said.join("; "),
    }
}

/// Whether a line is one of a log, such as `E1125 00:57:36.569793 28593 memcache.go:265] …`.
fn is_logged(line: &str) -> bool {
    let rest = line.strip_prefix(['I', 'W', 'E', 'F']).unwrap_or_default();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    digits == 4 && rest.contains("] ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_that_say_which_cluster_are_handed_on() {
        let cluster = Cluster {
            kubeconfig: Some("a file".into()),
            context: Some("b".to_owned()),
            ..Cluster::default()
        };
        let kubectl = Kubectl::new(&cluster);
        assert_eq!(kubectl.flags, ["--kubeconfig", "a file", "--context", "b"]);
        assert!(Kubectl::new(&Cluster::default()).flags.is_empty());
    }

    #[test]
    fn kubectls_words_are_put_in_one_line() {
        assert_eq!(words(b"error: a\n\n  b\n"), "error: a; b");
        let logged = "E1125 00:57:36.569793   28593 memcache.go:265] \"Unhandled Error\"";
        assert_eq!(words(format!("{logged}\nrefused\n").as_bytes()), "refused");
        assert_eq!(words(logged.as_bytes()), logged);
        assert_eq!(words(b""), "it has failed without a word");
    }
}
