//! The objects that the executor reads, and the watch events, lists and answers that carry them, in either of the API
//! server's encodings.

mod rollouts;

use std::{collections::HashMap, fmt};

use everynode_proto::facts::{self, Meta, object::fields::null_as_default, protobuf};
use http::{HeaderMap, header::CONTENT_TYPE};
use kube::core::Status;
use prost::{DecodeError, bytes::Bytes};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

pub use self::rollouts::{ClusterPolicy, Namespace, NamespacedPolicy, PolicyObject, Rollout};

/// A `DaemonSet` whose template is kept as the API server sent it.
pub type DaemonSet = facts::DaemonSet<Option<Box<RawValue>>>;

/// A `ControllerRevision`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Revision {
    /// metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Meta,
    /// Its revision number: higher is newer.
    #[serde(deserialize_with = "null_as_default")]
    pub revision: i64,
    /// The patch that restores the template, as stored.
    pub data: Option<Box<RawValue>>,
}

/// The annotation of the bookmark that ends a streamed list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Why an object, list or event can't be decoded.
#[derive(Debug, thiserror::Error)]
pub enum ObjectDecodeError {
    /// The JSON isn't what was expected.
    #[error("unexpected JSON")]
    Json(#[from] serde_json::Error),
    /// The protobuf message isn't what was expected.
    #[error("unexpected protobuf")]
    Protobuf(#[from] DecodeError),
    /// The server sent protobuf, which the request didn't accept.
    #[error("protobuf was not requested")]
    UnexpectedProtobuf,
    /// The type of the event is unknown.
    #[error("unknown event type {0:?}")]
    UnknownEventType(String),
}

/// How objects are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// JSON text.
    Json,
    /// Protobuf messages.
    Protobuf,
}

impl Encoding {
    /// The encoding of an answer.
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers
            .get(CONTENT_TYPE)
            .map_or(&[][..], |value| value.as_bytes());
        if content_type.starts_with(protobuf::CONTENT_TYPE.as_bytes()) {
            Self::Protobuf
        } else {
            Self::Json
        }
    }
}

/// The accepted encodings of answers about nodes and pods: protobuf, or else JSON, which a proxy may answer with.
pub const PROTOBUF_OR_JSON: &str = "application/vnd.kubernetes.protobuf,application/json";

/// A kind that is watched.
pub trait Watched: DeserializeOwned + fmt::Debug + Send + 'static {
    /// The kind's name.
    const KIND: &'static str;
    /// The path that lists all its objects.
    const PATH: &'static str;
    /// The encodings that the server may choose from.
    const ACCEPT: &'static str = "application/json";

    /// Reads an object from protobuf.
    ///
    /// # Errors
    /// The object can't be decoded, or requests for the kind don't accept protobuf.
    fn from_protobuf(_object: Bytes) -> Result<Self, ObjectDecodeError> {
        Err(ObjectDecodeError::UnexpectedProtobuf)
    }

    /// The object's metadata.resourceVersion.
    fn version(&self) -> &str;
}

impl Watched for facts::Node {
    const KIND: &'static str = "Node";
    const PATH: &'static str = "/api/v1/nodes";
    const ACCEPT: &'static str = PROTOBUF_OR_JSON;

