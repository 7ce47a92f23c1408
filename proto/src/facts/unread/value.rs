//! `google.protobuf.Value` as it is encoded, read by serde.

mod read;

use std::{fmt, slice, str};

use prost::{
    bytes::{Buf, Bytes},
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use serde::de;

use super::account::{Account, Exhausted};

/// How deep values may lie in one another: deeper than any object of Kubernetes, and no strain on the stack.
const MAX_DEPTH: u8 = 100;

/// The numbers of the fields.
mod tag {
    /// `google.protobuf.Struct` and `ListValue`.
    pub(super) const ELEMENTS: u32 = 1;
    /// An entry of a map.
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    /// The kinds of a `google.protobuf.Value`; what no kind is given for is null too.
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
    /// A group, which no message here has.
    Group,
}

/// The next field of a message with its number; `None` at its end, and after an error: where the next one would begin can't
/// be told, and what can't be read may not have been taken.
#[inline]
fn next_part<'a>(encoded: &mut &'a [u8]) -> Option<Result<(u32, Part<'a>), Error>> {
    (!encoded.is_empty()).then(|| part(encoded).inspect_err(|_| *encoded = &[]))
}

#[inline]
fn part<'a>(encoded: &mut &'a [u8]) -> Result<(u32, Part<'a>), Error> {
    // Nearly all fields: a number below 16, and less than 16 KiB of bytes.
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

/// The fields of an object: one after the other as encoded, or each by itself.
#[derive(Debug, Clone)]
pub(super) enum Fields<'a> {
    Encoded(&'a [u8]),
    Apart(slice::Iter<'a, Bytes>),
}

impl<'a> Iterator for Fields<'a> {
    /// A key, of which it isn't known yet whether it is text, and a value.
    type Item = Result<(&'a [u8], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Encoded(encoded) => next_element(encoded).map(|element| element.and_then(entry)),
            Self::Apart(fields) => fields.next().map(|field| entry(field)),
        }
    }
}

/// The next element of a Struct or a `ListValue`.
fn next_element<'a>(encoded: &mut &'a [u8]) -> Option<Result<&'a [u8], Error>> {
    loop {
        return match next_part(encoded)? {
            Ok((tag::ELEMENTS, Part::Bytes(element))) => Some(Ok(element)),
            Ok(_) => continue,
            Err(error) => Some(Err(error)),
        };
    }
}

/// A field of an object: its key and its value, as encoded.
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

/// A list, as encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a>(&'a [u8]);

impl<'a> List<'a> {
    /// As it is encoded.
    pub(super) fn encoded(&self) -> &'a [u8] {
        self.0
    }

    /// The elements, each as encoded, up to where it can't be read any further.
    pub(super) fn elements(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut encoded = self.0;
        std::iter::from_fn(move || next_element(&mut encoded)?.ok())
    }
}

/// How a reader that knows an object's fields is told their names.
#[derive(Debug, Clone, Copy, Default)]
enum Names {
    /// As they are encoded. They are compared with those that are known, for which they needn't be known to be text.
    #[default]
    AsEncoded,
    /// As text, for a reader that keeps them.
    AsText,
}

#[derive(Debug, Clone)]
enum Inner<'a> {
    /// A `google.protobuf.Value`.
    Value(&'a [u8]),
    /// A value of which it is known what it is.
    Known(Kind<'a>),
}

/// What a value is.
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
    /// A value as encoded.
    pub(super) fn value(encoded: &'a [u8]) -> Self {
        Self {
            inner: Inner::Value(encoded),
            depth: 0,
            names: Names::default(),
            account: None,
        }
    }

    /// An object.
    pub(super) fn object(fields: Fields<'a>) -> Self {
        Self {
            inner: Inner::Known(Kind::Object(fields)),
            depth: 0,
            names: Names::default(),
            account: None,
        }
    }

    /// The same for a reader that keeps the names of fields.
    pub(super) fn with_names(self) -> Self {
        Self {
            names: Names::AsText,
            ..self
        }
    }

    /// The same, where what is read of it is charged to an account.
    pub(super) fn charged_to<'b>(self, account: &'b Account<'b>) -> Raw<'b>
    where
        'a: 'b,
    {
        Raw {
            account: Some(account),
            ..self
        }
    }

    /// Takes memory for a part of it, if anybody counts that.
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
        // As everywhere in protobuf, the last one counts, and what isn't known is passed over.
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

    /// An object's field. Of several with one key the last counts.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let Ok(Kind::Object(fields)) = self.kind() else {
            return None;
        };
        let found = fields
            .filter_map(Result::ok)
            .filter(|(found, _)| *found == key.as_bytes());
        found.last().map(|(_, value)| Raw::value(value))
    }

    /// The text in an object's field.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        match self.get(key)?.kind() {
            Ok(Kind::Text(bytes)) => text(bytes).ok(),
            Ok(_) | Err(_) => None,
        }
    }

    /// The list that it is, if it is one.
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
