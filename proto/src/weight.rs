//! The memory that a message takes once it is decoded, computed from its encoding.
//!
//! An empty element of a list has two bytes on the wire and up to a few hundred in memory. A message within the size
//! limit could therefore grow to gigabytes before anyone had seen what is in it. So a server weighs a message first: it
//! walks the encoding by the descriptors and counts the elements of every list and map at every depth, without decoding
//! anything.
//!
//! The weight is an upper bound of what prost allocates: a growing list reserves up to twice its length, and every
//! allocation has the allocator's overhead. [`Unread`](crate::facts::Unread) objects count only with their outermost
//! fields, because decoding builds nothing else. Code that reads them further must account for that memory itself.

use std::{collections::HashMap, sync::LazyLock};

use prost::{
    DecodeError, Message, Name,
    bytes::Buf,
    encoding::{WireType, decode_key, decode_varint},
};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MessageOptions,
    field_descriptor_proto::{Label, Type},
};

use crate::allowance::{ALLOCATION_BYTES, GROWTH, MAP_NODE_ENTRIES};

/// The size of a `String`, a `Vec` or a `BTreeMap`, without the memory that it points to.
const HANDLE_BYTES: usize = 24;
/// The size of a number, a boolean or an enum value, with its padding.
const SCALAR_BYTES: usize = 8;
/// The size of the tag of an `Option` or of a oneof, with its padding.
const TAG_BYTES: usize = 8;
/// The size of a `Bytes`. An unread object keeps one for each of its fields.
const BYTES_HANDLE_BYTES: usize = 32;
/// The fewest entries that a `BTreeMap` node holds unless it is the only one.
const MAP_NODE_FEWEST: usize = 5;

/// The message type that is decoded into an unread object.
const UNREAD: &str = ".google.protobuf.Struct";

static WEIGHTS: LazyLock<Weights> =
    LazyLock::new(|| Weights::described_in(crate::FILE_DESCRIPTOR_SET).unwrap_or_default());

/// All known message types, each with the weights of its parts.
#[derive(Debug, Default)]
struct Weights {
    kinds: Vec<Kind>,
    by_name: HashMap<String, usize>,
}

/// A message type.
#[derive(Debug, Default)]
struct Kind {
    /// The size of the struct that it is decoded into.
    size: usize,
    /// The fields that may point to more memory, by field number.
    fields: HashMap<u32, Field>,
}

/// A field that may point to more memory.
#[derive(Debug, Clone, Copy)]
enum Field {
    /// A string or bytes.
    Text,
    /// A list of strings or bytes.
    Texts,
    /// A list of numbers, packed or not.
    Numbers,
    /// A single message, which is stored inside the struct that contains it.
    Message(usize),
    /// A list of messages.
    Messages(usize),
    /// A map, whose entries are messages on the wire.
    Map {
        /// The type of its entries.
        entry: usize,
        /// The size of an entry's key and value within the map.
        size: usize,
    },
    /// The fields of an unread object.
    Unread,
}

/// A message type whose encoded messages can be weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageType(usize);

impl MessageType {
    /// Looks up a type by its full name, such as `everynode.planner.v1.PlanRequest`. Returns `None` when no .proto file
    /// here defines it.
    pub fn named(full_name: &str) -> Option<Self> {
        WEIGHTS.by_name.get(full_name).copied().map(Self)
    }

    /// Returns an upper bound of the bytes that an encoded message of this type takes in memory once it is decoded. A
    /// malformed message is weighed up to the point where decoding stops.
    pub fn weigh(self, mut encoded: impl Buf) -> usize {
        let mut bytes = WEIGHTS.kinds.get(self.0).map_or(0, |kind| kind.size);
        // The error is ignored here: the decoder reports it.
        let _ = WEIGHTS.weigh(self.0, &mut encoded, 0, &mut bytes);
        bytes
    }
}

/// Returns an upper bound of the bytes that a message takes in memory once its receiver has decoded it.
pub fn decoded_bytes<M: Message + Name>(message: &M) -> usize {
    MessageType::named(&M::full_name()).map_or(0, |kind| kind.weigh(message.encode_to_vec().as_slice()))
}

impl Weights {
    fn described_in(descriptors: &[u8]) -> Result<Self, DecodeError> {
        let set = FileDescriptorSet::decode(descriptors)?;
        let mut described = HashMap::new();
        for file in &set.file {
            for message in &file.message_type {
                collect(&format!(".{}", file.package()), message, &mut described);
            }
        }
        let mut this = Self::default();
        for name in described.keys() {
            this.by_name
                .insert(name.trim_start_matches('.').to_owned(), this.kinds.len());
            this.kinds.push(Kind::default());
        }
        for (name, message) in &described {
            let kind = Kind {
                size: size(name, &described),
                fields: fields(name, message, &described, &this.by_name),
            };
            if let Some(place) = this.index(name).and_then(|index| this.kinds.get_mut(index)) {
                *place = kind;
            }
        }
        Ok(this)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name.trim_start_matches('.')).copied()
    }

    /// Adds the memory that a message points to. The message ends where `encoded` has only `rest` bytes left.
    fn weigh(
        &self,
        kind: usize,
        encoded: &mut impl Buf,
        rest: usize,
        bytes: &mut usize,
    ) -> Result<(), Malformed> {
        let Some(kind) = self.kinds.get(kind) else {
            return Ok(());
        };
        // The maps whose first node has been counted. A message has few maps, so a list is the fastest set.
        let mut maps: Vec<u32> = Vec::new();
        while encoded.remaining() > rest {
            let (number, wire_type) = decode_key(encoded).map_err(|_| Malformed)?;
            let field = kind.fields.get(&number).copied();
            if wire_type != WireType::LengthDelimited {
                skip(wire_type, encoded, rest)?;
                if matches!(field, Some(Field::Numbers)) {
                    *bytes += GROWTH * SCALAR_BYTES;
                }
                continue;
            }
            let length = length(encoded, rest)?;
            let end = encoded.remaining() - length;
            match field {
                None => {}
                Some(Field::Text) => *bytes += allocated(length),
                Some(Field::Texts) => *bytes += GROWTH * HANDLE_BYTES + allocated(length),
                Some(Field::Numbers) => *bytes += GROWTH * SCALAR_BYTES * length,
                Some(Field::Unread) => *bytes += GROWTH * BYTES_HANDLE_BYTES,
                Some(Field::Message(inner)) => self.weigh(inner, encoded, end, bytes)?,
                Some(Field::Messages(inner)) => {
                    *bytes += GROWTH * self.kinds.get(inner).map_or(0, |kind| kind.size);
                    self.weigh(inner, encoded, end, bytes)?;
                }
                Some(Field::Map { entry, size }) => {
                    let nodes = if maps.contains(&number) {
                        (size * MAP_NODE_ENTRIES).div_ceil(MAP_NODE_FEWEST)
                    } else {
                        maps.push(number);
                        size * MAP_NODE_ENTRIES + ALLOCATION_BYTES
                    };
                    *bytes += nodes;
                    self.weigh(entry, encoded, end, bytes)?;
                }
            }
            encoded.advance(encoded.remaining() - end);
        }
        Ok(())
    }
}

