//! The parts of Kubernetes objects that Everynode reads, and the facts that they turn into.
//!
//! Data flows one way: JSON or protobuf → [`Node`], [`Pod`], [`DaemonSet`] (slim types; parsing skips everything that
//! they don't name) → [`NodeFacts`](crate::planner::v1::NodeFacts) and the like.
//!
//! - [`object`]: the slim types; [`identity`]: identifies an object and the `DaemonSet` that controls it.
//! - [`unread`]: turns `google.protobuf.Struct` and lists into single objects, with errors that name the field.
//! - [`protobuf`]: reads nodes and pods in Kubernetes' own protobuf encoding.
//! - [`pool`]: keeps one copy of values that many facts have in common.
//! - [`wire`]: turns slim types into facts.

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

/// The label with the generation of the template that a pod was made from. It dates from before there were revisions.
pub const TEMPLATE_GENERATION_LABEL: &str = "pod-template-generation";

/// The annotation of a `DaemonSet` that counts the generations of its template.
pub const TEMPLATE_GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";
