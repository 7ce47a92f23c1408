//! Rollout policies: their kinds, and the conversion of policies, memory and reports from and to the wire.
//!
//! No decision is made here. The planner decides which policy applies and which stage opens.

pub(crate) mod changes;
pub mod kinds;
pub(crate) mod memory;
pub(crate) mod policy;
pub(crate) mod report;
pub(crate) mod status;
pub(crate) mod write;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use prost_types::Timestamp as WireTimestamp;

/// The capability of planners and executors that know rollout policies.
pub(crate) const CAPABILITY: &str = "rollout_policies";

/// Converts a time of an object to the wire.
fn to_wire_time(time: &Time) -> WireTimestamp {
    everynode_proto::facts::wire::timestamp(time.0)
}

/// Converts a time of the wire to that of an object, which has whole seconds. Rounds up, so that no soak becomes shorter.
fn to_time(time: WireTimestamp) -> Option<Time> {
    let seconds = time.seconds.saturating_add(i64::from(time.nanos > 0));
    Timestamp::from_second(seconds).ok().map(Time)
}
