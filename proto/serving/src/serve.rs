//! The gRPC server that both programs use: limits, TLS, authentication and shutdown, whatever the service.
//!
//! A [`Server`] puts one service, health and reflection on a port. In front of them is a gate that decides by
//! the path of a request alone:
//! - Unary calls and streams each have a limit on how many are open at the same time, and one caller may hold
//!   at most half of it. A request over the limit waits for a moment. Then the server refuses it and says
//!   when to retry.
//! - A unary call has a deadline: the server's, or the caller's if that is shorter.
//! - Messages share memory budgets, because each message is read whole before a handler sees it. A message
//!   counts with its decoded size ([`weight`](everynode_proto::weight)). What [`in_background`] reads from it counts as
//!   well, and so does the answer, from the moment it is made until the caller takes it.
//! - Connections, streams per connection and headers have limits. An idle connection gives way to a newcomer.
//! - Under TLS, a client's certificate must bear a name that is allowed to make the request. Handshakes have
//!   a short deadline.
//! - Where the service needs to know its callers, they are authenticated before they take a permit.
//! - On shutdown, streams end and unary calls are still answered.
//!
//! Health and reflection have limits of their own and accept only small messages. A probe of a busy server
//! must get its answer, and nobody may fill the memory with probes.
//!
//! A call takes its permit before its body is read and returns it when its work has really ended, even if the
//! caller has gone earlier. To ensure that, a handler passes its work and its request to [`in_background`],
//! or keeps the [`Leave`] that it finds in the request. In reading order:
//! - [`Limits`], [`Refusal`]: the limits, and how a request over a limit is refused;
//! - `gate`: the path of a request, with `methods` (which methods are streams), `room` (permits, budgets and
//!   [`Leave`]), `shares` (one caller's part of them), `deadline`, and `incoming` and `outgoing` (bodies);
//! - [`in_background`]: work that takes a while, and [`Work`], which tells the work that nobody waits for it
//!   any more;
//! - [`trace`]: W3C trace context, which connects what several programs do for one call;
//! - [`Clients`], [`Peer`], [`Authenticator`]: what callers may request, and who they are;
//! - `connections`, `secure` (TLS), [`Health`], [`Server`]: the port.

mod authenticate;
mod background;
mod connections;
mod deadline;
mod gate;
mod health;
mod incoming;
mod limits;
mod methods;
mod outgoing;
mod peer;
pub mod refusal;
mod room;
mod secure;
mod server;
mod shares;
pub mod trace;

#[cfg(test)]
mod tests;

pub use self::{
    authenticate::{Authenticated, Authenticator},
    background::{Work, in_background},
    health::Health,
    limits::{DEFAULT_CALL_DEADLINE, DEFAULT_MAX_CONCURRENT_CALLS, DEFAULT_MAX_STREAMS, Limits},
    peer::{Allowed, Clients, Identity, Peer},
    refusal::Refusal,
    room::{Kind, Leave, Observer, Unobserved},
    server::{Error, Server},
};
