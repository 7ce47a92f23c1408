//! Everynode's executor: watches a cluster, tells the planner what it sees, and carries out the planner's plans.
//!
//! It decides nothing about placement, rollouts or counters: it turns objects into facts, and actions into API calls.
//! It owns three things: how a pod is made from a template, the history of templates, and which pods belong to whom.
//!
//! Data flows in a circle: watches → [`cluster`] (what is known) → [`outbox`] (facts that changed) → the planner,
//! through [`session`] → plans → [`apply`] (what may be done now) → [`api`] → the cluster. The answers go into
//! [`cluster`] at once.
//!
//! The executor implements the clauses C (created pods), H (history), A (ownership) and S (status) of the contract.
//! `docs/contract.md` lists each clause with its tests.
//!
//! In reading order:
//! - [`controller`]: the loop that everything runs in.
//! - [`objects`], [`watch`], [`cluster`]: reading objects, watching them, caching them.
//! - [`outbox`], [`session`]: facts out, plans in; [`link`]: the connection to planners.
//! - [`guard`]: limits on what a plan may cause; [`apply`], [`action`]: plans into API calls.
//! - [`pod`], [`template`], [`history`], [`adopt`], [`upkeep`], [`status`], [`conditions`], [`events`]: one concern
//!   each.
//! - [`view`], [`service`]: answers about what is known, and the gRPC service that gives them. The service asks the
//!   loop through [`controller::questions`]. [`leadership`]: which other executor to ask; [`lease`]: how the leader
//!   is elected.
//! - [`api`], [`names`], [`failure`], [`client`]: calls to the API server, why they fail, and the connections that
//!   they use; [`backoff`]: when they are repeated.
//! - [`args`], [`run`], [`admin`], [`health`], [`metrics`]: the program.
//! - [`plugin`]: another program, the kubectl plugin that asks executors.

pub mod action;
pub mod admin;
pub mod adopt;
pub mod api;
pub mod apply;
pub mod args;
pub mod backoff;
pub mod client;
pub mod cluster;
pub mod conditions;
pub mod controller;
pub mod events;
pub mod failure;
pub mod guard;
pub mod hash;
pub mod health;
pub mod history;
pub mod leadership;
pub mod lease;
pub mod link;
pub mod metrics;
pub mod names;
pub mod objects;
pub mod outbox;
pub mod plugin;
pub mod pod;
pub mod run;
pub mod service;
pub mod session;
pub mod status;
pub mod template;
#[cfg(test)]
mod testing;
pub mod upkeep;
pub mod view;
pub mod watch;
