//! resourceVersions, which increase within a kind.

use std::cmp::Ordering;

/// A resourceVersion: a number of any length (mirrors `CompareResourceVersion`). Text that isn't a number counts as the
/// oldest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// A version that fits into 64 bits, as all do today.
    Short(u64),
    /// The digits of a longer version.
    Long(Box<str>),
}

impl Version {
    /// Parses a version.
    pub(crate) fn parse(text: &str) -> Self {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        if text.is_empty() || !is_number {
            return Self::default();
        }
        text.parse().map_or_else(|_| Self::Long(text.into()), Self::Short)
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::Short(0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Short(one), Self::Short(other)) => one.cmp(other),
            (Self::Short(_), Self::Long(_)) => Ordering::Less,
            (Self::Long(_), Self::Short(_)) => Ordering::Greater,
            // Of two numbers without leading zeros, the longer one is higher.
            (Self::Long(one), Self::Long(other)) => one.len().cmp(&other.len()).then_with(|| one.cmp(other)),
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_of_any_length_and_other_text_is_the_oldest() {
        let rising = [
            "1",
            "9",
            "10",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999",
            "100000000000000000000",
            "100000000000000000001",
        ];
        for pair in rising.windows(2) {
            assert!(Version::parse(pair[0]) < Version::parse(pair[1]), "{pair:?}");
        }
        for odd in ["", "0", "01", "-1", "+1", "1.5", "x", "99999999999999999999x"] {
            assert_eq!(Version::parse(odd), Version::default(), "{odd:?}");
        }
        assert_eq!(size_of::<Version>(), 16, "there is one for each pod");
    }
}
