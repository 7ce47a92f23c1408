//! Which pods and revisions belong to a `DaemonSet`, and its history.
//!
//! - [`adopt`]: which objects to adopt and to release; [`history`]: which revisions to create, renumber and delete.
//! - [`upkeep`]: carries both out.

pub mod adopt;
pub mod history;
pub mod upkeep;
