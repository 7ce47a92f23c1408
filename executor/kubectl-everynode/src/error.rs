//! Errors of the plugin, and their exit codes.

use std::io;

use everynode_render::{ErrorChain, PrintError};
use everynode_serving::program::exit::Exit;
use thiserror::Error;
use tonic::{Code, Status, transport};

use super::kubectl::KubectlError;

/// An error of the plugin. Its exit code is [`Error::exit`].
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// A flag or a name is invalid.
    #[error("{0}")]
    Usage(String),
    #[error("there is no DaemonSet {0}")]
    NoDaemonSet(String),
    #[error(
        "no rollout policy applies to {0}; create a DaemonSetRolloutPolicy that names it in spec.targetRefs, or a \
         ClusterDaemonSetRolloutPolicy"
    )]
    NoRollout(String),
    /// A rollout command makes no sense in the rollout's state.
    #[error("{0}")]
    Refused(String),
    /// The rollout's status isn't about the latest template, so a command would be for an earlier rollout.
    #[error("{0}; try again in a moment")]
    NotObserved(String),
    #[error("can't read the DaemonSetRollout {name}, whose kind must be installed in the cluster")]
    ReadRollout {
        name: String,
        #[source]
        error: KubectlError,
    },
    #[error("can't understand the {resource} that kubectl printed")]
    Unreadable {
        resource: &'static str,
        #[source]
        error: serde_json::Error,
    },
    #[error("there is no node that matches {0}")]
    NoNode(String),
    /// A name without a namespace means several DaemonSets.
    #[error("several DaemonSets have the name {name}; choose one of {}", .candidates.join(", "))]
    Ambiguous { name: String, candidates: Vec<String> },
    #[error("--{flag}: can't look up {kind}")]
    LookUp {
        flag: &'static str,
        kind: &'static str,
        #[source]
        error: KubectlError,
    },
    #[error(transparent)]
    Kubectl(#[from] KubectlError),
    #[error(
        "no executor can be reached (--server sets an executor's address): can't list executor pods in namespace \
         {namespace}"
    )]
    ListPods {
        namespace: String,
        #[source]
        error: KubectlError,
    },
    #[error(
        "no executor can be reached: namespace {namespace} has no running pod with the label {label}; \
         --everynode-namespace sets another namespace, --server an executor's address"
    )]
    NoExecutor { namespace: String, label: &'static str },
    /// All executor pods were tried. Each entry names a pod and the reason why it can't be reached.
    #[error(
        "no executor can be reached: {}; --everynode-port sets another port, --server an executor's address",
        .0.join("; ")
    )]
    Unreachable(Vec<String>),
    #[error("the leader {name} can't be reached: {}", .attempts.join("; "))]
    LeaderUnreachable {
        name: String,
        /// One reason for each pod that was tried.
        attempts: Vec<String>,
    },
    #[error("no executor can be reached at --server {server}")]
    Connect {
        server: String,
        #[source]
        error: ConnectError,
    },
    /// The executor refused the call, or the connection was lost.
    #[error("{}", call_message(.0))]
    Call(Box<Status>),
    #[error("can't print the answer")]
    Print(#[from] PrintError),
    #[error("an operating system call failed")]
    System(#[from] io::Error),
}

/// Why the server at an address can't be used.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("{}", ErrorChain(.0))]
    Transport(transport::Error),
    #[error("the server at this address is not an Everynode executor")]
    NotAnExecutor,
    #[error("{}", ErrorChain(&**.0))]
    Call(Box<Status>),
}

/// Why an executor's pod can't be reached.
#[derive(Debug, Error)]
pub(crate) enum PodError {
    #[error(transparent)]
    Kubectl(#[from] KubectlError),
    #[error("port {port}: {error}")]
    Connect { port: String, error: ConnectError },
}

impl Error {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::NoDaemonSet(_) | Self::NoNode(_) | Self::NoRollout(_) => Exit::NoInput,
            Self::Refused(_) => Exit::Findings,
            Self::NotObserved(_) => Exit::TryLater,
            Self::Ambiguous { .. } | Self::Unreadable { .. } => Exit::Data,
            Self::Kubectl(_)
            | Self::ReadRollout { .. }
            | Self::LookUp { .. }
            | Self::ListPods { .. }
            | Self::NoExecutor { .. }
            | Self::Unreachable(_)
            | Self::LeaderUnreachable { .. }
            | Self::Connect { .. } => Exit::Unavailable,
            Self::Call(status) => match status.code() {
                Code::InvalidArgument => Exit::Usage,
                Code::NotFound => Exit::NoInput,
                Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Cancelled
                | Code::FailedPrecondition
                | Code::ResourceExhausted
                | Code::Unauthenticated
                | Code::PermissionDenied
                | Code::Unimplemented => Exit::Unavailable,
                _ => Exit::Software,
            },
            Self::Print(_) | Self::System(_) => Exit::Software,
        }
    }

    /// The error when kubectl can't list executor pods. [`KubectlError::Run`] stays as it is, because its message
    /// already says what to do.
    pub(crate) fn list_pods(namespace: &str, error: KubectlError) -> Self {
        match error {
            KubectlError::Run { .. } => Self::Kubectl(error),
            KubectlError::Failed { .. } => Self::ListPods {
                namespace: namespace.to_owned(),
                error,
            },
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

impl From<Status> for ConnectError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::Unimplemented => Self::NotAnExecutor,
            _ => Self::Call(Box::new(status)),
        }
    }
}

fn call_message(status: &Status) -> String {
    match (status.code(), status.message()) {
        (Code::Unimplemented, _) => {
            "the executor is older than this plugin and doesn't support this command".to_owned()
        }
        (code, "") => code.to_string(),
        (_, message) => message.to_owned(),
    }
}
