//! Answers about what this executor knows and does.
//!
//! - [`questions`]: queries to the controller's loop; [`event_bus`]: events for watchers.
//! - [`view`]: builds the answers from a snapshot of what is known.
//! - [`service`]: the gRPC service `everynode.executor.v1`, which gives them.

pub mod event_bus;
pub mod questions;
pub mod service;
pub mod view;
