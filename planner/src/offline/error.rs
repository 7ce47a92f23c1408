//! Why a command can't be answered.

use std::io;

use everynode_proto::{
    answers::{PrintError, exit},
    facts::unread::ReadError,
};
use thiserror::Error;
use tonic::{Code, Status};

use super::{kind::Kind, place::Place};

/// Why a command can't be answered.
#[derive(Debug, Error)]
pub enum Error {
    /// A file isn't there.
    #[error("{file}: no such file")]
    NotFound {
        /// As it was given.
        file: String,
    },
    /// A file can't be read.
    #[error("{file}: can't be read")]
    Unreadable {
        /// As it was given.
        file: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file isn't text in UTF-8.
    #[error("{file}: isn't text in UTF-8")]
    NotText {
        /// As it was given.
        file: String,
    },
    /// A document is neither JSON nor YAML.
    #[error("{file}, document {document}: {message}")]
    Syntax {
        /// As it was given.
        file: String,
        /// Counted from 1; documents without content don't count.
        document: usize,
        /// What is wrong, with the line and the column.
        message: String,
    },
    /// A document holds something that is no Kubernetes object.
    #[error("{place}: {message}")]
    NoObject {
        /// Where it begins.
        place: Place,
        /// What is there instead.
        message: String,
    },
    /// An object of a kind that the command can't do without isn't there.
    #[error("there is no {kind} in the input; {remedy}")]
    Missing {
        /// The kind.
        kind: Kind,
        /// Where to get one from.
        remedy: &'static str,
    },
    /// There are several `DaemonSet`s where one is to be chosen.
    #[error("there are several DaemonSets in the input; choose one with --daemon-set: {}", .0.join(", "))]
    Several(Vec<String>),
    /// The `DaemonSet` that was chosen isn't there.
    #[error("--daemon-set {wanted}: there is no such DaemonSet in the input, but {}", .found.join(", "))]
    NotAmong {
        /// The one that was asked for.
        wanted: String,
        /// Those that are there.
        found: Vec<String>,
    },
    /// A template can't be read.
    #[error("node {name}: {}{message}", prefix(.field))]
    Template {
        /// The template's name.
        name: String,
        /// The path of the field; empty for the object itself.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The request is refused.
    #[error("{}", .0.message())]
    Refused(Status),
    /// The answer can't be printed.
    #[error("the answer can't be printed")]
    Print(#[from] PrintError),
    /// Standard output can't be written to.
    #[error("the answer can't be written")]
    Write(#[from] io::Error),
}

impl Error {
    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => exit::NO_INPUT,
            Self::Unreadable { .. }
            | Self::NotText { .. }
            | Self::Syntax { .. }
            | Self::NoObject { .. }
            | Self::Missing { .. }
            | Self::Several(_)
            | Self::NotAmong { .. }
            | Self::Template { .. } => exit::DATA,
            Self::Refused(status) => match status.code() {
                Code::InvalidArgument | Code::ResourceExhausted => exit::DATA,
                _ => exit::SOFTWARE,
            },
            Self::Print(_) | Self::Write(_) => exit::SOFTWARE,
        }
    }

    pub(super) fn template(name: &str, error: ReadError) -> Self {
        Self::Template {
            name: name.to_owned(),
            field: error.field,
            message: error.message,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

fn prefix(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
}
