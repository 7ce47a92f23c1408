//! Errors of the plugin, and their exit codes.

use std::io;

use everynode_render::PrintError;
use everynode_serving::program::exit::Exit;
use thiserror::Error;
use tonic::{Code, Status};

use super::kubectl::KubectlError;

/// An error of the plugin.
#[derive(Debug, Error)]
pub enum Error {
    /// The flags or names are invalid.
    #[error("{0}")]
    Usage(String),
    /// The DaemonSet doesn't exist.
    #[error("there is no DaemonSet {0}")]
    NoDaemonSet(String),
    /// kubectl is missing or failed.
    #[error(transparent)]
    Kubectl(#[from] KubectlError),
    /// The executor pods can't be listed.
    #[error(
        "no executor can be reached: its pods in namespace {namespace} can't be found: {error}; --server names an executor's address"
    )]
    NotFound {
        /// The namespace that was searched.
        namespace: String,
        /// The error from kubectl.
        error: KubectlError,
    },
    /// No executor pod is running.
    #[error(
        "no executor can be reached: in namespace {namespace} no pod with the label {label} runs; \
         --everynode-namespace names another namespace, --server an executor's address"
    )]
    NoExecutor {
        /// The namespace that was searched.
        namespace: String,
        /// The label of executor pods.
        label: &'static str,
    },
    /// None of the executors can be reached.
    #[error(
        "no executor can be reached: {}; --everynode-port names another port, --server an executor's address",
        .0.join("; ")
    )]
    Unreachable(Vec<String>),
    /// The leader can't be reached.
    #[error("{name}, which leads, can't be reached: {}", .tried.join("; "))]
    NoLeader {
        /// The leader's name.
        name: String,
        /// One reason for each pod that was tried.
        tried: Vec<String>,
    },
    /// The executor at `--server` can't be reached.
    #[error("no executor can be reached at --server {server}: {words}")]
    Connect {
        /// The address as it was given.
        server: String,
        /// The reason.
        words: String,
    },
    /// The call failed: the executor has refused it, or is gone.
    #[error("{}", words(.0))]
    Call(Box<Status>),
    /// The answer can't be printed.
    #[error("the answer can't be printed")]
    Print(#[from] PrintError),
    /// An operating system call failed.
    #[error("the operating system refuses")]
    System(#[from] io::Error),
}

impl Error {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::NoDaemonSet(_) => Exit::NoInput,
            Self::Kubectl(_)
            | Self::NotFound { .. }
            | Self::NoExecutor { .. }
            | Self::Unreachable(_)
            | Self::NoLeader { .. }
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
}

impl Error {
    /// The error that executor pods can't be listed. When kubectl can't be run, that error is returned as it is,
    /// because its own message names the remedy.
    pub(super) fn not_found(namespace: &str, error: KubectlError) -> Self {
        match error {
            KubectlError::Run { .. } => Self::Kubectl(error),
            KubectlError::Failed { .. } => Self::NotFound {
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

fn words(status: &Status) -> String {
    match (status.code(), status.message()) {
        (Code::Unimplemented, _) => {
            "the executor can't answer this: it is older than this program".to_owned()
        }
        (code, "") => code.to_string(),
        (_, message) => message.to_owned(),
    }
}
