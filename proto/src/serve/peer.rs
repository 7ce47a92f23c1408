//! Who is at the other end of a connection, and what they may ask for.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::SystemTime,
};

use tonic::{Request, Status};

use super::{Kind, connections::Handle};

/// The name that stands for every name.
const EVERYBODY: &str = "*";

/// The other end of a connection, which every request that came by it brings along.
#[derive(Debug, Clone)]
pub struct Peer {
    pub(super) handle: Handle,
    pub(super) identity: Identity,
    pub(super) address: Option<IpAddr>,
    /// Whether it came by the port for this machine alone.
    pub(super) is_local: bool,
    pub(super) not_after: Option<SystemTime>,
}

/// As whom it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// It speaks plain text, where nobody is asked who they are.
    Unasked,
    /// It speaks TLS, and no certificate was asked for.
    Unknown,
    /// By the names in its certificate.
    Certified(Arc<[String]>),
}

impl Peer {
    /// The identity of whoever sent a request; `None` when it didn't come by a connection of a [`Server`](super::Server).
    pub fn identity<T>(request: &Request<T>) -> Option<&Identity> {
        request.extensions().get::<Self>().map(|peer| &peer.identity)
    }

    /// The other end of a connection that no [`Server`](super::Server) has accepted.
    pub fn new(identity: Identity, address: Option<IpAddr>) -> Self {
        Self {
            handle: Handle::default(),
            identity,
            address,
            is_local: false,
            not_after: None,
        }
    }

    /// The same, with a certificate that is valid until then.
    #[must_use]
    pub fn valid_until(mut self, not_after: SystemTime) -> Self {
        self.not_after = Some(not_after);
        self
    }

    /// As whom it is known.
    pub fn known_as(&self) -> &Identity {
        &self.identity
    }

    /// When its certificate expires, if it has one.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.not_after
    }

    /// Closes the connection, with everything that is on it: no single stream can be ended while its client reads nothing.
    pub fn cut(&self) {
        self.handle.cut();
    }

    /// The address that limits per address go by, if it is known. Of an IPv6 address that is the network of 64 bits,
    /// within which a host chooses its addresses freely.
    pub fn network(&self) -> Option<IpAddr> {
        self.address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        })
    }
}

/// Who may ask for what, by the names in a client's certificate. Health and reflection are for everybody who has one.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Unary calls.
    pub calls: Allowed,
    /// Streams.
    pub streams: Allowed,
}

/// Names of which a certificate has to bear one.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// The flag that sets them.
    pub flag: &'static str,
    /// The names; `*` stands for any certificate.
    pub names: Vec<String>,
}

impl Clients {
    /// Whether somebody may open streams, by the certificate that they have.
    pub(super) fn may_stream(&self, peer: &Peer) -> bool {
        matches!(peer.identity, Identity::Certified(_)) && self.check(Kind::Stream, Some(peer)).is_ok()
    }

    /// Refuses a request of somebody who may not make it.
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
