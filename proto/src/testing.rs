//! Helpers shared by the tests of the wire: messages as a newer peer would send them.

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

use crate::FILE_DESCRIPTOR_SET;

/// The number of the first unknown field.
const UNKNOWN: u32 = 1_000;

/// Encodes a message as a newer peer would, with unknown fields in it and in every message within it: one field of each
/// wire type. `name` is the message's full name. A message in which no field of a `oneof` is set then looks like one
/// whose variant only the peer knows.
///
/// # Panics
/// There is no message with this name.
#[expect(clippy::expect_used, reason = "what helps a test may fail it")]
pub fn newer(name: &str, message: &impl Message) -> Vec<u8> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors can be read");
    let descriptor = pool.get_message_by_name(name).expect("the message has this name");
    let encoded = message.encode_to_vec();
    let mut message = DynamicMessage::decode(descriptor, encoded.as_slice()).expect("it is this message");
    add_unknown(&mut message);
    message.encode_to_vec()
}

/// Encodes a message like [`newer`], and decodes it again as this version does.
///
/// # Panics
/// There is no message with this name, or it can't be decoded with the unknown fields.
#[expect(clippy::expect_used, reason = "what helps a test may fail it")]
pub fn from_newer<M: Message + Default>(name: &str, message: &M) -> M {
    M::decode(newer(name, message).as_slice()).expect("unknown fields are passed over")
}

/// Encoded unknown fields.
pub fn unknown_fields() -> Vec<u8> {
    let mut fields = Vec::new();
    encode_key(UNKNOWN, WireType::Varint, &mut fields);
    encode_varint(u64::MAX, &mut fields);
    encode_key(UNKNOWN + 1, WireType::SixtyFourBit, &mut fields);
    fields.extend([0xFF; 8]);
    encode_key(UNKNOWN + 2, WireType::LengthDelimited, &mut fields);
    encode_varint(3, &mut fields);
    fields.extend(b"new");
    encode_key(UNKNOWN + 3, WireType::StartGroup, &mut fields);
    encode_key(1, WireType::Varint, &mut fields);
    encode_varint(1, &mut fields);
    encode_key(UNKNOWN + 3, WireType::EndGroup, &mut fields);
    encode_key(UNKNOWN + 4, WireType::ThirtyTwoBit, &mut fields);
    fields.extend([0xFF; 4]);
    fields
}

#[expect(clippy::expect_used, reason = "what helps a test may fail it")]
fn add_unknown(message: &mut DynamicMessage) {
    message.fields_mut().for_each(|(_, value)| add_within(value));
    message
        .merge(unknown_fields().as_slice())
        .expect("unknown fields can be read");
}

fn add_within(value: &mut Value) {
    match value {
        Value::Message(message) => add_unknown(message),
        Value::List(values) => values.iter_mut().for_each(add_within),
        Value::Map(values) => values.values_mut().for_each(add_within),
        _ => {}
    }
}
