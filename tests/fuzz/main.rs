//! What comes over a wire may be anything: nothing of it makes a program panic, nor take much memory or time.
//!
//! Each target takes inputs that are made from a seed, mostly valid ones that were changed a little. `cargo test` gives
//! each some seconds of them, always the same. `EVERYNODE_FUZZ_INPUTS=10000000 cargo test -p everynode-tests --test fuzz`
//! goes on for hours, `EVERYNODE_FUZZ_SEED` has it begin elsewhere. An input that fails is shown in hex, with the seed that
//! makes it alone.
//!
//! - [`driver`]: runs a target, and says which input fails.
//! - [`mutate`], [`seeds`], [`requests`]: inputs, by changing valid bytes and by making messages up.
//! - [`facts`], [`planner`], [`executor`]: the targets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test states what holds, and panics where it doesn't; its helpers too"
)]

mod driver;
mod executor;
mod facts;
mod mutate;
mod planner;
mod requests;
mod seeds;

/// Counts what is allocated.
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
