//! The errors of the offline commands.

use std::io;

use everynode_proto::facts::raw_struct::ReadError;
use everynode_render::PrintError;
use everynode_serving::program::exit::Exit;
use thiserror::Error;
use tonic::{Code, Status};

use super::{kind::Kind, place::Place};

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
    /// A file isn't text in UTF-8.
    #[error("{file}: not valid UTF-8")]
    NotText {
        /// The file, as it was given.
        file: String,
    },
    /// A document is neither JSON nor YAML.
    #[error("{file}, document {document}: {message}")]
    Syntax {
        /// The file, as it was given.
        file: String,
        /// The document, counted from 1. Documents without content don't count.
        document: usize,
        /// Describes the error, with the line and the column.
        message: String,
    },
    /// A document holds something that isn't a Kubernetes object.
    #[error("{place}: {message}")]
    InvalidObject {
        /// The place where the document begins.
        place: Place,
        /// Describes what is wrong, with its path within the document.
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
    /// The input has several `DaemonSet`s, and the caller must choose one.
    #[error("the input has several DaemonSets; choose one with --daemon-set: {}", .0.join(", "))]
    Ambiguous(Vec<String>),
    /// The chosen `DaemonSet` isn't in the input.
    #[error("--daemon-set {name}: the input has no such DaemonSet, only {}", .found.join(", "))]
    UnknownDaemonSet {
        /// The name that the flag sets.
        name: String,
        /// The `DaemonSet`s in the input.
        found: Vec<String>,
    },
    /// A node template can't be read.
    #[error("node {name}: {}{message}", field_prefix(.field))]
    Template {
        /// The template's name.
        name: String,
        /// The path of the field. Empty for the object itself.
        field: String,
        /// Describes what is wrong with the field.
        message: String,
    },
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
            Self::NotFound { .. } => Exit::NoInput,
            Self::Unreadable { .. }
            | Self::NotText { .. }
            | Self::Syntax { .. }
            | Self::InvalidObject { .. }
            | Self::Missing { .. }
            | Self::Ambiguous(_)
            | Self::UnknownDaemonSet { .. }
            | Self::Template { .. } => Exit::Data,
            Self::Refused(status) => match status.code() {
                Code::InvalidArgument | Code::ResourceExhausted => Exit::Data,
                _ => Exit::Software,
            },
            Self::Print(_) | Self::Write(_) => Exit::Software,
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

fn field_prefix(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
}
