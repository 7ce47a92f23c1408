//! The wire protocol of Everynode's planner and executor.
//!
//! - [`planner`], [`executor`]: the messages, clients and servers of `everynode.planner.v1` and
//!   `everynode.executor.v1`, generated from the .proto files.
//! - [`codec`]: limits the number of facts before it decodes a message; [`weight`]: computes the memory that a message
//!   takes once decoded.
//! - [`facts`]: the only place that reads Kubernetes JSON and turns it into the wire's facts. The executor's watches
//!   and the planner's unary calls both go through it, so a fact means the same in both.
//! - [`status`]: gRPC statuses with typed details, which both ends of a call read.
//! - [`memory_budget`]: limits the memory that a piece of work may use.
//! - `testing`: test helpers for the wire. No program contains them.
//!
//! Everything that serves these messages is in `everynode-serving`, and everything that prints them is in
//! `everynode-render`, so a client needs only this crate.
//!
//! This crate holds no rules: the planner decides what follows from a fact.

pub mod codec;
pub mod facts;
pub mod memory_budget;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
pub mod weight;

/// The package `everynode.executor.v1`.
pub mod executor {
    /// Version 1 of the package.
    #[allow(
        clippy::pedantic,
        clippy::indexing_slicing,
        clippy::large_enum_variant,
        clippy::use_self,
        clippy::unwrap_used,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        reason = "generated code is not held to the rules of written code"
    )]
    pub mod v1 {
        tonic::include_proto!("everynode.executor.v1");
    }
}

/// The package `everynode.planner.v1`.
pub mod planner {
    /// Version 1 of the package.
    #[allow(
        clippy::pedantic,
        clippy::indexing_slicing,
        clippy::large_enum_variant,
        clippy::use_self,
        clippy::unwrap_used,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        reason = "generated code is not held to the rules of written code"
    )]
    pub mod v1 {
        tonic::include_proto!("everynode.planner.v1");
    }
}

/// The encoded `FileDescriptorSet` of every package here, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
