//! Prints any message of the services in protobuf's JSON mapping, as grpcurl does: fields in the order of their
//! declaration, no unset fields, sorted maps, enum values by name, and 64-bit integers as text.

use std::{collections::BTreeMap, sync::LazyLock};

use prost::{DecodeError, Name};
use prost_reflect::{
    DescriptorError, DescriptorPool, DynamicMessage, EnumDescriptor, Kind, MapKey, ReflectMessage,
    SerializeOptions, Value,
};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap},
};
use thiserror::Error;

use crate::{document, text::printable_json};

/// The reason why a message can't be printed. Every variant is a bug of the program, not a fault of the message.
#[derive(Debug, Error)]
pub enum PrintError {
    /// The descriptors can't be read.
    #[error("the descriptors of the messages can't be read")]
    Descriptors(#[source] &'static DescriptorError),
    /// The descriptors don't define the message.
    #[error("the descriptors have no message {0}")]
    UnknownMessage(String),
    /// The message doesn't match its descriptor.
    #[error("the message isn't encoded as its descriptor says")]
    Decode(#[from] DecodeError),
    /// JSON can't be written.
    #[error("the message can't be written as JSON")]
    Json(#[from] serde_json::Error),
    /// YAML can't be written.
    #[error("the message can't be written as YAML")]
    Yaml(#[from] serde_saphyr::SerializeError),
}

static DESCRIPTORS: LazyLock<Result<DescriptorPool, DescriptorError>> =
    LazyLock::new(|| DescriptorPool::decode(everynode_proto::FILE_DESCRIPTOR_SET));

/// Returns the message as JSON over several lines, with a newline at its end.
///
/// # Errors
/// The message can't be converted, which is a bug of the program.
pub fn json(message: &impl Name) -> Result<String, PrintError> {
    document::json(&JsonMessage(&to_dynamic(message)?))
}

/// Returns the message as JSON in one line, with a newline at its end, for a stream of messages.
///
/// # Errors
/// The message can't be converted, which is a bug of the program.
pub fn json_line(message: &impl Name) -> Result<String, PrintError> {
    let text = serde_json::to_string(&JsonMessage(&to_dynamic(message)?))?;
    Ok(printable_json(&text).into_owned() + "\n")
}

/// Returns the message as a YAML document, with a newline at its end.
///
/// # Errors
/// The message can't be converted, which is a bug of the program.
pub fn yaml(message: &impl Name) -> Result<String, PrintError> {
    document::yaml(&JsonMessage(&to_dynamic(message)?))
}

/// Returns the message as one YAML document of a stream, which begins with a separator.
///
/// # Errors
/// The message can't be converted, which is a bug of the program.
pub fn yaml_document(message: &impl Name) -> Result<String, PrintError> {
    Ok(format!("---\n{}", yaml(message)?))
}

fn to_dynamic<M: Name>(message: &M) -> Result<DynamicMessage, PrintError> {
    let pool = DESCRIPTORS.as_ref().map_err(PrintError::Descriptors)?;
    let name = M::full_name();
    let descriptor = pool
        .get_message_by_name(&name)
        .ok_or(PrintError::UnknownMessage(name))?;
    Ok(DynamicMessage::decode(
        descriptor,
        message.encode_to_vec().as_slice(),
    )?)
}

/// Serializes a message in the JSON mapping. prost-reflect's own serializer writes maps in an order that changes from
/// run to run.
struct JsonMessage<'a>(&'a DynamicMessage);

impl Serialize for JsonMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let descriptor = self.0.descriptor();
        if descriptor.package_name() == "google.protobuf" {
            // The messages of this package have mappings of their own: times and durations are text.
            return self
                .0
                .serialize_with_options(serializer, &SerializeOptions::new());
        }
        let mut map = serializer.serialize_map(None)?;
        for field in descriptor.fields().filter(|field| self.0.has_field(field)) {
            let kind = if field.is_map() {
                value_kind(&field.kind())
            } else {
                field.kind()
            };
            let value = self.0.get_field(&field);
            map.serialize_entry(field.json_name(), &JsonValue(&value, &kind))?;
        }
        map.end()
    }
}

/// Returns the kind of a map's values.
fn value_kind(entry: &Kind) -> Kind {
    match entry {
        Kind::Message(entry) if entry.is_map_entry() => entry.map_entry_value_field().kind(),
        kind => kind.clone(),
    }
}

struct JsonValue<'a>(&'a Value, &'a Kind);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, kind) = self;
        match value {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) => serializer.serialize_i32(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            Value::I64(value) => serializer.collect_str(value),
            Value::U64(value) => serializer.collect_str(value),
            Value::F32(value) => serializer.serialize_f32(*value),
            Value::F64(value) => serializer.serialize_f64(*value),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(_) => Err(S::Error::custom("no message of the services holds bytes")),
            Value::EnumNumber(number) => match kind {
                Kind::Enum(descriptor) => enum_value(descriptor, *number, serializer),
                _ => serializer.serialize_i32(*number),
            },
            Value::Message(message) => JsonMessage(message).serialize(serializer),
            Value::List(values) => serializer.collect_seq(values.iter().map(|value| JsonValue(value, kind))),
            Value::Map(values) => {
                let sorted: BTreeMap<_, _> =
                    values.iter().map(|(key, value)| (key_text(key), value)).collect();
                serializer.collect_map(
                    sorted
                        .into_iter()
                        .map(|(key, value)| (key, JsonValue(value, kind))),
                )
            }
        }
    }
}

/// Writes an enum value by its name. A value that only a newer service knows stays a number.
fn enum_value<S: Serializer>(
    descriptor: &EnumDescriptor,
    number: i32,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match descriptor.get_value(number) {
        Some(value) => serializer.serialize_str(value.name()),
        None => serializer.serialize_i32(number),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

#[cfg(test)]
mod tests;
