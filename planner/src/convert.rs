//! From wire facts to the model, and from plans to the wire. Errors name the field.

mod from_wire;
mod to_wire;

pub use from_wire::{FieldError, daemon_set, millis, node, pod};
pub use to_wire::{action, plan, problem, reconsider_after, status, verdict};
