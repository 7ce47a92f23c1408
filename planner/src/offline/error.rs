//! The errors of the offline commands.

use std::io;

use everynode_render::PrintError;
use everynode_serving::program::exit::Exit;
use thiserror::Error;
use tonic::{Code, Status};

use super::{kind::Kind, listing::listed, place::Place};

/// The number of names that a message lists.
const MAX_LISTED: usize = 10;

/// Why a command failed.
#[derive(Debug, Error)]
pub enum Error {
    /// A file doesn't exist.
    #[error("{file}: no such file")]
    NotFound {
        /// The file, as it was given.
        file: String,
    },
    /// A file can't be read.
    #[error("can't read {file}")]
    Unreadable {
        /// The file, as it was given.
        file: String,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// A folder has no file of Kubernetes objects.
    #[error("{folder}: the folder has no .json, .yaml or .yml file{}", subfolders(*.is_recursive))]
    EmptyFolder {
        /// The folder, as it was given.
        folder: String,
        /// Whether its subfolders were read too.
        is_recursive: bool,
    },
    /// A document is neither JSON nor YAML.
    #[error("{file}:{line}: {message}")]
    Syntax {
        /// The file, as it was given.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// Describes the error.
        message: String,
    },
    /// Something isn't a Kubernetes object, or it is one that the command can't do without and that can't be read.
    #[error("{place}: {message}")]
    InvalidObject {
        /// The place of the object.
        place: Place,
        /// Describes what is wrong.
        message: String,
    },
    /// The input has no object of a kind that the command needs.
    #[error("the input has no {kind}; {remedy}")]
    Missing {
        /// The missing kind.
        kind: Kind,
        /// How to get such objects.
        remedy: &'static str,
    },
    /// API servers refuse the kind or the apiVersion of every object of a kind that the command needs.
    #[error("the input has no {0} that API servers accept")]
    NoneAccepted(Kind),
    /// The input has several `DaemonSet`s of a name, and the caller must choose one.
    #[error(
        "--daemon-set {name}: the input has several DaemonSets of this name; choose one of {}",
        .candidates.join(", ")
    )]
    Ambiguous {
        /// The name that the flag sets.
        name: String,
        /// The `DaemonSet`s of that name.
        candidates: Vec<String>,
    },
    /// A chosen `DaemonSet` isn't in the input.
    #[error("--daemon-set {name}: the input has no such DaemonSet, only {}", listed(.found, MAX_LISTED))]
    UnknownDaemonSet {
        /// The name that the flag sets.
        name: String,
        /// The `DaemonSet`s in the input.
        found: Vec<String>,
    },
    /// A chosen node isn't in the input.
    #[error("--node {name}: the input has no such node, only {}", listed(.found, MAX_LISTED))]
    UnknownNode {
        /// The name that the flag sets.
        name: String,
        /// The nodes in the input.
        found: Vec<String>,
    },
    /// No `DaemonSet` in the input matches these flags.
    #[error("no DaemonSet in the input matches {0}")]
    NothingSelected(String),
    /// The planner refused the request.
    #[error("{}", .0.message())]
    Refused(Status),
    /// The answer can't be printed.
    #[error("can't print the answer")]
    Print(#[from] PrintError),
    /// Standard output can't be written to.
    #[error("can't write the answer")]
    Write(#[from] io::Error),
}

impl Error {
    /// The program's exit code for this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotFound { .. }
            | Self::UnknownDaemonSet { .. }
            | Self::UnknownNode { .. }
            | Self::NothingSelected(_) => Exit::NoInput,
            Self::Unreadable { .. }
            | Self::EmptyFolder { .. }
            | Self::Syntax { .. }
            | Self::InvalidObject { .. }
            | Self::Missing { .. }
            | Self::NoneAccepted(_)
            | Self::Ambiguous { .. } => Exit::Data,
            Self::Refused(status) => match status.code() {
                Code::InvalidArgument | Code::FailedPrecondition | Code::ResourceExhausted => Exit::Data,
                _ => Exit::Software,
            },
            Self::Print(_) | Self::Write(_) => Exit::Software,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

fn subfolders(is_recursive: bool) -> &'static str {
    if is_recursive {
        " in it or in its subfolders"
    } else {
        "; -R also reads its subfolders"
    }
}
