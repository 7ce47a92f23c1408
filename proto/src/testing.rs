//! Test helpers for the wire: messages as a newer peer would send them.

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

use crate::FILE_DESCRIPTOR_SET;

/// The number of the first unknown field.
const FIRST_UNKNOWN: u32 = 1_000;

/// Encodes a message as a newer peer would: with unknown fields of each wire type, in the message and in every message
/// within it. `name` is the message's full name. If no field of a `oneof` is set, the result looks like a message whose
/// variant only the peer knows.
///
/// # Panics
/// There is no message with this name.
#[expect(clippy::expect_used, reason = "a test helper may panic")]
pub fn encode_as_newer_peer(name: &str, message: &impl Message) -> Vec<u8> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors can be read");
    let descriptor = pool.get_message_by_name(name).expect("the message has this name");
    let encoded = message.encode_to_vec();
    let mut message = DynamicMessage::decode(descriptor, encoded.as_slice()).expect("it is this message");
    add_unknown(&mut message);
    message.encode_to_vec()
}

/// Encodes a message with [`encode_as_newer_peer`], and decodes the result with this version.
///
/// # Panics
/// There is no message with this name, or the result can't be decoded.
#[expect(clippy::expect_used, reason = "a test helper may panic")]
pub fn receive_from_newer_peer<M: Message + Default>(name: &str, message: &M) -> M {
    M::decode(encode_as_newer_peer(name, message).as_slice()).expect("unknown fields are ignored")
}

/// Returns unknown fields of each wire type, encoded.
pub fn unknown_fields() -> Vec<u8> {
    let mut fields = Vec::new();
    encode_key(FIRST_UNKNOWN, WireType::Varint, &mut fields);
    encode_varint(u64::MAX, &mut fields);
    encode_key(FIRST_UNKNOWN + 1, WireType::SixtyFourBit, &mut fields);
    fields.extend([0xFF; 8]);
    encode_key(FIRST_UNKNOWN + 2, WireType::LengthDelimited, &mut fields);
    encode_varint(3, &mut fields);
    fields.extend(b"new");
    encode_key(FIRST_UNKNOWN + 3, WireType::StartGroup, &mut fields);
    encode_key(1, WireType::Varint, &mut fields);
    encode_varint(1, &mut fields);
    encode_key(FIRST_UNKNOWN + 3, WireType::EndGroup, &mut fields);
    encode_key(FIRST_UNKNOWN + 4, WireType::ThirtyTwoBit, &mut fields);
    fields.extend([0xFF; 4]);
    fields
}

#[expect(clippy::expect_used, reason = "a test helper may panic")]
fn add_unknown(message: &mut DynamicMessage) {
    message
        .fields_mut()
        .for_each(|(_, value)| add_unknown_within(value));
    message
        .merge(unknown_fields().as_slice())
        .expect("unknown fields can be read");
}

fn add_unknown_within(value: &mut Value) {
    match value {
        Value::Message(message) => add_unknown(message),
        Value::List(values) => values.iter_mut().for_each(add_unknown_within),
        Value::Map(values) => values.values_mut().for_each(add_unknown_within),
        _ => {}
    }
}
