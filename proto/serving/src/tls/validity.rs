//! Validity periods of certificates.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use x509_parser::{parse_x509_certificate, time::ASN1Time};

/// A certificate's validity period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// When a certificate expires; `None` if the certificate can't be read.
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    Validity::of(certificate).map(|validity| validity.not_after)
}

impl Validity {
    /// The validity period of an encoded certificate; `None` if the certificate can't be read.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self {
            not_before: system_time(validity.not_before),
            not_after: system_time(validity.not_after),
        })
    }

    /// Checks that the certificate is valid at this time.
    ///
    /// # Errors
    /// The time when it expired, or when it becomes valid.
    pub(super) fn check(self, now: SystemTime) -> Result<(), String> {
        if now > self.not_after {
            return Err(format!("expired at {}", format_time(self.not_after)));
        }
        if now < self.not_before {
            return Err(format!("isn't valid before {}", format_time(self.not_before)));
        }
        Ok(())
    }
}

/// Converts a time. Times before 1970 become 1970, since both are in the past.
fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp().try_into().unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn format_time(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "a time out of range".to_owned(), |time| time.to_string())
}
