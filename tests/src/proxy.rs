//! Proxies that inject faults between two programs.
//!
//! - [`line`](mod@line) works on TCP, so it serves gRPC and the API alike: it cuts, delays and corrupts connections, or
//!   goes silent;
//! - [`gateway`] works on HTTP and Kubernetes requests: it refuses calls, loses answers, and makes watches lose their
//!   place, repeat events and lag;
//! - [`clock`] works on sessions: it sets the clock by which the planner decides;
//! - [`mod@last_release`] works on messages: it removes everything that is newer than the last release.

pub mod clock;
pub mod gateway;
pub mod last_release;
pub mod line;

pub use self::clock::Clock;
pub use self::gateway::{Call, Fault, Gateway, Interruption, Speech};
pub use self::last_release::LastRelease;
pub use self::line::{Line, Traffic, Weather};
