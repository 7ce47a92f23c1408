//! Deserializes a `google.protobuf.Value` straight from its encoding.

mod deserializer;

use std::{fmt, slice, str};

use prost::{
    bytes::{Buf, Bytes},
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use serde::de::{self, Expected, Unexpected};

use super::meter::{Exhausted, MemoryMeter};
use crate::facts::words;

/// The limit on the nesting of values. No Kubernetes object is nested as deeply, and the stack suffices for this depth.
const MAX_DEPTH: u8 = 100;

/// The field numbers.
mod tag {
    /// `google.protobuf.Struct` and `ListValue`.
    pub(super) const ELEMENTS: u32 = 1;
    /// An entry of a map.
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    /// The kinds of a `google.protobuf.Value`. A value without a kind is null too.
    pub(super) const NULL: u32 = 1;
    pub(super) const NUMBER: u32 = 2;
    pub(super) const STRING: u32 = 3;
    pub(super) const BOOL: u32 = 4;
    pub(super) const STRUCT: u32 = 5;
    pub(super) const LIST: u32 = 6;
}

/// The reason why a value can't be read.
#[derive(Debug)]
pub(super) struct Error(String);

impl From<Exhausted> for Error {
    fn from(_: Exhausted) -> Self {
        Self("not enough memory to read the object".to_owned())
    }
}

impl Error {
    fn encoding() -> Self {
        Self("invalid encoding of a google.protobuf.Value".to_owned())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(words::mismatch(found, expected))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(words::mismatch(found, expected))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self(format!("has the field {field} twice"))
    }
}

/// The value of one field of a message, by its wire type.
enum WireValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A group, which no message here has.
    Group,
}

/// Returns the next field of a message with its number. Returns `None` at the end of the message and after an error,
/// because the start of the next field is then unknown.
#[inline]
fn next_field<'a>(encoded: &mut &'a [u8]) -> Option<Result<(u32, WireValue<'a>), Error>> {
    (!encoded.is_empty()).then(|| decode_field(encoded).inspect_err(|_| *encoded = &[]))
}

#[inline]
fn decode_field<'a>(encoded: &mut &'a [u8]) -> Result<(u32, WireValue<'a>), Error> {
    // The fast path for nearly all fields: a field number below 16, and less than 16 KiB of bytes.
    let (key, length, rest) = match *encoded {
        [key, length, rest @ ..] if *length < 0x80 => (*key, usize::from(*length), rest),
        [key, low, high, rest @ ..] if *high < 0x80 => {
            (*key, usize::from(*low & 0x7f) | usize::from(*high) << 7, rest)
        }
        _ => return decode_any_field(encoded),
    };
    if key < 0x80
        && key & 7 == 2
        && let Some((bytes, rest)) = rest.split_at_checked(length)
    {
        *encoded = rest;
        return Ok((u32::from(key >> 3), WireValue::Bytes(bytes)));
    }
    decode_any_field(encoded)
}

#[cold]
fn decode_any_field<'a>(encoded: &mut &'a [u8]) -> Result<(u32, WireValue<'a>), Error> {
    let (tag, wire_type) = decode_key(encoded).map_err(|_| Error::encoding())?;
    let value = match wire_type {
        WireType::Varint => WireValue::Number(decode_number(encoded)?),
        WireType::SixtyFourBit => WireValue::Number(encoded.try_get_u64_le().map_err(|_| Error::encoding())?),
        WireType::ThirtyTwoBit => {
            WireValue::Number(encoded.try_get_u32_le().map_err(|_| Error::encoding())?.into())
        }
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_number(encoded)?).map_err(|_| Error::encoding())?;
            let (bytes, rest) = encoded.split_at_checked(length).ok_or_else(Error::encoding)?;
            *encoded = rest;
            WireValue::Bytes(bytes)
        }
        WireType::StartGroup => {
            let skipped = skip_field(wire_type, tag, encoded, DecodeContext::default());
            skipped.map_err(|_| Error::encoding())?;
            WireValue::Group
        }
        WireType::EndGroup => return Err(Error::encoding()),
    };
    Ok((tag, value))
}

fn decode_number(encoded: &mut &[u8]) -> Result<u64, Error> {
    decode_varint(encoded).map_err(|_| Error::encoding())
}

fn decode_text(bytes: &[u8]) -> Result<&str, Error> {
    str::from_utf8(bytes).map_err(|_| Error("text isn't valid UTF-8".to_owned()))
}

/// The encoded fields of an object: in one slice, or each in a slice of its own.
#[derive(Debug, Clone)]
pub(super) enum Fields<'a> {
    Encoded(&'a [u8]),
    Separate(slice::Iter<'a, Bytes>),
}

impl<'a> Iterator for Fields<'a> {
    /// A key, not yet checked to be UTF-8, and an encoded value.
    type Item = Result<(&'a [u8], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Encoded(encoded) => next_element(encoded).map(|element| element.and_then(split_entry)),
            Self::Separate(fields) => fields.next().map(|field| split_entry(field)),
        }
    }
}

/// Returns the next element of a Struct or a `ListValue`.
fn next_element<'a>(encoded: &mut &'a [u8]) -> Option<Result<&'a [u8], Error>> {
    loop {
        return match next_field(encoded)? {
            Ok((tag::ELEMENTS, WireValue::Bytes(element))) => Some(Ok(element)),
            Ok(_) => continue,
            Err(error) => Some(Err(error)),
        };
    }
}

