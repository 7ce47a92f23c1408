//! The foundation of Everynode's integration tests, demo and benchmark: a real Kubernetes control plane on this
//! machine, without containers and without root, and the two programs under test as processes next to it.
//!
//! kwok simulates the nodes and their kubelets. Everything else is the real thing, built from its own sources. Nothing
//! outlives the process that started it, however that process ends.
//!
//! In reading order:
//! - [`toolbox`] finds or builds the programs of the control plane, [`programs`] builds the two under test;
//! - [`leash`] starts processes that can't outlive us, [`ports`] reserves ports for them;
//! - [`control_plane`] starts a cluster, [`kubectl`] talks to it as people do, [`audit`] reads the requests that it
//!   served from its audit log;
//! - [`service`] runs the planner and the executor, [`certificates`] issues the certificates with which they
//!   authenticate each other;
//! - [`nodes`] and [`daemonsets`] create the objects of a test, [`wait`] waits for the expected results;
//! - [`questions`] generates `DaemonSet`s and nodes, and [`judge`] says how kube-controller-manager would place their
//!   pods;
//! - [`monitor`] observes every state that pods go through;
//! - [`proxy`] injects faults between the programs under test and the programs that they talk to;
//! - [`differential`] runs the same steps under kube-controller-manager's controller and under Everynode, and compares
//!   the results;
//! - [`conformance`] runs Kubernetes' own specs;
//! - [`shared`] shares control planes among the tests of a process, each used by one test at a time;
//! - [`walk`] is a `DaemonSet`'s life from creation to deletion, which the demo shows on the [`terminal`] and a test
//!   checks;
//! - [`real_node`] runs a real node whose pods really run; it needs root;
//! - [`soak`] injects every kind of fault for as long as you like, while a checker verifies that Everynode behaves
//!   correctly;
//! - [`mod@bench`] measures Everynode and kube-controller-manager's controller on the same work.

pub mod ask;
pub mod audit;
pub mod bench;
pub mod certificates;
pub mod conformance;
pub mod control_plane;
pub mod daemonsets;
mod debian;
pub mod differential;
pub mod judge;
pub mod kubectl;
pub mod leash;
pub mod monitor;
pub mod nodes;
pub mod ports;
mod process;
pub mod programs;
pub mod proxy;
pub mod questions;
pub mod raw;
pub mod real_node;
pub mod service;
pub mod shared;
pub mod soak;
pub mod terminal;
pub mod toolbox;
pub mod wait;
pub mod walk;
