//! The peer of a connection, and what it may request.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::SystemTime,
};

use tonic::{Request, Status};

use super::{Kind, connections::Handle};

/// The entry that allows every name.
const EVERYBODY: &str = "*";

/// The peer of a connection. Every request on the connection carries it in its extensions.
#[derive(Debug, Clone)]
pub struct Peer {
    pub(super) handle: Handle,
    pub(super) identity: Identity,
    pub(super) address: Option<IpAddr>,
    /// Whether the connection came in on the local port.
    pub(super) is_local: bool,
    pub(super) not_after: Option<SystemTime>,
}

/// How a peer is identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The peer speaks plain text, where the server doesn't ask for an identity.
    Unasked,
    /// The peer speaks TLS, and the server didn't ask for a certificate.
    Unknown,
    /// The peer has shown a certificate with these names.
    Certified(Arc<[String]>),
}

impl Peer {
    /// The identity of the peer that sent a request. `None` if the request didn't arrive on a connection of a
    /// [`Server`](super::Server).
    pub fn identity<T>(request: &Request<T>) -> Option<&Identity> {
        request.extensions().get::<Self>().map(|peer| &peer.identity)
    }

    /// A peer of a connection that no [`Server`](super::Server) has accepted.
    pub fn new(identity: Identity, address: Option<IpAddr>) -> Self {
        Self {
            handle: Handle::default(),
            identity,
            address,
            is_local: false,
            not_after: None,
        }
    }

    /// Sets the time when the peer's certificate expires.
    #[must_use]
    pub fn valid_until(mut self, not_after: SystemTime) -> Self {
        self.not_after = Some(not_after);
        self
    }

    /// How the peer is identified.
    pub fn known_as(&self) -> &Identity {
        &self.identity
    }

    /// When the peer's certificate expires, if it has one.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.not_after
    }

    /// Closes the connection and everything on it, because a single stream can't be ended while its client
    /// reads nothing.
    pub fn cut(&self) {
        self.handle.cut();
    }

    /// The address that per-address limits apply to, if it is known. For an IPv6 address it is the network of
    /// 64 bits, within which a host chooses its addresses freely.
    pub fn network(&self) -> Option<IpAddr> {
        self.address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        })
    }
}

/// The certificate names that may make calls and open streams. Any valid certificate may use health and
/// reflection.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Names that may make unary calls.
    pub calls: Allowed,
    /// Names that may open streams.
    pub streams: Allowed,
}

/// Accepted certificate names. A certificate must bear any one of them.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// The flag that sets them.
    pub flag: &'static str,
    /// The names; `*` accepts any certificate.
    pub names: Vec<String>,
}

impl Clients {
    /// Whether a peer may open streams, according to its certificate.
    pub(super) fn may_stream(&self, peer: &Peer) -> bool {
        matches!(peer.identity, Identity::Certified(_)) && self.check(Kind::Stream, Some(peer)).is_ok()
    }

    /// Refuses a request that the peer may not make.
    pub(super) fn check(&self, kind: Kind, peer: Option<&Peer>) -> Result<(), Status> {
        let (allowed, what) = match kind {
            Kind::Call => (&self.calls, "may call"),
            Kind::Stream => (&self.streams, "may open streams"),
        };
        let names = match peer.map(|peer| &peer.identity) {
            Some(Identity::Unasked) => return Ok(()),
            Some(Identity::Certified(names)) => names.as_ref(),
            Some(Identity::Unknown) | None => {
                return Err(Status::unauthenticated("a client certificate is needed"));
            }
        };
        if allowed
            .names
            .iter()
            .any(|name| name == EVERYBODY || names.contains(name))
        {
            return Ok(());
        }
        Err(Status::permission_denied(format!(
            "a certificate for {} isn't among those that {what} here: {} {}",
            listed(names),
            allowed.flag,
            allowed.names.join(",")
        )))
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "no name at all".to_owned();
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(flag: &'static str, names: &[&str]) -> Allowed {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Allowed { flag, names }
    }

    fn peer(identity: Identity) -> Peer {
        Peer::new(identity, None)
    }

    fn named(names: &[&str]) -> Peer {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        peer(Identity::Certified(names))
    }

    fn clients() -> Clients {
        Clients {
            calls: allowed("--call-clients", &["*"]),
            streams: allowed("--session-clients", &["executor", "spiffe://a/executor"]),
        }
    }

    #[test]
    fn one_of_the_certificates_names_has_to_be_among_those_that_are_allowed() {
        for (names, may_stream) in [
            (&["executor"][..], true),
            (&["other", "spiffe://a/executor"], true),
            (&["Executor", "executor.other", "*"], false),
            (&[], false),
        ] {
            let peer = named(names);
            assert!(clients().check(Kind::Call, Some(&peer)).is_ok(), "{names:?}");
            let streams = clients().check(Kind::Stream, Some(&peer));
            assert_eq!(streams.is_ok(), may_stream, "{names:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_clients_names_and_the_flag() {
        let refused = clients()
            .check(Kind::Stream, Some(&named(&["a", "b"])))
            .unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        let words = "a certificate for \"a\", \"b\" isn't among those that may open streams here: \
                     --session-clients executor,spiffe://a/executor";
        assert_eq!(refused.message(), words);
    }

    #[test]
    fn who_has_no_certificate_may_only_ask_where_none_is_asked_for() {
        assert!(
            clients()
                .check(Kind::Stream, Some(&peer(Identity::Unasked)))
                .is_ok()
        );
        for peer in [None, Some(&peer(Identity::Unknown))] {
            let refused = clients().check(Kind::Call, peer).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        }
    }
}
