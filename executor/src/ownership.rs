//! Adoption and release of pods and revisions, and the history of templates.
//!
//! - `adopt`: decides which objects to adopt and to release; [`history`]: decides which revisions to create, renumber
//!   and delete.
//! - `upkeep`: carries out both.

pub(crate) mod adopt;
pub mod history;
pub(crate) mod upkeep;
