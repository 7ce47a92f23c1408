//! Everynode's planner: decides which nodes get a `DaemonSet`'s pods, and how its pods are replaced.
//!
//! It is not a controller. It has no access to any cluster, and keeps no state that executors can't send again.
//! The same input gives the same plan, byte for byte; the time is part of the input.
//!
//! Data flows one way: wire facts → [`convert`] → [`model`] → [`fleet`] (the facts of a session) → [`decide`]
//! (the rules) → plans → [`convert`] → wire.
//!
//! The rules implement the contract in `docs/contract.md`, which lists each clause with its tests.
//!
//! In reading order:
//! - [`model`]: facts and decisions as plain types.
//! - [`decide`]: every rule, pure.
//! - [`fleet`]: a session's picture of the cluster, a dense table of (`DaemonSet`, node) cells.
//! - [`convert`], [`intern`]: from and to the wire.
//! - [`unary`]: the calls that are answered from one request.
//! - [`session`]: the stream that serves an executor.
//! - [`service`], [`limits`]: gRPC.
//! - [`offline`]: commands that give the same answers, from files and without a server.
//! - [`args`], [`run`], [`admin`], [`metrics`]: the program.

pub mod admin;
pub mod args;
pub mod convert;
pub mod decide;
pub mod fleet;
pub mod intern;
pub mod limits;
pub mod metrics;
pub mod model;
pub mod offline;
pub mod run;
pub mod service;
pub mod session;
pub mod unary;

#[cfg(test)]
mod testing;
