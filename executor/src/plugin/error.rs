//! Why there is no answer.

use std::io;

use everynode_proto::answers::{PrintError, exit};
use thiserror::Error;
use tonic::{Code, Status};

use super::kubectl::KubectlError;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// The flags or names can't be used.
    #[error("{0}")]
    Usage(String),
    /// The DaemonSet isn't there.
    #[error("there is no DaemonSet {0}")]
    NoDaemonSet(String),
    /// kubectl isn't there, or refuses.
    #[error(transparent)]
    Kubectl(#[from] KubectlError),
    /// The executors' pods can't be found.
    #[error(
        "no executor can be reached: its pods in namespace {namespace} can't be found: {error}; --server names an executor's address"
    )]
    NotFound {
        /// Where was looked.
        namespace: String,
        /// Why not.
        error: KubectlError,
    },
    /// No pod of an executor runs.
    #[error(
        "no executor can be reached: in namespace {namespace} no pod with the label {label} runs; \
         --everynode-namespace names another namespace, --server an executor's address"
    )]
    NoExecutor {
        /// Where was looked.
        namespace: String,
        /// What was looked for.
        label: &'static str,
    },
    /// None of the executors can be reached.
    #[error(
        "no executor can be reached: {}; --everynode-port names another port, --server an executor's address",
        .0.join("; ")
    )]
    Unreachable(Vec<String>),
    /// The executor that leads can't be reached.
    #[error("{name}, which leads, can't be reached: {}", .tried.join("; "))]
    NoLeader {
        /// Its name.
        name: String,
        /// What was tried.
        tried: Vec<String>,
    },
    /// The address can't be connected to.
    #[error("no executor can be reached at --server {server}: {words}")]
    Connect {
        /// As it was given.
        server: String,
        /// Why.
        words: String,
    },
    /// The executor refuses, or is gone.
    #[error("{}", words(.0))]
    Call(Box<Status>),
    /// The answer can't be printed.
    #[error("the answer can't be printed")]
    Print(#[from] PrintError),
    /// The operating system refuses something.
    #[error("the operating system refuses")]
    System(#[from] io::Error),
}

impl Error {
    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::NoDaemonSet(_) => exit::NO_INPUT,
            Self::Kubectl(_)
            | Self::NotFound { .. }
            | Self::NoExecutor { .. }
            | Self::Unreachable(_)
            | Self::NoLeader { .. }
            | Self::Connect { .. } => exit::UNAVAILABLE,
            Self::Call(status) => match status.code() {
                Code::InvalidArgument => exit::USAGE,
                Code::NotFound => exit::NO_INPUT,
                Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Cancelled
                | Code::FailedPrecondition
                | Code::ResourceExhausted
                | Code::Unauthenticated
                | Code::PermissionDenied
                | Code::Unimplemented => exit::UNAVAILABLE,
                _ => exit::SOFTWARE,
            },
            Self::Print(_) | Self::System(_) => exit::SOFTWARE,
        }
    }
}

impl Error {
    /// That executors' pods can't be found. Without kubectl there is another remedy, which its own words name.
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
