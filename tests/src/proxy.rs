//! Proxies that inject faults between two programs.
//!
//! - [`tcp`] works on TCP connections, both of gRPC and of the API server: it cuts, delays, corrupts and stalls them;
//! - [`api_server`] works on requests to the API server: it refuses requests, loses responses, and makes watches
//!   expire, repeat events and lag;
//! - [`clock`] works on sessions: it changes the time by which the planner decides;
//! - [`mod@last_release`] works on messages: it removes everything that is newer than the last release.

pub mod api_server;
pub mod clock;
pub mod last_release;
pub mod tcp;

pub use self::api_server::{ApiServerProxy, Call, CallFault, Interruption, WatchDelivery};
pub use self::clock::ClockProxy;
pub use self::last_release::LastReleaseProxy;
pub use self::tcp::{ConnectionFaults, TcpProxy, Traffic};
