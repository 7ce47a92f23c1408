//! The harness of Everynode's integration tests, demo and benchmark. It runs a real Kubernetes control plane on this
//! machine, without containers and without root, and the two programs under test as processes.
//!
//! kwok simulates the nodes and their kubelets. All other components are the real ones, built from source. The control
//! plane, the planner and the executor can't outlive the process that started them, even if that process is killed.
//!
//! In reading order:
//! - [`toolbox`] finds or builds the programs of the control plane, [`programs`] builds those under test;
//! - [`child_process`] starts processes that can't outlive this one, and [`ports`] reserves ports for them;
//! - [`control_plane`] starts a cluster, [`kubectl`] runs kubectl on it, and [`audit`] reads its requests from the
//!   audit log;
//! - [`service`] runs the planner and the executor, [`certificates`] issues the certificates with which they
//!   authenticate each other;
//! - [`nodes`] and [`daemonsets`] create the objects of a test, [`wait`] waits for the expected results;
//! - [`placement_cases`] generates `DaemonSet`s and nodes, and [`judge`] computes how kube-controller-manager would
//!   place their pods;
//! - [`monitor`] records every state of a `DaemonSet`'s pods;
//! - [`proxy`] injects faults between the programs under test and the programs that they talk to;
//! - [`differential`] runs the same steps under kube-controller-manager's controller and under Everynode, and compares
//!   the results;
//! - [`conformance`] runs Kubernetes' own specs;
//! - [`rollouts`] installs the kinds of rollout policies, and reads and steers rollouts;
//! - [`shared`] shares control planes among the tests of a process;
//! - [`walkthrough`] goes through a `DaemonSet`'s life from creation to deletion. The demo shows it on the
//!   [`terminal`], and a test runs it;
//! - [`real_node`] runs a real node whose pods really run; it needs root;
//! - [`soak`] injects every kind of fault for as long as you choose, and checks that Everynode behaves correctly;
//! - [`mod@bench`] measures Everynode and kube-controller-manager's controller on the same work.

pub mod audit;
pub mod bench;
pub mod certificates;
pub mod child_process;
pub mod conformance;
pub mod control_plane;
pub mod daemonsets;
mod debian;
pub mod differential;
pub mod http_client;
pub mod judge;
pub mod kubectl;
pub mod manifests;
pub mod monitor;
pub mod nodes;
pub mod placement_cases;
pub mod ports;
mod process;
pub mod programs;
pub mod proxy;
pub mod raw_codec;
pub mod real_node;
pub mod rollouts;
pub mod service;
pub mod shared;
pub mod soak;
pub mod terminal;
pub mod toolbox;
pub mod wait;
pub mod walkthrough;
