//! The wire between Everynode's planner, executor and their callers.
//!
//! - [`planner`], [`executor`]: the messages, clients and servers of `everynode.planner.v1` and `everynode.executor.v1`,
//!   generated from the .proto files.
//! - [`facts`]: the only place that reads Kubernetes JSON and turns it into the wire's facts. The executor's watches
//!   and the planner's unary calls both go through it, so a fact means the same in both.
//! - `testing`: helpers that the tests of the wire share; not part of any program.
//! - [`allowance`]: limits the memory that a piece of work may take.
//! - [`codec`]: decodes messages from the wire; [`weight`]: how much memory they take once decoded.
//! - [`serve`]: serves the services of both programs: limits, deadlines, health, reflection, shutdown.
//! - [`tls`]: certificates, which say who both programs are and whom they trust.
//! - [`program`]: the parts that both programs have in common, whatever they do: flags, logs, and exit.
//! - [`answers`]: prints the answers of both services, for people and for programs.
//! - [`text`]: makes text from elsewhere safe to print for people.
//!
//! This crate holds no rules: the planner decides what follows from a fact.

pub mod allowance;
pub mod answers;
pub mod codec;
pub mod facts;
pub mod program;
pub mod serve;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod tls;
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
