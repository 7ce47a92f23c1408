//! What stands between two programs and lets things go wrong on the way.
//!
//! - [`line`](mod@line): knows of TCP only, and so serves gRPC and the API alike: it cuts, delays, garbles, goes silent.

pub mod line;
