//! The gRPC server of both programs: limits, TLS, authentication and shutdown, for any service.
//!
//! A [`Server`] serves one service, health and reflection on a port. The path of a request decides which limits
//! apply:
//! - Unary calls and streams each have a limit of open calls. One caller may hold at most half of it. A call
//!   over the limit waits for a moment. Then the server refuses the call and says when to retry.
//! - A unary call has a deadline: the server's, or the caller's if that is shorter.
//! - Messages share memory budgets, because tonic collects each message completely before a handler sees it. A
//!   message counts with its decoded size ([`weight`](everynode_proto::weight)). The objects that
//!   [`run_in_background`] reads from it count too, and so does the answer until the caller has received it.
//! - Connections, calls per connection and headers have limits. A new connection may evict an idle one.
//! - With mutual TLS, a call needs a client certificate with an allowed name. Handshakes have a short timeout.
//! - Callers are authenticated before they get a permit, if the service requires authentication.
//! - On shutdown, streams end, and unary calls are still answered.
//! - Health, reflection and unknown methods are *auxiliary* calls. They have a limit of their own and accept
//!   only small messages. So probes of a busy server get an answer, and nobody can fill the memory with them.
//!
//! A call gets its permit before its body is read. It holds the permit until its work has really ended, even if
//! the caller has disconnected earlier. To ensure that, a handler passes its work and its request to
//! [`run_in_background`], or keeps the [`Permit`] of the request.
//!
//! The modules, in the order in which a connection and its calls pass through them:
//!
//! | module | what |
//! |---|---|
//! | `server` | [`Server`]: configures and runs everything below. |
//! | `acceptor` | Accepts connections: TLS handshake, slot, [`Peer`]. |
//! | `connections` | Connection slots, eviction and idle timeouts. |
//! | `admission` | The tower layer in front of the services. It applies all the modules below to each call. |
//! | `methods` | Which methods exist and which are streams, from the .proto descriptors. |
//! | `peer` | [`Peer`], [`Identity`], and [`AllowedClients`]: which certificates may make which calls. |
//! | `trace` | W3C trace context. It links what several programs do for one call. |
//! | `deadline` | Deadlines of calls. |
//! | `authenticate` | [`Authenticator`], with a limit of concurrent authentications. |
//! | `limiter` | Permits ([`Permit`]), slots and memory budgets of calls. |
//! | `fair_semaphore` | The semaphore behind all limits. One caller can hold only a part of its permits. |
//! | `request_body` | Request bodies, which wait for memory. |
//! | `background` | [`run_in_background`] and [`Work`]: work that takes a while. |
//! | `response_body` | Response bodies, which hold the permit until they have been sent. |
//! | `limits` | [`Limits`]: the configurable and the fixed limits. |
//! | `refusal` | [`Refusal`], and the statuses of refused calls. |
//! | `observer` | [`Observer`]: reports calls and refusals to the program's metrics. |
//! | `health` | [`Health`]: the `grpc.health.v1` status. |

mod acceptor;
mod admission;
mod authenticate;
mod background;
mod connections;
mod deadline;
mod fair_semaphore;
mod health;
mod limiter;
mod limits;
mod methods;
mod observer;
mod peer;
pub mod refusal;
mod request_body;
mod response_body;
mod server;
pub mod trace;

#[cfg(test)]
mod tests;

pub use self::{
    authenticate::{Authenticated, Authenticator},
    background::{Work, run_in_background},
    health::Health,
    limiter::Permit,
    limits::{DEFAULT_CALL_DEADLINE, DEFAULT_MAX_CONCURRENT_CALLS, DEFAULT_MAX_STREAMS, Limits},
    observer::{CallKind, Observer},
    peer::{AllowedClients, AllowedNames, Identity, Peer},
    refusal::Refusal,
    server::{Error, Server},
};
