//! What stands between two programs and lets things go wrong on the way.
//!
//! - [`line`](mod@line) knows of TCP only, and so serves gRPC and the API alike: it cuts, delays, garbles, goes silent;
//! - [`gateway`] knows of HTTP and Kubernetes: it refuses calls, loses answers, and makes watches forget, stammer and lag;
//! - [`clock`] knows of sessions: it sets the clock by which the planner decides;
//! - [`mod@last_release`] knows of messages: it lets nothing through that is newer than the last release.

pub mod clock;
pub mod gateway;
pub mod last_release;
pub mod line;

pub use self::clock::Clock;
pub use self::gateway::{Call, Fault, Gateway, Interruption, Speech};
pub use self::last_release::LastRelease;
pub use self::line::{Line, Traffic, Weather};
