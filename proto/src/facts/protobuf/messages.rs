//! Kubernetes' protobuf messages, reduced to the fields that Everynode reads. The field numbers are those in
//! Kubernetes' generated.proto files.

use std::collections::HashMap;

use prost::{Message, bytes::Bytes};

use crate::facts::object;

/// k8s.io/apimachinery/pkg/runtime: Unknown, the wrapper of every object.
#[derive(Message)]
pub(super) struct Unknown {
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) raw: Bytes,
}

/// k8s.io/apimachinery/pkg/apis/meta/v1: `WatchEvent`.
#[derive(Message)]
pub(super) struct WatchEvent {
    #[prost(string, tag = "1")]
    pub(super) r#type: String,
    #[prost(message, optional, tag = "2")]
    pub(super) object: Option<RawExtension>,
}

#[derive(Message)]
pub(super) struct RawExtension {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) raw: Bytes,
}

#[derive(Message)]
pub(super) struct List {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<ListMeta>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) items: Vec<Bytes>,
}

#[derive(Message)]
pub(super) struct ListMeta {
    #[prost(string, tag = "2")]
    pub(super) resource_version: String,
    #[prost(string, tag = "3")]
    pub(super) r#continue: String,
}

#[derive(Message)]
pub(super) struct Bookmark {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<BookmarkMeta>,
}

#[derive(Message)]
pub(super) struct BookmarkMeta {
    #[prost(string, tag = "6")]
    pub(super) resource_version: String,
    #[prost(map = "string, string", tag = "12")]
    pub(super) annotations: HashMap<String, String>,
}

#[derive(Message)]
pub(super) struct Status {
    #[prost(string, tag = "2")]
    pub(super) outcome: String,
    #[prost(string, tag = "3")]
    pub(super) message: String,
    #[prost(string, tag = "4")]
    pub(super) reason: String,
    #[prost(message, optional, tag = "5")]
    pub(super) details: Option<StatusDetails>,
    #[prost(int32, tag = "6")]
    pub(super) code: i32,
}

#[derive(Message)]
pub(super) struct StatusDetails {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) group: String,
    #[prost(string, tag = "3")]
    pub(super) kind: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) causes: Vec<StatusCause>,
    #[prost(int32, tag = "5")]
    pub(super) retry_after_seconds: i32,
    #[prost(string, tag = "6")]
    pub(super) uid: String,
}

#[derive(Message)]
pub(super) struct StatusCause {
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(string, tag = "3")]
    pub(super) field: String,
}

#[derive(Message)]
pub(super) struct ObjectMeta {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) namespace: String,
    #[prost(string, tag = "5")]
    pub(super) uid: String,
    #[prost(string, tag = "6")]
    pub(super) resource_version: String,
    #[prost(int64, tag = "7")]
    pub(super) generation: i64,
    #[prost(message, optional, tag = "8")]
    pub(super) creation_timestamp: Option<Time>,
    #[prost(message, optional, tag = "9")]
    pub(super) deletion_timestamp: Option<Time>,
    #[prost(btree_map = "string, string", tag = "11")]
    pub(super) labels: object::StringMap,
    #[prost(message, repeated, tag = "13")]
    pub(super) owner_references: Vec<OwnerReference>,
}

#[derive(Message)]
pub(super) struct Time {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Message)]
pub(super) struct OwnerReference {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) uid: String,
    #[prost(string, tag = "5")]
    pub(super) api_version: String,
    #[prost(bool, tag = "6")]
    pub(super) controller: bool,
}

#[derive(Message)]
pub(super) struct Node {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub(super) spec: Option<NodeSpec>,
    #[prost(message, optional, tag = "3")]
    pub(super) status: Option<NodeStatus>,
}

#[derive(Message)]
pub(super) struct NodeStatus {
    #[prost(message, repeated, tag = "4")]
    pub(super) conditions: Vec<NodeCondition>,
}

#[derive(Message)]
pub(super) struct NodeCondition {
    #[prost(string, tag = "1")]
    pub(super) r#type: String,
    #[prost(string, tag = "2")]
    pub(super) status: String,
}

#[derive(Message)]
pub(super) struct NodeSpec {
    #[prost(message, repeated, tag = "5")]
    pub(super) taints: Vec<Taint>,
}

#[derive(Message)]
pub(super) struct Taint {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
    #[prost(string, tag = "3")]
    pub(super) effect: String,
}

#[derive(Message)]
pub(super) struct Pod {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub(super) spec: Option<PodSpec>,
    #[prost(message, optional, tag = "3")]
    pub(super) status: Option<PodStatus>,
}

#[derive(Message)]
pub(super) struct PodSpec {
    #[prost(string, tag = "10")]
    pub(super) node_name: String,
    #[prost(message, optional, tag = "18")]
    pub(super) affinity: Option<Affinity>,
}

#[derive(Message)]
pub(super) struct Affinity {
    #[prost(message, optional, tag = "1")]
    pub(super) node_affinity: Option<NodeAffinity>,
}

#[derive(Message)]
pub(super) struct NodeAffinity {
    #[prost(message, optional, tag = "1")]
    pub(super) required: Option<NodeSelector>,
}

#[derive(Message)]
pub(super) struct NodeSelector {
    #[prost(message, repeated, tag = "1")]
    pub(super) terms: Vec<NodeSelectorTerm>,
}

#[derive(Message)]
pub(super) struct NodeSelectorTerm {
    #[prost(message, repeated, tag = "1")]
    pub(super) match_expressions: Vec<Requirement>,
    #[prost(message, repeated, tag = "2")]
    pub(super) match_fields: Vec<Requirement>,
}

#[derive(Message)]
pub(super) struct Requirement {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) operator: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) values: Vec<String>,
}

#[derive(Message)]
pub(super) struct PodStatus {
    #[prost(string, tag = "1")]
    pub(super) phase: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) conditions: Vec<Condition>,
}

#[derive(Message)]
pub(super) struct Condition {
    #[prost(string, tag = "1")]
    pub(super) r#type: String,
    #[prost(string, tag = "2")]
    pub(super) status: String,
    #[prost(message, optional, tag = "4")]
    pub(super) last_transition_time: Option<Time>,
}
