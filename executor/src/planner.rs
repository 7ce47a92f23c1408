//! The planner's side: sessions with a planner, facts out and plans in.
//!
//! - [`link`]: connects to a planner; [`session`]: one session after another, as long as this executor leads.
//! - [`outbox`]: the facts that the planner has yet to receive.
//! - [`guard`]: what a plan must satisfy before the executor acts on it.

pub mod guard;
pub mod link;
pub mod outbox;
pub mod session;