fn allocated(length: usize) -> usize {
    if length == 0 { 0 } else { length + ALLOCATION_BYTES }
}

/// The encoding is truncated or invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Malformed;

/// Reads the length of a field. The field must leave at least `rest` bytes.
fn length(encoded: &mut impl Buf, rest: usize) -> Result<usize, Malformed> {
    let length = decode_varint(encoded).map_err(|_| Malformed)?;
    let left = encoded.remaining().checked_sub(rest).ok_or(Malformed)?;
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= left)
        .ok_or(Malformed)
}

/// Skips a field that has no length of its own. Groups are entered instead; no message here has any.
fn skip(wire_type: WireType, encoded: &mut impl Buf, rest: usize) -> Result<(), Malformed> {
    let fixed = match wire_type {
        WireType::Varint => {
            decode_varint(encoded).map_err(|_| Malformed)?;
            0
        }
        WireType::SixtyFourBit => 8,
        WireType::ThirtyTwoBit => 4,
        WireType::StartGroup | WireType::EndGroup | WireType::LengthDelimited => 0,
    };
    if encoded.remaining() < rest.saturating_add(fixed) {
        return Err(Malformed);
    }
    encoded.advance(fixed);
    Ok(())
}

type Described = HashMap<String, DescriptorProto>;

fn collect(parent: &str, message: &DescriptorProto, described: &mut Described) {
    let name = format!("{parent}.{}", message.name());
    for nested in &message.nested_type {
        collect(&name, nested, described);
    }
    described.insert(name, message.clone());
}

/// The size of the struct that a message is decoded into.
fn size(name: &str, described: &Described) -> usize {
    let Some(message) = described.get(name).filter(|_| name != UNREAD) else {
        // An unread object is decoded into a list. A type that isn't described here has no fields that anyone would
        // decode.
        return HANDLE_BYTES;
    };
    let mut total = 0;
    let mut oneofs: HashMap<i32, usize> = HashMap::new();
    for field in &message.field {
        let size = inline_size(field, described);
        match field.oneof_index.filter(|_| !field.proto3_optional()) {
            Some(index) => {
                let largest = oneofs.entry(index).or_default();
                *largest = size.max(*largest);
            }
            None => total += size,
        }
    }
    total + oneofs.values().map(|size| size + TAG_BYTES).sum::<usize>()
}

/// The size of a field within the struct of its message.
fn inline_size(field: &FieldDescriptorProto, described: &Described) -> usize {
    if field.label() == Label::Repeated {
        return HANDLE_BYTES;
    }
    match field.r#type() {
        Type::String | Type::Bytes => HANDLE_BYTES,
        Type::Message | Type::Group => size(field.type_name(), described) + TAG_BYTES,
        _ => SCALAR_BYTES + TAG_BYTES,
    }
}

fn fields(
    name: &str,
    message: &DescriptorProto,
    described: &Described,
    by_name: &HashMap<String, usize>,
) -> HashMap<u32, Field> {
    let index = |name: &str| by_name.get(name.trim_start_matches('.')).copied();
    let mut fields = HashMap::new();
    for field in &message.field {
        let repeated = field.label() == Label::Repeated;
        let kind = match (field.r#type(), repeated) {
            _ if name == UNREAD => Some(Field::Unread),
            (Type::String | Type::Bytes, false) => Some(Field::Text),
            (Type::String | Type::Bytes, true) => Some(Field::Texts),
            (Type::Message | Type::Group, _) => index(field.type_name()).map(|inner| {
                let entry = described.get(field.type_name());
                let entry =
                    entry.filter(|entry| entry.options.as_ref().is_some_and(MessageOptions::map_entry));
                match entry {
                    Some(_) => Field::Map {
                        entry: inner,
                        size: size(field.type_name(), described),
                    },
                    None if repeated => Field::Messages(inner),
                    None => Field::Message(inner),
                }
            }),
            (_, true) => Some(Field::Numbers),
            (_, false) => None,
        };
        if let (Some(kind), Ok(number)) = (kind, u32::try_from(field.number())) {
            fields.insert(number, kind);
        }
    }
    fields
}

#[cfg(test)]
mod tests;
