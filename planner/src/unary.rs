//! The unary calls. Each answers from one request alone, which holds Kubernetes objects as kubectl prints them.

mod check;
mod classes;
mod duplicates;
mod explain;
mod plan;
mod policies;
mod reader;
mod rollout;
mod simulate;

pub(crate) use self::reader::object_name;
pub use self::{explain::explain, plan::plan, rollout::simulate_rollout, simulate::simulate_nodes};

#[cfg(test)]
mod tests;
