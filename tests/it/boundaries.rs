//! Limits on the harm that one tenant, caller or planner can do to the others.

mod callers;
mod sync;
mod tenants;
