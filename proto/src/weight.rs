//! The memory that a message takes once it is decoded, computed from its encoding.
//!
//! An empty list element takes two bytes on the wire and up to a few hundred in memory. So a message within the size
//! limit can grow to gigabytes when it is decoded. A server therefore weighs a message first: it uses the descriptors
//! to walk the encoding and counts the elements of every list and map at every depth, without decoding anything.
//!
//! The weight is an upper bound of what prost allocates: a growing list reserves up to twice its length, and every
//! allocation has the allocator's overhead. A [`RawStruct`](crate::facts::RawStruct) counts only with its outermost
//! fields, because decoding builds nothing else. Code that reads such an object must account for the memory of the
//! values that it reads.

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

use crate::memory_budget::{ALLOCATION_BYTES, GROWTH, MAP_NODE_CAPACITY};

/// The size of a `String`, a `Vec` or a `BTreeMap`, without the memory that it points to.
const HANDLE_BYTES: usize = 24;
/// The size of a number, a boolean or an enum value, with its padding.
const SCALAR_BYTES: usize = 8;
/// The size of the tag of an `Option` or of a oneof, with its padding.
const TAG_BYTES: usize = 8;
/// The size of a `Bytes`. A raw struct keeps one for each of its fields.
const BYTES_HANDLE_BYTES: usize = 32;
/// The minimum number of entries in a `BTreeMap` node, unless it is the map's only node.
const MIN_MAP_NODE_ENTRIES: usize = 5;

/// The message type that is decoded into a raw struct.
const RAW_STRUCT: &str = ".google.protobuf.Struct";

static LAYOUTS: LazyLock<Layouts> =
    LazyLock::new(|| Layouts::from_descriptors(crate::FILE_DESCRIPTOR_SET).unwrap_or_default());

/// The layouts of all message types that the descriptors define.
#[derive(Debug, Default)]
struct Layouts {
    layouts: Vec<MessageLayout>,
    by_name: HashMap<String, usize>,
}

/// The struct that a message type is decoded into.
#[derive(Debug, Default)]
struct MessageLayout {
    size: usize,
    /// The fields that can point to more memory, by field number.
    fields: HashMap<u32, FieldLayout>,
}

/// A field that can point to more memory.
#[derive(Debug, Clone, Copy)]
enum FieldLayout {
    /// A string or bytes.
    Text,
    /// A list of strings or bytes.
    TextList,
    /// A list of numbers, packed or not.
    NumberList,
    /// A single message, stored inside the struct that contains it. The number is the index of its layout.
    Message(usize),
    /// A list of messages. The number is the index of their layout.
    MessageList(usize),
    /// A map, whose entries are messages on the wire.
    Map {
        /// The index of the layout of its entries.
        entry: usize,
        /// The size of an entry's key and value within the map.
        size: usize,
    },
    /// The fields of a raw struct.
    RawStructFields,
}

/// A message type whose encoded messages can be weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageType(usize);

impl MessageType {
    /// Looks up a type by its full name, such as `everynode.planner.v1.PlanRequest`. Returns `None` if no .proto file
    /// of this crate defines it.
    pub fn from_full_name(full_name: &str) -> Option<Self> {
        LAYOUTS.by_name.get(full_name).copied().map(Self)
    }

    /// Returns an upper bound of the bytes that an encoded message of this type takes in memory once it is decoded. A
    /// malformed message is weighed up to the point where decoding stops.
    pub fn weigh(self, mut encoded: impl Buf) -> usize {
        let mut bytes = LAYOUTS.layouts.get(self.0).map_or(0, |layout| layout.size);
        // The decoder will report the error.
        let _ = LAYOUTS.weigh(self.0, &mut encoded, 0, &mut bytes);
        bytes
    }
}

/// Returns an upper bound of the bytes that a message takes in memory once its receiver has decoded it.
pub fn decoded_bytes<M: Message + Name>(message: &M) -> usize {
    MessageType::from_full_name(&M::full_name()).map_or(0, |message_type| {
        message_type.weigh(message.encode_to_vec().as_slice())
    })
}

