//! An object's uid in few bytes.

use std::{cmp::Ordering, fmt};

use super::Text;

/// How long a UUID is as text.
const TEXT_BYTES: usize = 36;
/// Where the hyphens are in it.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// A uid. An API server gives UUIDs, which take 16 bytes instead of a shared string's 50; whatever else somebody calls a
/// uid is kept as it is. Every uid has one form only, and the order is that of the texts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uid(Form);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    Uuid([u8; 16]),
    Other(Text),
}

impl Uid {
    /// The uid of this text.
    pub fn new(text: &str) -> Self {
        Self(parse(text).map_or_else(|| Form::Other(text.into()), Form::Uuid))
    }

    /// The text again.
    pub fn text(&self) -> Text {
        self.with_text(|text| text.into())
    }

    fn with_text<R>(&self, look: impl FnOnce(&str) -> R) -> R {
        match &self.0 {
            Form::Other(text) => look(text),
            Form::Uuid(bytes) => {
                let digits = bytes
                    .iter()
                    .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]);
                let mut text = [b'-'; TEXT_BYTES];
                let places = text
                    .iter_mut()
                    .enumerate()
                    .filter(|(place, _)| !HYPHENS.contains(place));
                places.zip(digits).for_each(|((_, place), digit)| *place = digit);
                look(std::str::from_utf8(&text).unwrap_or_default())
            }
        }
    }
}

fn digit(value: u8) -> u8 {
    DIGITS.get(usize::from(value)).copied().unwrap_or_default()
}

/// The UUID that a text is, if it is one as API servers write them: lower case, with hyphens.
fn parse(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; TEXT_BYTES] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    let mut half = 0;
    for (place, character) in text.iter().enumerate() {
        if HYPHENS.contains(&place) {
            if *character != b'-' {
                return None;
            }
            continue;
        }
        let value = match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            _ => return None,
        };
        let byte: &mut u8 = bytes.get_mut(half / 2)?;
        *byte = *byte << 4 | value;
        half += 1;
    }
    Some(bytes)
}

impl Ord for Uid {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            // The hyphens are at the same places, and digits come before letters in ASCII too.
            (Form::Uuid(own), Form::Uuid(others)) => own.cmp(others),
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
        fn a_uid_is_its_text(one in any_text(), other in any_text()) {
            let (uid, another) = (Uid::new(&one), Uid::new(&other));
            prop_assert_eq!(&*uid.text(), one.as_str());
            prop_assert_eq!(uid.cmp(&another), one.cmp(&other));
            prop_assert_eq!(uid == another, one == other);
        }
    }

    #[test]
    fn a_uuid_is_kept_without_a_string() {
        let uid = Uid::new("0190b7c2-5f5e-4c3e-8a44-9d2f00ab12cd");
        assert!(matches!(uid.0, Form::Uuid(_)));
        assert!(size_of::<Uid>() <= 24);
    }
}
