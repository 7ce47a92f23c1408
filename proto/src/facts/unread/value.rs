//! Lets serde read a `google.protobuf.Value` straight from its encoding.

mod read;

use std::{fmt, slice, str};

use prost::{
    bytes::{Buf, Bytes},
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use serde::de;

use super::account::{Account, Exhausted};

/// The limit on the nesting of values. It is deeper than any object of Kubernetes, and no strain on the stack.
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

/// Why a value can't be read.
#[derive(Debug)]
pub(super) struct Error(String);

impl From<Exhausted> for Error {
    fn from(_: Exhausted) -> Self {
        Self("there is no memory to read it".to_owned())
    }
}

impl Error {
    fn encoding() -> Self {
        Self("it is not encoded as a google.protobuf.Value is".to_owned())
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
}

/// One field of a message, as encoded.
enum Part<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A group. No message here has one.
    Group,
}

/// Returns the next field of a message with its number. Returns `None` at the end of the message and after an error:
/// the start of the next field is then unknown, and the bytes that can't be read may not have been consumed.
#[inline]
fn next_part<'a>(encoded: &mut &'a [u8]) -> Option<Result<(u32, Part<'a>), Error>> {
    (!encoded.is_empty()).then(|| part(encoded).inspect_err(|_| *encoded = &[]))
}

#[inline]
fn part<'a>(encoded: &mut &'a [u8]) -> Result<(u32, Part<'a>), Error> {
    // The fast path, for nearly all fields: a number below 16, and less than 16 KiB of bytes.
    let (key, length, rest) = match *encoded {
        [key, length, rest @ ..] if *length < 0x80 => (*key, usize::from(*length), rest),
        [key, low, high, rest @ ..] if *high < 0x80 => {
            (*key, usize::from(*low & 0x7f) | usize::from(*high) << 7, rest)
        }
        _ => return any_part(encoded),
    };
    if key < 0x80
        && key & 7 == 2
        && let Some((bytes, rest)) = rest.split_at_checked(length)
    {
        *encoded = rest;
        return Ok((u32::from(key >> 3), Part::Bytes(bytes)));
    }
    any_part(encoded)
}

#[cold]
fn any_part<'a>(encoded: &mut &'a [u8]) -> Result<(u32, Part<'a>), Error> {
    let (tag, wire_type) = decode_key(encoded).map_err(|_| Error::encoding())?;
    let part = match wire_type {
        WireType::Varint => Part::Number(number(encoded)?),
        WireType::SixtyFourBit => Part::Number(encoded.try_get_u64_le().map_err(|_| Error::encoding())?),
        WireType::ThirtyTwoBit => {
            Part::Number(encoded.try_get_u32_le().map_err(|_| Error::encoding())?.into())
        }
        WireType::LengthDelimited => {
            let length = usize::try_from(number(encoded)?).map_err(|_| Error::encoding())?;
            let (bytes, rest) = encoded.split_at_checked(length).ok_or_else(Error::encoding)?;
            *encoded = rest;
            Part::Bytes(bytes)
        }
        WireType::StartGroup => {
            let skipped = skip_field(wire_type, tag, encoded, DecodeContext::default());
            skipped.map_err(|_| Error::encoding())?;
            Part::Group
        }
        WireType::EndGroup => return Err(Error::encoding()),
    };
    Ok((tag, part))
}

fn number(encoded: &mut &[u8]) -> Result<u64, Error> {
    decode_varint(encoded).map_err(|_| Error::encoding())
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    str::from_utf8(bytes).map_err(|_| Error("it is not text in UTF-8".to_owned()))
}

/// The fields of an object: encoded one after the other, or each in a slice of its own.
#[derive(Debug, Clone)]
pub(super) enum Fields<'a> {
    Encoded(&'a [u8]),
    Apart(slice::Iter<'a, Bytes>),
}

impl<'a> Iterator for Fields<'a> {
    /// A key, which hasn't been checked to be text, and a value.
    type Item = Result<(&'a [u8], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Encoded(encoded) => next_element(encoded).map(|element| element.and_then(entry)),
            Self::Apart(fields) => fields.next().map(|field| entry(field)),
        }
    }
}

/// Returns the next element of a Struct or a `ListValue`.
fn next_element<'a>(encoded: &mut &'a [u8]) -> Option<Result<&'a [u8], Error>> {
    loop {
        return match next_part(encoded)? {
            Ok((tag::ELEMENTS, Part::Bytes(element))) => Some(Ok(element)),
            Ok(_) => continue,
            Err(error) => Some(Err(error)),
        };
    }
}

