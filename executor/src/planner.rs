//! Sessions with a planner: the executor sends facts and receives plans.
//!
//! - [`link`]: connects to a planner; [`session`]: opens one session after another while this executor leads.
//! - [`outbox`]: holds the facts that have yet to be sent to the planner.
//! - [`guard`]: limits what a plan may cause.

pub mod guard;
pub mod link;
pub mod outbox;
pub mod session;
