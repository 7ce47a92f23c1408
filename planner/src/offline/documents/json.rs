//! Reads JSON. As in Kubernetes, the last of several equal keys counts. The reader reports them.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A JSON value at the beginning of a text.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) value: Value,
    /// The length of the value in the text, in bytes.
    pub(super) bytes: usize,
    /// The keys that occur more than once in the same object.
    pub(super) duplicates: Vec<String>,
}

/// The reason why a text doesn't begin with a JSON value.
#[derive(Debug)]
pub(super) struct SyntaxError {
    /// Describes the error.
    pub(super) message: String,
    /// The line, counted from 1.
    pub(super) line: u64,
}

/// Reads the value at the beginning of a text.
///
/// # Errors
/// The text doesn't begin with a JSON value, or the value nests too deeply.
pub(super) fn read(text: &str) -> Result<Parsed, SyntaxError> {
    let duplicates = RefCell::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = AnyValue(&duplicates)
        .deserialize(&mut deserializer)
        .map_err(|error| {
            let place = format!(" at line {} column {}", error.line(), error.column());
            let text = error.to_string();
            let message = text.strip_suffix(&place).unwrap_or(&text);
            SyntaxError {
                message: message.replace("EOF while parsing", "the text ends in the middle of"),
                line: error.line() as u64,
            }
        })?;
    let rest = deserializer.into_iter::<serde::de::IgnoredAny>();
    Ok(Parsed {
        value,
        bytes: rest.byte_offset(),
        duplicates: duplicates.into_inner(),
    })
}

/// Reads any value, and records the keys that an object repeats.
#[derive(Clone, Copy)]
struct AnyValue<'d>(&'d RefCell<Vec<String>>);

impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            if map.contains_key(&key) {
                let mut duplicates = self.0.try_borrow_mut().map_err(A::Error::custom)?;
                duplicates.push(key.clone());
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
