//! What one party can't do to another.

mod callers;
