//! Plans become API calls.
//!
//! - [`apply`]: which actions of a plan may begin now; [`action`]: carries one out.

pub mod action;
pub mod apply;
