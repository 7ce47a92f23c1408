//! Builds pods from a `DaemonSet`'s template.
//!
//! - [`pod`]: builds the pod; [`template`]: the template's canonical form and fingerprint; [`hash`]: the hash that names
//!   a revision.

pub mod hash;
pub mod pod;
pub mod template;
