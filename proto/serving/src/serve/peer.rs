//! The peer of a connection, and which calls its certificate allows.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::SystemTime,
};

use tonic::Status;

use super::{CallKind, connections};

/// The entry that allows every certificate.
const ANY_CERTIFICATE: &str = "*";

/// The peer of a connection. Every request on the connection carries it in its extensions.
#[derive(Debug, Clone)]
pub struct Peer {
    pub(super) handle: connections::Handle,
    pub(super) identity: Identity,
    pub(super) address: Option<IpAddr>,
    /// Whether the peer is connected to the local port.
    pub(super) is_local: bool,
    pub(super) not_after: Option<SystemTime>,
}

/// How a peer is identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The connection is in plain text, so the server asks for no identity.
    Plaintext,
    /// The connection uses TLS without a client certificate.
    Anonymous,
    /// The peer has a client certificate with these names.
    Certificate(Arc<[String]>),
}

impl Peer {
    /// A peer of a connection that no [`Server`](super::Server) has accepted.
    pub fn new(identity: Identity, address: Option<IpAddr>) -> Self {
        Self {
            handle: connections::Handle::default(),
            identity,
            address,
            is_local: false,
            not_after: None,
        }
    }

    /// Sets the time when the peer's certificate expires.
    #[must_use]
    pub fn with_not_after(mut self, not_after: SystemTime) -> Self {
        self.not_after = Some(not_after);
        self
    }

    /// How the peer is identified.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// When the peer's certificate expires, if it has one.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.not_after
    }

    /// Closes the connection with all its calls. A single stream can't be ended while its client reads nothing.
    pub fn close_connection(&self) {
        self.handle.close();
    }

    /// The address that per-address limits apply to, if it is known. For IPv6 it is the /64 network, because a
    /// host can use all addresses of that network.
    pub fn network(&self) -> Option<IpAddr> {
        self.address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        })
    }
}

/// The client certificates that are allowed to make calls and to open streams. Any valid certificate may use
/// health and reflection.
#[derive(Debug, Clone)]
pub struct AllowedClients {
    /// Names that may make unary calls.
    pub calls: AllowedNames,
    /// Names that may open streams.
    pub streams: AllowedNames,
}

/// Accepted certificate names. A certificate must have at least one of them.
#[derive(Debug, Clone)]
pub struct AllowedNames {
    /// The flag that sets them.
    pub flag: &'static str,
    /// The names; `*` accepts any certificate.
    pub names: Vec<String>,
}

impl AllowedClients {
    /// Whether the peer's certificate allows it to open streams.
    pub(super) fn may_stream(&self, peer: &Peer) -> bool {
        matches!(peer.identity, Identity::Certificate(_)) && self.check(CallKind::Stream, Some(peer)).is_ok()
    }

    /// Refuses a request that the peer may not make.
    pub(super) fn check(&self, kind: CallKind, peer: Option<&Peer>) -> Result<(), Status> {
        let (allowed, action) = match kind {
            CallKind::Unary => (&self.calls, "make calls"),
            CallKind::Stream => (&self.streams, "open streams"),
        };
        let names = match peer.map(|peer| &peer.identity) {
            Some(Identity::Plaintext) => return Ok(()),
            Some(Identity::Certificate(names)) => names.as_ref(),
            Some(Identity::Anonymous) | None => {
                return Err(Status::unauthenticated("a client certificate is required"));
            }
        };
        if allowed
            .names
            .iter()
            .any(|name| name == ANY_CERTIFICATE || names.contains(name))
        {
            return Ok(());
        }
        Err(Status::permission_denied(format!(
            "the client certificate with {} is not allowed to {action}; {} allows {}",
            described(names),
            allowed.flag,
            allowed.names.join(",")
        )))
    }
}

fn described(names: &[String]) -> String {
    if names.is_empty() {
        return "no names".to_owned();
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("the names {}", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(flag: &'static str, names: &[&str]) -> AllowedNames {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        AllowedNames { flag, names }
    }

    fn peer(identity: Identity) -> Peer {
        Peer::new(identity, None)
    }

    fn named(names: &[&str]) -> Peer {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        peer(Identity::Certificate(names))
    }

    fn clients() -> AllowedClients {
        AllowedClients {
            calls: allowed("--call-clients", &["*"]),
            streams: allowed("--session-clients", &["executor", "spiffe://a/executor"]),
        }
    }

    #[test]
    fn certificate_needs_one_allowed_name() {
        for (names, may_stream) in [
            (&["executor"][..], true),
            (&["other", "spiffe://a/executor"], true),
            (&["Executor", "executor.other", "*"], false),
            (&[], false),
        ] {
            let peer = named(names);
            assert!(clients().check(CallKind::Unary, Some(&peer)).is_ok(), "{names:?}");
            let streams = clients().check(CallKind::Stream, Some(&peer));
            assert_eq!(streams.is_ok(), may_stream, "{names:?}");
        }
    }

    #[test]
    fn refusal_lists_the_names_of_the_certificate_and_the_flag() {
        let refused = clients()
            .check(CallKind::Stream, Some(&named(&["a", "b"])))
            .unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        let message = "the client certificate with the names \"a\", \"b\" is not allowed to open streams; \
                     --session-clients allows executor,spiffe://a/executor";
        assert_eq!(refused.message(), message);
    }

    #[test]
    fn client_without_certificate_is_accepted_only_in_plain_text() {
        assert!(
            clients()
                .check(CallKind::Stream, Some(&peer(Identity::Plaintext)))
                .is_ok()
        );
        for peer in [None, Some(&peer(Identity::Anonymous))] {
            let refused = clients().check(CallKind::Unary, peer).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        }
    }
}
