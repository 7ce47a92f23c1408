//! Converts wire facts and objects to the model, and decisions to the wire. Errors name the field.

mod conditions;
mod from_object;
mod from_policy;
mod from_rollout;
mod from_wire;
mod position;
pub mod rollout;
mod to_wire;

pub use from_object::{node_as_template, node_template, runtime_class, workload};
pub use from_policy::rollout_policy;
pub use from_rollout::rollout_object;
pub use from_wire::{FieldError, check_length, daemon_set, millis, node, pod};
pub use position::node_rollout;
pub(crate) use position::totals;
pub use to_wire::{action, demand, plan, problem, reconsider_after, simulation, status, summary, verdict};
