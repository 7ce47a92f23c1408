//! The serde deserializer of values.

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};

use super::{Content, Error, FieldNames, Fields, MAX_DEPTH, RawValue, TypedValue, decode_text, next_element};

impl<'de> Deserializer<'de> for RawValue<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.typed()?;
        self.visit(value, visitor)
    }

    /// Refuses a list: serde would read its elements as the values of the struct's fields, in their order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.typed()? {
            TypedValue::List(_) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            value => self.visit(value, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.typed()? {
            TypedValue::Null => visitor.visit_none(),
            value => visitor.visit_some(Self {
                content: Content::Decoded(value),
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
        tuple_struct map enum identifier
    }
}

impl<'de> RawValue<'de> {
    /// Passes the value, whose type is already decoded, to a visitor.
    fn visit<V: Visitor<'de>>(self, value: TypedValue<'de>, visitor: V) -> Result<V::Value, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::custom(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        match value {
            TypedValue::Null => visitor.visit_unit(),
            TypedValue::Number(number) => visit_number(number, visitor),
            TypedValue::Text(bytes) => {
                self.charge(|meter| meter.charge_text(bytes.len()))?;
                visitor.visit_borrowed_str(decode_text(bytes)?)
            }
            TypedValue::Bool(value) => visitor.visit_bool(value),
            TypedValue::Object(fields) => visitor.visit_map(Entries {
                fields,
                value: None,
                map: MapState::NoKey,
                parent: self,
            }),
            TypedValue::List(encoded) => visitor.visit_seq(Elements {
                encoded,
                parent: self,
            }),
        }
    }
}

/// Passes whole numbers as integers, because a Struct holds all numbers as floats. Those that don't fit into 64 bits
/// stay floats.
fn visit_number<'de, V: Visitor<'de>>(number: f64, visitor: V) -> Result<V::Value, Error> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&number) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the number is whole and within the range of the type"
        )]
        return visitor.visit_i64(number as i64);
    }
    visitor.visit_f64(number)
}

struct Entries<'de> {
    fields: Fields<'de>,
    value: Option<&'de [u8]>,
    map: MapState,
    parent: RawValue<'de>,
}

/// Whether an object is read into a map, which keeps its keys, or into a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MapState {
    /// The object is read into a struct, or no key has been read yet.
    NoKey,
    /// The first key of a map has been read. A key takes this many bytes in memory.
    FirstEntry(usize),
    /// A later key has been read. A key takes this many bytes in memory.
    LaterEntry(usize),
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
        // The field names of a struct are read into a small type that isn't kept.
        let size = size_of::<K::Value>();
        if size >= size_of::<String>() {
            self.parent.charge(|meter| meter.charge_text(key.len()))?;
            self.map = match self.map {
                MapState::NoKey => MapState::FirstEntry(size),
                MapState::FirstEntry(_) | MapState::LaterEntry(_) => MapState::LaterEntry(size),
            };
        }
        seed.deserialize(Key { key, names }).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = self.value.take().unwrap_or_default();
        if let MapState::FirstEntry(key) | MapState::LaterEntry(key) = self.map {
            let size = key + size_of::<S::Value>();
            let is_first = matches!(self.map, MapState::FirstEntry(_));
            self.parent.charge(|meter| meter.charge_entry(size, is_first))?;
        }
        seed.deserialize(self.parent.child(value))
    }
}

/// The key of an object's field.
struct Key<'de> {
    key: &'de [u8],
    names: FieldNames,
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(decode_text(self.key)?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.names {
            FieldNames::Encoded => visitor.visit_borrowed_bytes(self.key),
            FieldNames::Text => self.deserialize_any(visitor),
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
    parent: RawValue<'de>,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        match next_element(&mut self.encoded) {
            Some(element) => {
                self.parent
                    .charge(|meter| meter.charge_element(size_of::<S::Value>()))?;
                seed.deserialize(self.parent.child(element?)).map(Some)
            }
            None => Ok(None),
        }
    }
}
