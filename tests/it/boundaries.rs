//! What one tenant, caller or planner can't do to the others.

mod sync;
