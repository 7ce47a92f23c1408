//! Answers about what this executor knows and does.
//!
//! - `queries`: queries to the controller's loop; `event_bus`: events for watchers.
//! - `view`: builds the answers from snapshots of the controller's state.
//! - [`service`]: the gRPC service `everynode.executor.v1`, which returns the answers.

pub(crate) mod event_bus;
pub(crate) mod queries;
pub mod service;
pub(crate) mod view;
