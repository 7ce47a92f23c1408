//! When certificates are valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use x509_parser::{parse_x509_certificate, time::ASN1Time};

/// The time within which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// When a certificate expires, if it can be read.
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    Validity::of(certificate).map(|validity| validity.not_after)
}

impl Validity {
    /// That of an encoded certificate, if it can be read.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self {
            not_before: system_time(validity.not_before),
            not_after: system_time(validity.not_after),
        })
    }

    /// Whether the certificate is valid at this time.
    ///
    /// # Errors
    /// When it expired, or from when on it is valid.
    pub(super) fn check(self, now: SystemTime) -> Result<(), String> {
        if now > self.not_after {
            return Err(format!("expired at {}", written(self.not_after)));
        }
        if now < self.not_before {
            return Err(format!("isn't valid before {}", written(self.not_before)));
        }
        Ok(())
    }
}

/// A time before 1970 is as good as 1970: both are past.
fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp().try_into().unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn written(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "a time out of range".to_owned(), |time| time.to_string())
}
