//! When a certificate is valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::{parse_x509_certificate, time::ASN1Time};

/// When a certificate expires, if it can be read.
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    Some(time(certificate.validity().not_after))
}

/// A time before 1970 is no better than 1970: the certificate is as expired.
fn time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp().try_into().unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(seconds)
}
