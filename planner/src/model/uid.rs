//! A compact representation of an object's uid.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use super::Text;

/// The length of a UUID as text.
const TEXT_BYTES: usize = 36;
/// The positions of the hyphens in that text.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// A uid. API servers assign UUIDs, which take 16 bytes here instead of a shared string's 50. Any other text is kept as
/// it is. Every uid has exactly one representation, and uids sort like their texts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uid(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Uuid([u8; 16]),
    Other(Text),
}

impl Uid {
    /// Makes a uid from its text.
    pub fn new(text: &str) -> Self {
        Self(parse(text).map_or_else(|| Repr::Other(text.into()), Repr::Uuid))
    }

    /// Returns the uid's text.
    pub fn text(&self) -> Text {
        self.with_text(|text| text.into())
    }

    fn with_text<R>(&self, read: impl FnOnce(&str) -> R) -> R {
        match &self.0 {
            Repr::Other(text) => read(text),
            Repr::Uuid(bytes) => {
                let digits = bytes
                    .iter()
                    .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]);
                let mut text = [b'-'; TEXT_BYTES];
                let positions = text
                    .iter_mut()
                    .enumerate()
                    .filter(|(position, _)| !HYPHENS.contains(position));
                positions
                    .zip(digits)
                    .for_each(|((_, position), digit)| *position = digit);
                read(std::str::from_utf8(&text).unwrap_or_default())
            }
        }
    }
}

fn digit(value: u8) -> u8 {
    DIGITS.get(usize::from(value)).copied().unwrap_or_default()
}

/// The value of each lower-case hexadecimal digit, and 0xFF for every other character.
const VALUES: [u8; 256] = {
    let mut values = [0xFF; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        #[expect(clippy::cast_possible_truncation, reason = "there are sixteen")]
        {
            values[DIGITS[value] as usize] = value as u8;
        }
        value += 1;
    }
    values
};
/// The positions of the pairs of digits.
const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// Parses a UUID as API servers write it: in lower case, with hyphens. Any other text gives `None`.
fn parse(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; TEXT_BYTES] = text.as_bytes().try_into().ok()?;
    let value = |position: usize| {
        let character = text.get(position).copied().unwrap_or_default();
        VALUES.get(usize::from(character)).copied().unwrap_or(0xFF)
    };
    let mut seen = 0;
    let bytes = PAIRS.map(|position| {
        let (high, low) = (value(position), value(position + 1));
        seen |= high | low;
        high << 4 | low & 0xF
    });
    let hyphens = HYPHENS.iter().all(|position| text.get(*position) == Some(&b'-'));
    (hyphens && seen <= 0xF).then_some(bytes)
}

impl Hash for Repr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            // Hashing a number is faster than hashing a slice.
            Self::Uuid(bytes) => state.write_u128(u128::from_ne_bytes(*bytes)),
            Self::Other(text) => text.hash(state),
        }
    }
}

impl Ord for Uid {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            // Comparing bytes gives the order of the texts: both have hyphens at the same positions, and ASCII sorts
            // digits before letters.
            (Repr::Uuid(own), Repr::Uuid(others)) => own.cmp(others),
            _ => self.with_text(|own| other.with_text(|others| own.cmp(others))),
        }
    }
}

impl PartialOrd for Uid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| fmt::Debug::fmt(text, formatter))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[0-9a-fA-F]{8}-[0-9a-g]{4}-[0-9a-f]{4}-[0-9a-f-]{4}-[0-9a-f]{12}",
            "[0-9a-f]{36}",
            "\\PC{0,40}",
        ]
    }

    proptest! {
        #[test]
        fn uid_round_trips_and_sorts_like_its_text(one in any_text(), other in any_text()) {
            let (uid, another) = (Uid::new(&one), Uid::new(&other));
            prop_assert_eq!(&*uid.text(), one.as_str());
            prop_assert_eq!(uid.cmp(&another), one.cmp(&other));
            prop_assert_eq!(uid == another, one == other);
        }
    }

    #[test]
    fn uuid_is_stored_without_a_string() {
        let uid = Uid::new("0190b7c2-5f5e-4c3e-8a44-9d2f00ab12cd");
        assert!(matches!(uid.0, Repr::Uuid(_)));
        assert!(size_of::<Uid>() <= 24);
    }
}
