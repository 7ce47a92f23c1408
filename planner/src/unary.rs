//! The calls that are answered from one request, on Kubernetes objects as they are printed.

mod explain;
mod plan;
mod reader;
mod simulate;

pub use self::{explain::explain, plan::plan, simulate::simulate_nodes};

#[cfg(test)]
mod tests;
