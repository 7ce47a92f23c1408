//! The server side that Everynode's programs share: a gRPC server with limits, certificates, and program parts.
//!
//! - [`serve`]: the gRPC server: limits, deadlines, authentication, health, reflection, shutdown.
//! - [`tls`]: certificates of a program, and the authorities that it trusts.
//! - [`program`]: flags, logs, metrics, the admin port, and the exit codes.
//! - [`backoff`]: exponential backoff.
//!
//! This crate serves calls without knowing what they mean. The services are in the planner and in the executor.

pub mod backoff;
pub mod program;
pub mod serve;
pub mod tls;
