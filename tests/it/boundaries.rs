//! What one tenant, caller or planner can't do to the others.

mod callers;
mod sync;
mod tenants;
