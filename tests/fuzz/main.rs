//! Fuzz tests: no bytes from the wire or from a file may make a program panic or use much memory or time.
//!
//! Each target gets inputs that are made from a seed. Most inputs are valid ones with small changes. `cargo test` runs
//! each target for a few seconds, always on the same inputs.
//! `EVERYNODE_FUZZ_INPUTS=10000000 cargo test -p everynode-tests --test fuzz` runs for hours, and `EVERYNODE_FUZZ_SEED`
//! sets another first seed. A failing input is printed in hex, with the seed that reproduces it.
//!
//! - [`driver`]: runs a target and reports the input that fails.
//! - [`mutate`], [`seeds`], [`requests`], [`rollouts`]: create inputs by mutating valid bytes and by generating messages.
//! - [`facts`], [`planner`], [`executor`], [`reader`]: the targets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests and their helpers panic when an assertion fails"
)]

mod driver;
mod executor;
mod facts;
mod mutate;
mod planner;
mod reader;
mod requests;
mod rollouts;
mod seeds;

/// Counts the allocated memory.
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
