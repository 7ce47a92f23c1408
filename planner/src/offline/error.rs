//! The errors of the offline commands.

use std::io;

use everynode_proto::facts::raw_struct::ReadError;
use everynode_render::PrintError;
use everynode_serving::program::exit::Exit;
use thiserror::Error;
use tonic::{Code, Status};

use super::{kind::Kind, place::Place};

/// The reason why a command has no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// A file doesn't exist.
    #[error("{file}: no such file")]
    NotFound {
        /// The file, as it was given.
        file: String,
    },
    /// A file can't be read.
    #[error("{file}: can't be read")]
    Unreadable {
        /// The file, as it was given.
        file: String,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// A file isn't text in UTF-8.
    #[error("{file}: isn't text in UTF-8")]
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
    NoObject {
        /// The place where the document begins.
        place: Place,
        /// Describes what is wrong, with its path within the document.
        message: String,
    },
    /// The input has no object of a kind that the command needs.
    #[error("there is no {kind} in the input; {remedy}")]
    Missing {
        /// The missing kind.
        kind: Kind,
        /// Says how to get such objects.
        remedy: &'static str,
    },
    /// The input has several `DaemonSet`s, and the caller must choose one.
    #[error("there are several DaemonSets in the input; choose one with --daemon-set: {}", .0.join(", "))]
    Several(Vec<String>),
    /// The chosen `DaemonSet` isn't in the input.
    #[error("--daemon-set {wanted}: there is no such DaemonSet in the input, but {}", .found.join(", "))]
    NotAmong {
        /// The `DaemonSet` that the caller asked for.
        wanted: String,
        /// The `DaemonSet`s in the input.
        found: Vec<String>,
    },
    /// A node template can't be read.
    #[error("node {name}: {}{message}", prefix(.field))]
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
    #[error("the answer can't be printed")]
    Print(#[from] PrintError),
    /// Standard output can't be written to.
    #[error("the answer can't be written")]
    Write(#[from] io::Error),
}

impl Error {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotFound { .. } => Exit::NoInput,
            Self::Unreadable { .. }
            | Self::NotText { .. }
            | Self::Syntax { .. }
            | Self::NoObject { .. }
            | Self::Missing { .. }
            | Self::Several(_)
            | Self::NotAmong { .. }
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

fn prefix(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
}
