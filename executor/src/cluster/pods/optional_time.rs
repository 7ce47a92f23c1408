//! A time that may be missing, in two machine words. Each pod has two of them.

use prost_types::Timestamp;

/// Value of `nanos` for a missing time. No other time has it.
const MISSING: i32 = i32::MIN;

/// A time that may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OptionalTime {
    seconds: i64,
    nanos: i32,
}

impl From<Option<Timestamp>> for OptionalTime {
    fn from(time: Option<Timestamp>) -> Self {
        let Timestamp { seconds, nanos } = time.unwrap_or(Timestamp {
            seconds: 0,
            nanos: MISSING,
        });
        Self { seconds, nanos }
    }
}

impl From<OptionalTime> for Option<Timestamp> {
    fn from(OptionalTime { seconds, nanos }: OptionalTime) -> Self {
        (nanos != MISSING).then_some(Timestamp { seconds, nanos })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_time_converts_back_to_its_source() {
        for time in [
            None,
            Some(Timestamp::default()),
            Some(Timestamp {
                seconds: -1,
                nanos: 999_999_999,
            }),
        ] {
            assert_eq!(Option::<Timestamp>::from(OptionalTime::from(time)), time);
        }
        assert_eq!(size_of::<OptionalTime>(), 16, "there are two for each pod");
    }
}