/// Splits an encoded field of an object into its key and its value, both as encoded.
fn entry(mut encoded: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (mut key, mut value) = (&[][..], &[][..]);
    while let Some(part) = next_part(&mut encoded) {
        match part? {
            (tag::KEY, Part::Bytes(bytes)) => key = bytes,
            (tag::VALUE, Part::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A value that has not been read.
#[derive(Debug, Clone)]
pub(super) struct Raw<'a> {
    inner: Inner<'a>,
    depth: u8,
    names: Names,
    account: Option<&'a Account<'a>>,
}

/// An encoded list.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a>(&'a [u8]);

impl<'a> List<'a> {
    /// Returns the encoding.
    pub(super) fn encoded(&self) -> &'a [u8] {
        self.0
    }

    /// Returns the elements, each as encoded, up to the first that can't be read.
    pub(super) fn elements(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut encoded = self.0;
        std::iter::from_fn(move || next_element(&mut encoded)?.ok())
    }
}

/// How the names of fields are passed to a reader that knows an object's fields.
#[derive(Debug, Clone, Copy, Default)]
enum Names {
    /// As encoded. The reader only compares them with the names that it knows, so they needn't be checked to be text.
    #[default]
    AsEncoded,
    /// As text, for a reader that keeps them.
    AsText,
}

#[derive(Debug, Clone)]
enum Inner<'a> {
    /// A `google.protobuf.Value`.
    Value(&'a [u8]),
    /// A value whose kind is already known.
    Known(Kind<'a>),
}

/// A value by its kind.
#[derive(Debug, Clone)]
enum Kind<'a> {
    Null,
    Number(f64),
    Text(&'a [u8]),
    Bool(bool),
    Object(Fields<'a>),
    List(&'a [u8]),
}

impl<'a> Raw<'a> {
    /// Creates a value from its encoding.
    pub(super) fn value(encoded: &'a [u8]) -> Self {
        Self {
            inner: Inner::Value(encoded),
            depth: 0,
            names: Names::default(),
            account: None,
        }
    }

    /// Creates a value from an object's fields.
    pub(super) fn object(fields: Fields<'a>) -> Self {
        Self {
            inner: Inner::Known(Kind::Object(fields)),
            depth: 0,
            names: Names::default(),
            account: None,
        }
    }

    /// Passes the names of fields as text, for a reader that keeps them.
    pub(super) fn with_names(self) -> Self {
        Self {
            names: Names::AsText,
            ..self
        }
    }

    /// Charges everything that is read of the value to an account.
    pub(super) fn charged_to<'b>(self, account: &'b Account<'b>) -> Raw<'b>
    where
        'a: 'b,
    {
        Raw {
            account: Some(account),
            ..self
        }
    }

    /// Charges for a part of the value if there is an account.
    #[inline]
    fn charge(&self, take: impl FnOnce(&Account<'a>) -> Result<(), Exhausted>) -> Result<(), Error> {
        Ok(self.account.map_or(Ok(()), take)?)
    }

    fn kind(&self) -> Result<Kind<'a>, Error> {
        let mut encoded = match &self.inner {
            Inner::Value(encoded) => *encoded,
            Inner::Known(kind) => return Ok(kind.clone()),
        };
        let mut kind = Kind::Null;
        // As everywhere in protobuf, the last field wins and unknown fields are skipped.
        while let Some(part) = next_part(&mut encoded) {
            kind = match part? {
                (tag::NUMBER, Part::Number(bits)) => Kind::Number(f64::from_bits(bits)),
                (tag::STRING, Part::Bytes(bytes)) => Kind::Text(bytes),
                (tag::BOOL, Part::Number(value)) => Kind::Bool(value != 0),
                (tag::STRUCT, Part::Bytes(bytes)) => Kind::Object(Fields::Encoded(bytes)),
                (tag::LIST, Part::Bytes(bytes)) => Kind::List(bytes),
                (tag::NULL, Part::Number(_)) => Kind::Null,
                _ => continue,
            };
        }
        Ok(kind)
    }

    /// Returns a field of an object. When several have the key, the last one wins.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let Ok(Kind::Object(fields)) = self.kind() else {
            return None;
        };
        let found = fields
            .filter_map(Result::ok)
            .filter(|(found, _)| *found == key.as_bytes());
        found.last().map(|(_, value)| Raw::value(value))
    }

    /// Returns the text in a field of an object.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        match self.get(key)?.kind() {
            Ok(Kind::Text(bytes)) => text(bytes).ok(),
            Ok(_) | Err(_) => None,
        }
    }

    /// Returns the list if the value is one.
    pub(super) fn list(&self) -> Option<List<'a>> {
        match self.kind() {
            Ok(Kind::List(encoded)) => Some(List(encoded)),
            Ok(_) | Err(_) => None,
        }
    }

    fn within(&self, encoded: &'a [u8]) -> Self {
        Self {
            inner: Inner::Value(encoded),
            depth: self.depth + 1,
            names: self.names,
            account: self.account,
        }
    }
}
