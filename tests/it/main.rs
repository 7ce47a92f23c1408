//! The integration tests. They are one program, so that they share control planes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states what holds, and panics where it doesn't; its helpers too"
)]

mod api;
mod bench;
mod boundaries;
mod clauses;
mod clients;
mod competing_controllers;
mod conditions;
mod conformance;
mod control_plane;
mod crashes;
mod demand;
mod deploy;
mod differential;
mod encodings;
mod faults;
mod flood;
mod history;
mod kwok;
mod leaders;
mod metrics;
mod odd_objects;
mod outages;
mod ownership;
mod page;
mod placement;
mod plugin;
mod reading;
mod readme;
mod refusals;
mod rollout_page;
mod rollouts;
mod scale;
mod soak;
mod status;
mod supply;
mod takeover;
mod templates;
mod tidy;
mod tls;
mod tools;
mod upgrades;
mod view;
mod walk;
mod wire;
mod world;
