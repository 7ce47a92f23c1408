//! Reserves free ports on the loopback interface.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use anyhow::{Context as _, Result, bail};

/// The ports to choose from. They are below the ports that systems assign to outgoing connections. Otherwise a client
/// somewhere could be assigned the port of a server while that server restarts.
const RANGE: std::ops::Range<u64> = 20_000..32_000;

/// A port of 127.0.0.1 that is reserved for us until this value is dropped, whether something listens on it or not.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// A file lock that keeps other test processes from choosing the same port. The system releases it when this
    /// process ends.
    _lock: File,
}

impl Port {
    /// Claims a port on which nobody listens and that no other harness has claimed.
    ///
    /// # Errors
    /// When no free port was found, or the folder for the locks can't be written.
    pub fn claim() -> Result<Self> {
        let locks = std::env::temp_dir().join("everynode-ports");
        fs::create_dir_all(&locks).with_context(|| format!("creating {}", locks.display()))?;
        let random = RandomState::new().build_hasher().finish();
        for attempt in 0..1000 {
            let number = RANGE.start + random.wrapping_add(attempt) % (RANGE.end - RANGE.start);
            let number = u16::try_from(number).context("port number out of range")?;
            let path = locks.join(number.to_string());
            let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!(
            "found no free port on 127.0.0.1 between {} and {}",
            RANGE.start,
            RANGE.end
        )
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The address to listen on or connect to.
    pub fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claimed_ports_differ_and_can_be_bound() {
        let ports: Vec<Port> = (0..20).map(|_| Port::claim().unwrap()).collect();
        let listeners: Vec<TcpListener> = ports
            .iter()
            .map(|port| TcpListener::bind(port.address()).unwrap())
            .collect();
        assert_eq!(listeners.len(), 20);
    }
}