    fn from_protobuf(object: Bytes) -> Result<Self, ObjectDecodeError> {
        Ok(protobuf::decode_node(object)?)
    }

    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl Watched for facts::Pod {
    const KIND: &'static str = "Pod";
    const PATH: &'static str = "/api/v1/pods";
    const ACCEPT: &'static str = PROTOBUF_OR_JSON;

    fn from_protobuf(object: Bytes) -> Result<Self, ObjectDecodeError> {
        Ok(protobuf::decode_pod(object)?)
    }

    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

// These kinds are read as JSON, because a template must reach the pods unchanged, including fields that this crate
// doesn't define.

impl Watched for DaemonSet {
    const KIND: &'static str = "DaemonSet";
    const PATH: &'static str = "/apis/apps/v1/daemonsets";

    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl Watched for Revision {
    const KIND: &'static str = "ControllerRevision";
    const PATH: &'static str = "/apis/apps/v1/controllerrevisions";

    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

/// One event of a watch.
#[derive(Debug)]
pub enum WatchEvent<T> {
    /// The object was added or changed.
    Changed(T),
    /// The object is gone; this is its last state.
    Gone(T),
    /// The watch has reported all changes up to this version.
    Bookmark {
        /// The version.
        version: String,
        /// Whether the streamed list ends here.
        ends_list: bool,
    },
    /// The server ends the watch with an error.
    Error(Box<Status>),
}

#[derive(Deserialize)]
struct JsonEvent<'a> {
    r#type: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct JsonBookmark {
    metadata: JsonBookmarkMeta,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct JsonBookmarkMeta {
    #[serde(deserialize_with = "null_as_default")]
    resource_version: String,
    #[serde(deserialize_with = "null_as_default")]
    annotations: HashMap<String, String>,
}

/// Reads one event of a watch.
///
/// # Errors
/// The event or its object can't be decoded.
pub fn event<T: Watched>(frame: Bytes, encoding: Encoding) -> Result<WatchEvent<T>, ObjectDecodeError> {
    match encoding {
        Encoding::Json => {
            let JsonEvent { r#type, object } = serde_json::from_slice(&frame)?;
            json_event(r#type, object.get())
        }
        Encoding::Protobuf => {
            let (kind, object) = protobuf::decode_watch_event(frame)?;
            protobuf_event(kind, object)
        }
    }
}

fn json_event<T: Watched>(kind: String, object: &str) -> Result<WatchEvent<T>, ObjectDecodeError> {
    Ok(match kind.as_str() {
        "ADDED" | "MODIFIED" => WatchEvent::Changed(serde_json::from_str(object)?),
        "DELETED" => WatchEvent::Gone(serde_json::from_str(object)?),
        "BOOKMARK" => {
            let JsonBookmark { metadata } = serde_json::from_str(object)?;
            bookmark(metadata.resource_version, &metadata.annotations)
        }
        "ERROR" => WatchEvent::Error(serde_json::from_str(object)?),
        _ => return Err(ObjectDecodeError::UnknownEventType(kind)),
    })
}

fn protobuf_event<T: Watched>(kind: String, object: Bytes) -> Result<WatchEvent<T>, ObjectDecodeError> {
    Ok(match kind.as_str() {
        "ADDED" | "MODIFIED" => WatchEvent::Changed(T::from_protobuf(object)?),
        "DELETED" => WatchEvent::Gone(T::from_protobuf(object)?),
        "BOOKMARK" => {
            let (version, annotations) = protobuf::decode_bookmark(object)?;
            bookmark(version, &annotations)
        }
        "ERROR" => WatchEvent::Error(serde_json::from_value(protobuf::decode_status(object)?)?),
        _ => return Err(ObjectDecodeError::UnknownEventType(kind)),
    })
}

fn bookmark<T>(version: String, annotations: &HashMap<String, String>) -> WatchEvent<T> {
    let ends_list = annotations
        .get(INITIAL_EVENTS_END)
        .is_some_and(|value| value == "true");
    WatchEvent::Bookmark { version, ends_list }
}

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub struct Page<T> {
    /// The list's own metadata.
    pub metadata: PageMeta,
    /// The objects.
    #[serde(default = "Vec::new", deserialize_with = "null_as_default")]
    pub items: Vec<T>,
}

/// The metadata of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PageMeta {
    /// The version from which a watch continues.
    #[serde(deserialize_with = "null_as_default")]
    pub resource_version: String,
    /// The token for the next page; empty on the last page.
    #[serde(deserialize_with = "null_as_default")]
    pub r#continue: String,
}

/// Reads a page of a list.
///
/// # Errors
/// The page or an object in it can't be decoded.
pub fn page<T: Watched>(body: &Bytes, encoding: Encoding) -> Result<Page<T>, ObjectDecodeError> {
    match encoding {
        Encoding::Json => Ok(serde_json::from_slice(body)?),
        Encoding::Protobuf => {
            let page = protobuf::decode_page(body)?;
            let items: Result<_, _> = page.items.into_iter().map(T::from_protobuf).collect();
            Ok(Page {
                metadata: PageMeta {
                    resource_version: page.resource_version,
                    r#continue: page.r#continue,
                },
                items: items?,
            })
        }
    }
}

/// Reads a single object.
///
/// # Errors
/// The object can't be decoded.
pub fn object<T: Watched>(body: &Bytes, encoding: Encoding) -> Result<T, ObjectDecodeError> {
    match encoding {
        Encoding::Json => Ok(serde_json::from_slice(body)?),
        Encoding::Protobuf => T::from_protobuf(protobuf::unwrap_object(body)?),
    }
}

/// Reads an error status; `None` if it isn't one of the API server's.
pub fn status(body: &Bytes, encoding: Encoding) -> Option<Status> {
    match encoding {
        Encoding::Json => serde_json::from_slice(body).ok(),
        Encoding::Protobuf => {
            let object = protobuf::unwrap_object(body).ok()?;
            serde_json::from_value(protobuf::decode_status(object).ok()?).ok()
        }
    }
}

#[cfg(test)]
mod tests;
