//! What Everynode's programs share to serve: a bounded gRPC server, certificates, and the parts of a program.
//!
//! - [`serve`]: serves a gRPC service: limits, deadlines, authentication, health, reflection, shutdown.
//! - [`tls`]: certificates, which say who a program is and whom it trusts.
//! - [`program`]: flags, logs, metrics, the admin port, and the exit codes.
//! - [`backoff`]: waits between retries.
//!
//! This crate knows how calls are served, not what they mean: the services are in the planner and in the executor.

pub mod backoff;
pub mod program;
pub mod serve;
pub mod tls;
