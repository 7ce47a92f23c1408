//! Reads the fields of objects as Kubernetes' own decoder does.
//!
//! A null never makes an object unreadable. It means the empty value of the field's type: an empty string, 0, false, an
//! empty list or an object without fields. This also applies to the elements of a list and to the values of labels.

use std::{borrow::Cow, fmt, marker::PhantomData};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};

use super::StringMap;

/// Reads a null as the default.
///
/// # Errors
/// The value isn't null and isn't a `T`.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A value that is the default if it is null. It takes as much memory as the value alone, so the memory of a list or a
/// map of such values is measured correctly.
struct Nullable<T>(T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Nullable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        null_as_default(deserializer).map(Self)
    }
}

/// Reads a list. Elements that are null are the default.
///
/// # Errors
/// The value is neither null nor a list, or an element is neither null nor a `T`.
pub fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    struct ListVisitor<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ListVisitor<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(Nullable(element)) = elements.next_element()? {
                list.push(element);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_any(ListVisitor(PhantomData))
}

/// Reads a map of strings. Values that are null are empty.
///
/// # Errors
/// The value is neither null nor an object, or one of its values is neither null nor a string.
pub fn string_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StringMap, D::Error> {
    struct StringMapVisitor;

    impl<'de> Visitor<'de> for StringMapVisitor {
        type Value = StringMap;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_unit<E: de::Error>(self) -> Result<StringMap, E> {
            Ok(StringMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<StringMap, A::Error> {
            let mut map = StringMap::new();
            while let Some((key, Nullable(value))) = entries.next_entry()? {
                map.insert(key, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_any(StringMapVisitor)
}

/// What is kept of an object's annotations: all of them, or nothing.
pub trait Annotations: Default {
    /// Reads the annotations.
    ///
    /// # Errors
    /// They are kept, and they aren't a map of strings.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl Annotations for StringMap {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        string_map(deserializer)
    }
}

impl Annotations for IgnoredAny {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

/// Reads a string, without copying it if possible. Returns `None` for null.
pub(super) fn borrowed_string<'de, D>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    struct StringVisitor;

    impl<'de> Visitor<'de> for StringVisitor {
        type Value = Option<Cow<'de, str>>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string")
        }

        fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Borrowed(text)))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(text.to_owned())))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(StringVisitor)
}

/// The description of a valid time, for error messages.
pub(super) const TIME: &str = "a time such as 2026-01-31T12:00:00Z";

/// Reads a time. Returns `None` for null. As in Kubernetes, an empty string is an error.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    struct TimeVisitor;

    impl Visitor<'_> for TimeVisitor {
        type Value = Option<Timestamp>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(TIME)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Timestamp>, E> {
            let time = text.parse().map(Some);
            time.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<Timestamp>, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(TimeVisitor)
}

/// Reads the number of a port. Null and 0 mean that the port isn't set.
pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    struct PortVisitor;

    impl Visitor<'_> for PortVisitor {
        type Value = u16;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a whole number from 1 to 65535")
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<u16, E> {
            number
                .try_into()
                .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u16, E> {
            number
                .try_into()
                .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
        }

        fn visit_unit<E: de::Error>(self) -> Result<u16, E> {
            Ok(0)
        }
    }

    deserializer.deserialize_any(PortVisitor)
}

#[cfg(test)]
mod tests;
