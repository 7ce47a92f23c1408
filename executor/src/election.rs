//! Leader election among the executors of a cluster.
//!
//! - [`lease`]: takes, renews and releases the Lease, and the claim that every write needs.
//! - [`leadership`]: the current leader, for the rest of the executor.

pub(crate) mod leadership;
pub(crate) mod lease;
