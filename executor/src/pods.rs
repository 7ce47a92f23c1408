//! Builds pods from a `DaemonSet`'s template.
//!
//! - [`pod`]: builds the pod; [`template`]: the template's canonical form and fingerprint; [`hash`]: the hash that names
//!   a revision; `revision_pods`: pods of a revision that isn't the current template's.

pub mod hash;
pub mod pod;
pub(crate) mod revision_pods;
pub mod template;
