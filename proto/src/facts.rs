//! Kubernetes objects as far as Everynode reads them, and the facts they turn into.
//!
//! Data flows one way: JSON or protobuf → [`Node`], [`Pod`], [`DaemonSet`] (slim types that skip everything they don't name while
//! it is parsed) → [`NodeFacts`](crate::planner::v1::NodeFacts) and the like.
//!
//! - [`object`]: the slim types; [`identity`]: which `DaemonSet` controls one.
//! - [`unread`]: from `google.protobuf.Struct` and lists to single objects, with errors that name the field.
//! - [`protobuf`]: nodes and pods in Kubernetes' own protobuf encoding.
//! - [`pool`]: keeps what many facts have in common once.
//! - [`wire`]: from slim types to facts.

pub mod identity;
pub mod object;
pub mod pool;
pub mod protobuf;
pub mod unread;
pub mod wire;

pub use identity::Identity;
pub use object::{DaemonSet, Meta, Node, Pod, PodTemplate};
pub use unread::Unread;

/// The label that names the `ControllerRevision` a pod was made from.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// The label that names the generation of the template a pod was made from, from before there were revisions.
pub const TEMPLATE_GENERATION_LABEL: &str = "pod-template-generation";

/// The annotation of a `DaemonSet` that counts the generations of its template.
pub const TEMPLATE_GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";
