//! Reads the parts of Kubernetes objects that Everynode needs, and converts them to facts.
//!
//! Data flows one way: JSON or protobuf → [`Node`], [`Pod`], [`DaemonSet`] (slim types; decoding skips all other
//! fields) → [`NodeFacts`](crate::planner::v1::NodeFacts) and the like.
//!
//! - [`object`]: the slim types, and how their fields are read.
//! - [`identity`]: identifies an object and the `DaemonSet` that controls it.
//! - [`raw_struct`]: keeps each `google.protobuf.Struct` of a call encoded, splits lists into single objects, and reads
//!   the objects. Its errors name the field.
//! - [`field_path`]: writes the paths of fields.
//! - [`selector`]: matches labels against a label selector.
//! - [`protobuf`]: reads nodes and pods in Kubernetes' own protobuf encoding.
//! - [`shared_values`]: keeps one copy of values that many facts have in common.
//! - [`wire`]: converts slim types to facts.
//! - [`words`]: words error messages about values.

pub mod field_path;
pub mod identity;
pub mod object;
pub mod protobuf;
pub mod raw_struct;
pub mod selector;
pub mod shared_values;
pub mod wire;
pub mod words;

pub use identity::Identity;
pub use object::{DaemonSet, Meta, Node, Pod, PodTemplate};
pub use raw_struct::RawStruct;
pub use selector::Selector;

/// The label that identifies the `ControllerRevision` that a pod was made from.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// The label with the generation of the template that a pod was made from. Kubernetes used it before it had
/// `ControllerRevision`s.
pub const TEMPLATE_GENERATION_LABEL: &str = "pod-template-generation";

/// The annotation of a `DaemonSet` that counts the generations of its template.
pub const TEMPLATE_GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";
