//! The serde deserializer of values.

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{Error, Fields, Inner, Kind, MAX_DEPTH, Names, Raw, next_element, text};

impl<'de> Deserializer<'de> for Raw<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::custom(format!("it lies deeper than {MAX_DEPTH} levels")));
        }
        match self.kind()? {
            Kind::Null => visitor.visit_unit(),
            Kind::Number(number) => visit_number(number, visitor),
            Kind::Text(bytes) => {
                self.charge(|account| account.text(bytes.len()))?;
                visitor.visit_borrowed_str(text(bytes)?)
            }
            Kind::Bool(value) => visitor.visit_bool(value),
            Kind::Object(fields) => visitor.visit_map(Entries {
                fields,
                value: None,
                map: Map::None,
                parent: self,
            }),
            Kind::List(encoded) => visitor.visit_seq(Elements {
                encoded,
                parent: self,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Null => visitor.visit_none(),
            kind => visitor.visit_some(Self {
                inner: Inner::Known(kind),
                ..self
            }),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// Turns whole numbers back into integers, which a Struct can't hold.
fn visit_number<'de, V: Visitor<'de>>(number: f64, visitor: V) -> Result<V::Value, Error> {
    // Beyond 2^53, floats don't distinguish neighbouring integers, so larger numbers stay floats.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the number is whole and within the exact range"
        )]
        return visitor.visit_i64(number as i64);
    }
    visitor.visit_f64(number)
}

struct Entries<'de> {
    fields: Fields<'de>,
    value: Option<&'de [u8]>,
    map: Map,
    parent: Raw<'de>,
}

/// Whether an object is read into a map, whose keys are kept, or into a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Map {
    /// It is a struct, or no key has been read yet.
    None,
    /// The first key of a map has been read. A key takes this many bytes in memory.
    Begun(usize),
    /// A later key has been read. A key takes this many bytes in memory.
    GoesOn(usize),
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.fields.next() else {
            return Ok(None);
        };
        let (key, value) = field?;
        self.value = Some(value);
        let names = self.parent.names;
        // The names of a struct's fields are read into a small type that isn't kept.
        let size = size_of::<K::Value>();
        if size >= size_of::<String>() {
            self.parent.charge(|account| account.text(key.len()))?;
            self.map = match self.map {
                Map::None => Map::Begun(size),
                Map::Begun(_) | Map::GoesOn(_) => Map::GoesOn(size),
            };
        }
        seed.deserialize(Key { key, names }).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = self.value.take().unwrap_or_default();
        if let Map::Begun(key) | Map::GoesOn(key) = self.map {
            let size = key + size_of::<S::Value>();
            let is_first = matches!(self.map, Map::Begun(_));
            self.parent.charge(|account| account.entry(size, is_first))?;
        }
        seed.deserialize(self.parent.within(value))
    }
}

/// The key of an object's field.
struct Key<'de> {
    key: &'de [u8],
    names: Names,
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(text(self.key)?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.names {
            Names::AsEncoded => visitor.visit_borrowed_bytes(self.key),
            Names::AsText => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum ignored_any
    }
}

struct Elements<'de> {
    encoded: &'de [u8],
    parent: Raw<'de>,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        match next_element(&mut self.encoded) {
            Some(element) => {
                self.parent
                    .charge(|account| account.element(size_of::<S::Value>()))?;
                seed.deserialize(self.parent.within(element?)).map(Some)
            }
            None => Ok(None),
        }
    }
}
