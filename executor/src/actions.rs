//! Turns plans into API calls.
//!
//! - [`queue`]: decides which actions of a plan may start now; `action`: carries out one action.

pub(crate) mod action;
pub mod queue;
