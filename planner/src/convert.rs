//! Converts wire facts and objects to the model, and decisions to the wire. Errors name the field.

mod conditions;
mod from_object;
mod from_wire;
mod to_wire;

pub use from_object::{node_as_template, node_template, runtime_class, workload};
pub use from_wire::{FieldError, check_length, daemon_set, millis, node, pod};
pub use to_wire::{action, demand, plan, problem, reconsider_after, simulation, status, summary, verdict};
