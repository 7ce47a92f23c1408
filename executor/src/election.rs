//! The election: of several executors of a cluster, one leads.
//!
//! - [`lease`]: takes, renews and releases the Lease, and the claim that every write needs.
//! - [`leadership`]: who leads, as the rest of the executor sees it.

pub mod leadership;
pub mod lease;