/// Splits an encoded field of an object into its encoded key and its encoded value.
fn split_entry(mut encoded: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (mut key, mut value) = (&[][..], &[][..]);
    while let Some(field) = next_field(&mut encoded) {
        match field? {
            (tag::KEY, WireValue::Bytes(bytes)) => key = bytes,
            (tag::VALUE, WireValue::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

/// An undecoded value.
#[derive(Debug, Clone)]
pub(super) struct RawValue<'a> {
    content: Content<'a>,
    depth: u8,
    names: FieldNames,
    meter: Option<&'a MemoryMeter<'a>>,
}

/// An encoded list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct List<'a>(&'a [u8]);

impl<'a> List<'a> {
    pub(super) fn encoded(&self) -> &'a [u8] {
        self.0
    }

    /// Returns the encoded elements that aren't null, up to the first that can't be read.
    pub(super) fn elements(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut encoded = self.0;
        let elements = std::iter::from_fn(move || next_element(&mut encoded)?.ok());
        elements.filter(|element| !RawValue::value(element).is_null())
    }
}

/// How field names are passed to a visitor that expects certain fields.
#[derive(Debug, Clone, Copy, Default)]
enum FieldNames {
    /// As bytes. The visitor only compares them with the names that it expects, so they needn't be valid UTF-8.
    #[default]
    Encoded,
    /// As text, for a visitor that keeps them.
    Text,
}

#[derive(Debug, Clone)]
enum Content<'a> {
    /// A `google.protobuf.Value`.
    Encoded(&'a [u8]),
    /// A value whose type is already decoded.
    Decoded(TypedValue<'a>),
}

/// A value by its type.
#[derive(Debug, Clone)]
enum TypedValue<'a> {
    Null,
    Number(f64),
    Text(&'a [u8]),
    Bool(bool),
    Object(Fields<'a>),
    List(&'a [u8]),
}

impl<'a> RawValue<'a> {
    /// Creates a value from its encoding.
    pub(super) fn value(encoded: &'a [u8]) -> Self {
        Self {
            content: Content::Encoded(encoded),
            depth: 0,
            names: FieldNames::default(),
            meter: None,
        }
    }

    /// Creates a value from an object's fields.
    pub(super) fn object(fields: Fields<'a>) -> Self {
        Self {
            content: Content::Decoded(TypedValue::Object(fields)),
            depth: 0,
            names: FieldNames::default(),
            meter: None,
        }
    }

    /// Passes field names as text, for a visitor that keeps them.
    pub(super) fn with_names(self) -> Self {
        Self {
            names: FieldNames::Text,
            ..self
        }
    }

    /// Charges everything that is read from the value to a meter.
    pub(super) fn with_meter<'b>(self, meter: &'b MemoryMeter<'b>) -> RawValue<'b>
    where
        'a: 'b,
    {
        RawValue {
            meter: Some(meter),
            ..self
        }
    }

    /// Charges for a part of the value if there is a meter.
    #[inline]
    fn charge(&self, charge: impl FnOnce(&MemoryMeter<'a>) -> Result<(), Exhausted>) -> Result<(), Error> {
        Ok(self.meter.map_or(Ok(()), charge)?)
    }

    fn typed(&self) -> Result<TypedValue<'a>, Error> {
        let mut encoded = match &self.content {
            Content::Encoded(encoded) => *encoded,
            Content::Decoded(value) => return Ok(value.clone()),
        };
        let mut typed = TypedValue::Null;
        // As always in protobuf, the last field wins and unknown fields are skipped.
        while let Some(field) = next_field(&mut encoded) {
            typed = match field? {
                (tag::NUMBER, WireValue::Number(bits)) => TypedValue::Number(f64::from_bits(bits)),
                (tag::STRING, WireValue::Bytes(bytes)) => TypedValue::Text(bytes),
                (tag::BOOL, WireValue::Number(value)) => TypedValue::Bool(value != 0),
                (tag::STRUCT, WireValue::Bytes(bytes)) => TypedValue::Object(Fields::Encoded(bytes)),
                (tag::LIST, WireValue::Bytes(bytes)) => TypedValue::List(bytes),
                (tag::NULL, WireValue::Number(_)) => TypedValue::Null,
                _ => continue,
            };
        }
        Ok(typed)
    }

    /// Returns a field of an object. If several have the key, the last one wins.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let Ok(TypedValue::Object(fields)) = self.typed() else {
            return None;
        };
        let found = fields
            .filter_map(Result::ok)
            .filter(|(found, _)| *found == key.as_bytes());
        found.last().map(|(_, value)| RawValue::value(value))
    }

    /// Returns the text in a field of an object.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        match self.get(key)?.typed() {
            Ok(TypedValue::Text(bytes)) => decode_text(bytes).ok(),
            Ok(_) | Err(_) => None,
        }
    }

    /// Returns the list if the value is one.
    pub(super) fn list(&self) -> Option<List<'a>> {
        match self.typed() {
            Ok(TypedValue::List(encoded)) => Some(List(encoded)),
            Ok(_) | Err(_) => None,
        }
    }

    /// Whether the value is null.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.typed(), Ok(TypedValue::Null))
    }

    fn child(&self, encoded: &'a [u8]) -> Self {
        Self {
            content: Content::Encoded(encoded),
            depth: self.depth + 1,
            names: self.names,
            meter: self.meter,
        }
    }
}
