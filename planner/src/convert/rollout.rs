//! Converts rollout policies, what is remembered of rollouts, and their states, between the wire and the model.

mod memory;
mod policies;
mod reports;

pub(super) use self::policies::policy_spec;
pub use self::{
    memory::rollout,
    policies::{knowledge, namespace, policy},
    reports::{policy_status_to_wire, report_to_wire, warning},
};
use super::from_wire::FieldError;

fn at_most(field: &str, count: usize, most: usize) -> Result<(), FieldError> {
    if count > most {
        let message = format!("must have at most {most} elements, found {count}");
        return Err(FieldError::new(field, message));
    }
    Ok(())
}
