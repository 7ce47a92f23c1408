//! A time that may be missing, in two machine words. Each pod has two of them.

use prost_types::Timestamp;

/// Value of `nanos` for a missing time. No other time has it.
const MISSING: i32 = i32::MIN;

/// A time that may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    seconds: i64,
    nanos: i32,
}

impl From<Option<Timestamp>> for Moment {
    fn from(time: Option<Timestamp>) -> Self {
        let Timestamp { seconds, nanos } = time.unwrap_or(Timestamp {
            seconds: 0,
            nanos: MISSING,
        });
        Self { seconds, nanos }
    }
}

impl From<Moment> for Option<Timestamp> {
    fn from(Moment { seconds, nanos }: Moment) -> Self {
        (nanos != MISSING).then_some(Timestamp { seconds, nanos })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_time_that_it_was_made_of() {
        for time in [
            None,
            Some(Timestamp::default()),
            Some(Timestamp {
                seconds: -1,
                nanos: 999_999_999,
            }),
        ] {
            assert_eq!(Option::<Timestamp>::from(Moment::from(time)), time);
        }
        assert_eq!(size_of::<Moment>(), 16, "there are two for each pod");
    }
}
