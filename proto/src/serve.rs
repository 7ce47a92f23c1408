//! How both programs serve their services: what is the same whatever is asked.
//!
//! A [`Server`] puts one service, health and reflection on a port, and stands in front of them as a gate that goes by
//! the path of a request alone:
//! - at most so many unary calls are worked on and so many streams are open at the same time, and at most half of them for one
//!   caller; one more waits for a moment, and is then refused with the time after which to try again;
//! - a unary call has a deadline, the server's or the caller's if that is shorter;
//! - messages share budgets of memory, since each is read as a whole before anybody sees it. A message counts by what it takes
//!   once it is decoded ([`weight`](crate::weight)); what [`in_background`] reads of it, and the answer that it makes and that
//!   waits for its caller to take it, count as well;
//! - connections, streams on each of them and headers are bounded; a connection that does nothing gives way to a newcomer;
//! - under TLS a client's certificate has to bear a name that may ask for it, and handshakes have a short deadline;
//! - callers are authenticated before they take a place, where somebody has to know who they are;
//! - on shutdown streams end, unary calls are still answered.
//!
//! Health and reflection have places of their own and small messages: what asks whether a busy server lives must hear that it
//! does, and nobody must fill the memory by asking.
//!
//! A call's place is taken before its body is read, and is given back when its work has really ended, even if the caller
//! has gone before: a handler hands its work and its request to [`in_background`], or keeps the [`Leave`] that it finds
//! in the request. In reading order:
//! - [`Limits`], [`Refusal`]: how much, and what is said of more;
//! - `gate`: the way of a request, with `methods` (what is a stream), `room` (places, budgets and [`Leave`]), `shares` (what one
//!   caller may have of them), `deadline`, and `incoming` and `outgoing` (bodies);
//! - [`in_background`]: work that takes a while, and [`Work`], by which it learns that nobody waits for it any more;
//! - [`trace`]: whose call is made for whom;
//! - [`Clients`], [`Peer`], [`Authenticator`]: who may ask for what, and who does;
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
    limits::{
        DEFAULT_CALL_DEADLINE, DEFAULT_MAX_CONCURRENT_CALLS, DEFAULT_MAX_STREAMS, Limits, call_deadline,
    },
    peer::{Allowed, Clients, Identity, Peer},
    refusal::Refusal,
    room::{Kind, Leave, Observer, Unobserved},
    server::{Error, Server},
};