impl Layouts {
    fn from_descriptors(descriptors: &[u8]) -> Result<Self, DecodeError> {
        let set = FileDescriptorSet::decode(descriptors)?;
        let mut messages = HashMap::new();
        for file in &set.file {
            for message in &file.message_type {
                collect_messages(&format!(".{}", file.package()), message, &mut messages);
            }
        }
        let mut this = Self::default();
        for name in messages.keys() {
            this.by_name
                .insert(name.trim_start_matches('.').to_owned(), this.layouts.len());
            this.layouts.push(MessageLayout::default());
        }
        for (name, message) in &messages {
            let layout = MessageLayout {
                size: struct_size(name, &messages),
                fields: field_layouts(name, message, &messages, &this.by_name),
            };
            if let Some(slot) = this.index(name).and_then(|index| this.layouts.get_mut(index)) {
                *slot = layout;
            }
        }
        Ok(this)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name.trim_start_matches('.')).copied()
    }

    /// Adds the memory that a message points to. The message ends when `encoded` has `rest` bytes left.
    fn weigh(
        &self,
        index: usize,
        encoded: &mut impl Buf,
        rest: usize,
        bytes: &mut usize,
    ) -> Result<(), Malformed> {
        let Some(layout) = self.layouts.get(index) else {
            return Ok(());
        };
        // The maps whose first node is already counted. A message has few maps, so a list is faster than a set.
        let mut maps: Vec<u32> = Vec::new();
        while encoded.remaining() > rest {
            let (number, wire_type) = decode_key(encoded).map_err(|_| Malformed)?;
            let field = layout.fields.get(&number).copied();
            if wire_type != WireType::LengthDelimited {
                skip_field(wire_type, encoded, rest)?;
                if matches!(field, Some(FieldLayout::NumberList)) {
                    *bytes += GROWTH * SCALAR_BYTES;
                }
                continue;
            }
            let length = read_length(encoded, rest)?;
            let end = encoded.remaining() - length;
            match field {
                None => {}
                Some(FieldLayout::Text) => *bytes += allocated(length),
                Some(FieldLayout::TextList) => *bytes += GROWTH * HANDLE_BYTES + allocated(length),
                Some(FieldLayout::NumberList) => *bytes += GROWTH * SCALAR_BYTES * length,
                Some(FieldLayout::RawStructFields) => *bytes += GROWTH * BYTES_HANDLE_BYTES,
                Some(FieldLayout::Message(inner)) => self.weigh(inner, encoded, end, bytes)?,
                Some(FieldLayout::MessageList(inner)) => {
                    *bytes += GROWTH * self.layouts.get(inner).map_or(0, |layout| layout.size);
                    self.weigh(inner, encoded, end, bytes)?;
                }
                Some(FieldLayout::Map { entry, size }) => {
                    let nodes = if maps.contains(&number) {
                        (size * MAP_NODE_CAPACITY).div_ceil(MIN_MAP_NODE_ENTRIES)
                    } else {
                        maps.push(number);
                        size * MAP_NODE_CAPACITY + ALLOCATION_BYTES
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
fn read_length(encoded: &mut impl Buf, rest: usize) -> Result<usize, Malformed> {
    let length = decode_varint(encoded).map_err(|_| Malformed)?;
    let left = encoded.remaining().checked_sub(rest).ok_or(Malformed)?;
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= left)
        .ok_or(Malformed)
}

/// Skips a field that isn't length-delimited. For a group, only its start is skipped, so its fields are read as if they
/// were the message's own; no message of the services has groups.
fn skip_field(wire_type: WireType, encoded: &mut impl Buf, rest: usize) -> Result<(), Malformed> {
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

type MessagesByName = HashMap<String, DescriptorProto>;

fn collect_messages(parent: &str, message: &DescriptorProto, messages: &mut MessagesByName) {
    let name = format!("{parent}.{}", message.name());
    for nested in &message.nested_type {
        collect_messages(&name, nested, messages);
    }
    messages.insert(name, message.clone());
}

/// Returns the size of the struct that a message is decoded into.
fn struct_size(name: &str, messages: &MessagesByName) -> usize {
    let Some(message) = messages.get(name).filter(|_| name != RAW_STRUCT) else {
        // A raw struct is decoded into a list. No field has a type that the descriptors don't define.
        return HANDLE_BYTES;
    };
    let mut total = 0;
    let mut oneofs: HashMap<i32, usize> = HashMap::new();
    for field in &message.field {
        let size = field_size(field, messages);
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

/// Returns the size of a field within the struct of its message.
fn field_size(field: &FieldDescriptorProto, messages: &MessagesByName) -> usize {
    if field.label() == Label::Repeated {
        return HANDLE_BYTES;
    }
    match field.r#type() {
        Type::String | Type::Bytes => HANDLE_BYTES,
        Type::Message | Type::Group => struct_size(field.type_name(), messages) + TAG_BYTES,
        _ => SCALAR_BYTES + TAG_BYTES,
    }
}

fn field_layouts(
    name: &str,
    message: &DescriptorProto,
    messages: &MessagesByName,
    by_name: &HashMap<String, usize>,
) -> HashMap<u32, FieldLayout> {
    let index = |name: &str| by_name.get(name.trim_start_matches('.')).copied();
    let mut fields = HashMap::new();
    for field in &message.field {
        let is_repeated = field.label() == Label::Repeated;
        let layout = match (field.r#type(), is_repeated) {
            _ if name == RAW_STRUCT => Some(FieldLayout::RawStructFields),
            (Type::String | Type::Bytes, false) => Some(FieldLayout::Text),
            (Type::String | Type::Bytes, true) => Some(FieldLayout::TextList),
            (Type::Message | Type::Group, _) => index(field.type_name()).map(|inner| {
                let entry = messages.get(field.type_name());
                let entry =
                    entry.filter(|entry| entry.options.as_ref().is_some_and(MessageOptions::map_entry));
                match entry {
                    Some(_) => FieldLayout::Map {
                        entry: inner,
                        size: struct_size(field.type_name(), messages),
                    },
                    None if is_repeated => FieldLayout::MessageList(inner),
                    None => FieldLayout::Message(inner),
                }
            }),
            (_, true) => Some(FieldLayout::NumberList),
            (_, false) => None,
        };
        if let (Some(layout), Ok(number)) = (layout, u32::try_from(field.number())) {
            fields.insert(number, layout);
        }
    }
    fields
}

#[cfg(test)]
mod tests;
