//! What Everynode's integration tests, demo and benchmark stand on: a real Kubernetes control plane on this machine, without
//! containers and without root, and the two programs under test as processes beside it.
//!
//! Nodes and their kubelets are played by kwok; everything else is the real thing, built from its own sources. Nothing outlives
//! the process that started it, however that process ends.
//!
//! In reading order:
//! - [`toolbox`] finds or builds the programs of the control plane, [`programs`] the two under test;
//! - [`leash`] starts a process such that it can't outlive us, [`ports`] finds it a place to listen;
//! - [`control_plane`] puts a cluster together, [`kubectl`] talks to it as people do, [`audit`] says what was asked of it;
//! - [`service`] runs planner and executor, [`certificates`] what they trust one another by;
//! - [`nodes`] and [`daemonsets`] make what a test is about, [`wait`] waits for what should come of it;
//! - [`questions`] makes up `DaemonSet`s and nodes, and [`judge`] says what kube-controller-manager makes of them;
//! - [`monitor`] sees every state that pods go through;
//! - [`proxy`] makes trouble between the programs under test and what they talk to;
//! - [`differential`] does the same under kube-controller-manager's controller and under Everynode, and compares;
//! - [`conformance`] runs Kubernetes' own specs;
//! - [`shared`] lends control planes to the tests of a process, each to one test at a time;
//! - [`walk`] is the `DaemonSet`'s life from creation to deletion, which the demo shows on the
//!   [`terminal`] and a test checks;
//! - [`real_node`] is a node that is one, with pods that run; it takes root;
//! - [`soak`] lets everything go wrong for as long as one likes, and has a checker watch that Everynode goes right;
//! - [`mod@bench`] measures Everynode and kube-controller-manager's controller at the same work.

pub mod ask;
pub mod audit;
pub mod bench;
pub mod certificates;
pub mod conformance;
pub mod control_plane;
pub mod daemonsets;
pub mod differential;
pub mod judge;
pub mod kubectl;
pub mod leash;
pub mod monitor;
pub mod nodes;
pub mod ports;
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
