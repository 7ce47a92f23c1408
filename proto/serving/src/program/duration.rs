//! Durations on the command line.

use std::time::Duration;

/// Longest accepted duration: one day. A longer one is most likely a typo.
const MAX_DURATION: Duration = Duration::from_hours(24);

/// Parses a duration from the command line: `30s`, `1m 30s`, or a number of seconds.
///
/// # Errors
/// A message for the user if the text isn't a duration, or if the duration isn't positive and at most a day.
pub fn parse(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<f64>()
        .ok()
        .map(jiff::SignedDuration::try_from_secs_f64);
    let time = match seconds {
        Some(Ok(seconds)) => seconds,
        Some(Err(_)) => jiff::SignedDuration::MAX,
        None => text
            .parse()
            .map_err(|_| "must be a duration, such as 30s or 1m 30s, or a number of seconds".to_owned())?,
    };
    Duration::try_from(time)
        .ok()
        .filter(|time| !time.is_zero() && *time <= MAX_DURATION)
        .ok_or_else(|| "must be more than 0 s and at most 24 h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::DEFAULT_CALL_DEADLINE;

    #[test]
    fn duration_is_parsed_with_or_without_units() {
        for (text, millis) in [
            ("30", 30_000),
            ("0.5", 500),
            ("30s", 30_000),
            ("250ms", 250),
            ("1m 30s", 90_000),
            ("1m30s", 90_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert!(parse(DEFAULT_CALL_DEADLINE).is_ok());
    }

    #[test]
    fn invalid_duration_is_refused() {
        for text in ["0", "0s", "-1", "-5s", "25h", "1e300", "inf", "NaN", "1e-12"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("at most 24 h"), "{text}: {error}");
        }
        for text in ["", "soon", "30x", "s"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("such as 30s"), "{text}: {error}");
        }
    }
}
