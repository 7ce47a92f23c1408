//! Everynode's executor: watches a cluster, tells the planner what it sees, and carries out the planner's plans.
//!
//! It decides nothing about placement, rollouts or counters: it turns objects into facts, and actions into API calls.
//! It owns three things: how a pod is made from a template, the history of templates, and which pods belong to which
//! `DaemonSet`.
//!
//! Data flows in a circle: watches → `cluster` (the cache) → [`planner::outbox`] (facts that changed) → the planner,
//! through [`planner::session`] → plans → [`actions::queue`] (what may start now) → `apiserver::api` → the cluster.
//! The answers go into `cluster` at once.
//!
//! The executor implements the clauses C (created pods), H (history), A (ownership) and S (status) of the contract.
//! `docs/contract.md` lists each clause with its tests.
//!
//! Layers, each of which uses only those after it:
//! - [`program`]: flags, configuration, tasks.
//! - `controller`: the event loop that owns all state.
//! - [`planner`] (sessions with a planner), [`actions`] (plans into API calls), [`ownership`] (adoption and history),
//!   [`status`] (counters and conditions), [`live_view`] (answers about all of it).
//! - `rollouts`: the kinds of rollout policies, and their conversion from and to facts.
//! - `cluster`: the cache of what the watches report; [`pods`]: how a pod is made from a template.
//! - [`apiserver`]: reading, watching and writing objects.
//! - `election`: which executor leads and may write; `telemetry`: health and metrics.
//!
//! The kubectl plugin is a crate of its own, `kubectl-everynode`.

pub mod actions;
pub mod apiserver;
pub(crate) mod cluster;
pub(crate) mod controller;
pub(crate) mod election;
pub mod live_view;
pub mod ownership;
pub mod planner;
pub mod pods;
pub mod program;
pub mod rollouts;
pub mod status;
pub(crate) mod telemetry;
#[cfg(test)]
mod testing;
