//! The API server's side: reading, watching and writing objects.
//!
//! - [`clock`]: the API server's time.
//! - [`client`]: the connections; `api`: the calls, with `names` of objects that may be part of a URL.
//! - [`objects`]: decoding objects; `watch`: listing and watching them.
//! - `events`: Kubernetes events about `DaemonSet`s.
//! - `failure`: why a call failed, and when to retry it.

pub(crate) mod api;
pub mod client;
pub mod clock;
pub(crate) mod events;
pub(crate) mod failure;
pub(crate) mod names;
pub mod objects;
pub(crate) mod watch;
