//! Decodes nodes and pods from Kubernetes' protobuf encoding. Clusters have thousands of them, and protobuf costs the
//! API server and the client a fraction of what JSON costs. The results have the same slim types as with JSON.
//!
//! Fields that the messages in this module don't name are skipped without being decoded.

mod messages;

use std::collections::HashMap;

use jiff::Timestamp;
use prost::{DecodeError, Message, bytes::Bytes};

use self::messages::{
    Bookmark, Condition, List, Node, NodeAffinity, NodeCondition, NodeSelectorTerm, ObjectMeta,
    OwnerReference, Pod, Requirement, Status, Taint, Time, Unknown, WatchEvent,
};
use super::object;

/// The content type of one encoded object.
pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// The prefix of an encoded object.
const MAGIC: &[u8] = b"k8s\0";

/// Unwraps an encoded object. The API server wraps the object of a response or of a watch event, but not the items of a
/// list.
///
/// # Errors
/// The body isn't a wrapped object.
pub fn unwrap_object(body: &Bytes) -> Result<Bytes, DecodeError> {
    let start = if body.starts_with(MAGIC) { MAGIC.len() } else { 0 };
    Unknown::decode(body.slice(start..)).map(|unknown| unknown.raw)
}

/// Decodes a watch event. Returns its type, which has the same values as in JSON, and its encoded object.
///
/// # Errors
/// The frame isn't a watch event.
pub fn decode_watch_event(frame: Bytes) -> Result<(String, Bytes), DecodeError> {
    let event = WatchEvent::decode(frame)?;
    let object = event.object.map(|object| object.raw).unwrap_or_default();
    Ok((event.r#type, unwrap_object(&object)?))
}

/// One page of a list.
#[derive(Debug)]
pub struct Page {
    /// metadata.resourceVersion.
    pub resource_version: String,
    /// metadata.continue: the token to request the next page with. Empty on the last page.
    pub r#continue: String,
    /// The encoded objects, without wrappers.
    pub items: Vec<Bytes>,
}

/// Decodes one page of a list.
///
/// # Errors
/// The body isn't a list.
pub fn decode_page(body: &Bytes) -> Result<Page, DecodeError> {
    let list = List::decode(unwrap_object(body)?)?;
    let metadata = list.metadata.unwrap_or_default();
    Ok(Page {
        resource_version: metadata.resource_version,
        r#continue: metadata.r#continue,
        items: list.items,
    })
}

/// Decodes a bookmark's resourceVersion and annotations.
///
/// # Errors
/// The object isn't a bookmark.
pub fn decode_bookmark(object: Bytes) -> Result<(String, HashMap<String, String>), DecodeError> {
    let metadata = Bookmark::decode(object)?.metadata.unwrap_or_default();
    Ok((metadata.resource_version, metadata.annotations))
}

/// Decodes a Status into the form that it has in JSON.
///
/// # Errors
/// The object isn't a Status.
pub fn decode_status(object: Bytes) -> Result<serde_json::Value, DecodeError> {
    let status = Status::decode(object)?;
    let details = status.details.unwrap_or_default();
    let causes: Vec<_> = details
        .causes
        .iter()
        .map(|cause| serde_json::json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
        .collect();
    Ok(serde_json::json!({
        "status": status.outcome,
        "message": status.message,
        "reason": status.reason,
        "code": status.code,
        "details": {
            "name": details.name,
            "group": details.group,
            "kind": details.kind,
            "uid": details.uid,
            "causes": causes,
            "retryAfterSeconds": details.retry_after_seconds,
        },
    }))
}

/// Decodes a node.
///
/// # Errors
/// The object isn't a node.
pub fn decode_node(object: Bytes) -> Result<object::Node, DecodeError> {
    let Node {
        metadata,
        spec,
        status,
    } = Node::decode(object)?;
    let taints = spec.unwrap_or_default().taints;
    let taint = |Taint { key, value, effect }| object::Taint { key, value, effect };
    Ok(object::Node {
        metadata: meta(metadata),
        spec: object::NodeSpec {
            taints: taints.into_iter().map(taint).collect(),
        },
        status: object::NodeHealth {
            conditions: status
                .unwrap_or_default()
                .conditions
                .into_iter()
                .filter(|condition| object::NodeCondition::is_read(&condition.r#type))
                .map(|NodeCondition { r#type, status }| object::NodeCondition { r#type, status })
                .collect(),
        },
    })
}

/// Decodes a pod.
///
/// # Errors
/// The object isn't a pod.
pub fn decode_pod(object: Bytes) -> Result<object::Pod, DecodeError> {
    let Pod {
        metadata,
        spec,
        status,
    } = Pod::decode(object)?;
    let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
    let condition = |condition: Condition| object::Condition {
        r#type: condition.r#type,
        status: condition.status,
        last_transition_time: time(condition.last_transition_time),
    };
    Ok(object::Pod {
        metadata: meta(metadata),
        spec: object::PodSpec {
            node_name: spec.node_name,
            affinity: spec.affinity.map(|affinity| object::Affinity {
                node_affinity: affinity.node_affinity.map(node_affinity),
            }),
        },
        status: object::PodStatus {
            phase: status.phase,
            // As in JSON, only Ready is kept: no decision reads the other conditions.
            conditions: status
                .conditions
                .into_iter()
                .filter(|condition| condition.r#type == "Ready")
                .map(condition)
                .collect(),
        },
    })
}

fn node_affinity(affinity: NodeAffinity) -> object::NodeAffinity {
    let requirement = |Requirement {
                           key,
                           operator,
                           values,
                       }| object::Requirement {
        key,
        operator,
        values,
    };
    let requirements = |all: Vec<_>| all.into_iter().map(requirement).collect();
    let term = |term: NodeSelectorTerm| object::NodeSelectorTerm {
        match_expressions: requirements(term.match_expressions),
        match_fields: requirements(term.match_fields),
    };
    object::NodeAffinity {
        required_during_scheduling_ignored_during_execution: affinity.required.map(|required| {
            object::NodeSelector {
                node_selector_terms: required.terms.into_iter().map(term).collect(),
            }
        }),
    }
}

fn meta<A: Default>(metadata: Option<ObjectMeta>) -> object::Meta<A> {
    let metadata = metadata.unwrap_or_default();
    let owner = |owner: OwnerReference| object::OwnerReference {
        api_version: owner.api_version,
        kind: owner.kind,
        name: owner.name,
        uid: owner.uid,
        controller: owner.controller,
    };
    object::Meta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        generation: metadata.generation,
        labels: metadata.labels,
        annotations: A::default(),
        owner_references: metadata.owner_references.into_iter().map(owner).collect(),
        creation_timestamp: time(metadata.creation_timestamp),
        deletion_timestamp: time(metadata.deletion_timestamp),
    }
}

/// Converts a time. An unset time is encoded without any fields, or as Go's zero time, which is earlier than any real
/// timestamp.
fn time(time: Option<Time>) -> Option<Timestamp> {
    let Time { seconds, nanos } = time?;
    Timestamp::new(seconds, nanos)
        .ok()
        .filter(|time| *time > Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
