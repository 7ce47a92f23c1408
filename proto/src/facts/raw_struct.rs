//! Reads the Kubernetes objects of a call, which arrive as `google.protobuf.Struct`.
//!
//! A call may hold tens of thousands of objects, and decisions need few of their fields. So objects stay encoded and
//! are deserialized straight from the encoding, which skips all other fields and builds nothing in between.

mod meter;
mod value;

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut, Bytes},
    encoding::{self, DecodeContext, WireType},
};
use prost_types::{ListValue, Struct, value::Kind};
use serde::de::{DeserializeOwned, DeserializeSeed};
use serde_json::{Map, Value};

use self::{
    meter::MemoryMeter,
    value::{Fields, List, RawValue},
};
use super::field_path;
use crate::memory_budget::MemoryBudget;

/// The number of the only field of `google.protobuf.Struct`.
const FIELDS: u32 = 1;

/// An undecoded `google.protobuf.Struct`: a Kubernetes object, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawStruct {
    /// The encoded fields of the object, each with its key and its value.
    fields: Vec<Bytes>,
}

impl Message for RawStruct {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        encoding::bytes::encode_repeated(FIELDS, &self.fields, buffer);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            FIELDS => encoding::bytes::merge_repeated(wire_type, &mut self.fields, buffer, context),
            _ => encoding::skip_field(wire_type, tag, buffer, context),
        }
    }

    fn encoded_len(&self) -> usize {
        encoding::bytes::encoded_len_repeated(FIELDS, &self.fields)
    }

    fn clear(&mut self) {
        self.fields.clear();
    }
}

impl From<&Map<String, Value>> for RawStruct {
    fn from(object: &Map<String, Value>) -> Self {
        // Encoding can't fail, and the result is an encoded Struct.
        Self::decode(Bytes::from(to_struct(object).encode_to_vec())).unwrap_or_default()
    }
}

fn to_struct(object: &Map<String, Value>) -> Struct {
    let field = |(key, value): (&String, &Value)| (key.clone(), to_value(value));
    Struct {
        fields: object.iter().map(field).collect(),
    }
}

fn to_value(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::String(value) => Kind::StringValue(value.clone()),
        Value::Number(value) => value.as_f64().map_or(Kind::NullValue(0), Kind::NumberValue),
        Value::Object(value) => Kind::StructValue(to_struct(value)),
        Value::Array(values) => Kind::ListValue(ListValue {
            values: values.iter().map(to_value).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// The reason why an object can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The path of the field, such as `spec.taints[0].key`. Empty for the object itself.
    pub field: String,
    /// The description of the problem.
    pub message: String,
}

/// One object of a call, or another value where an object is expected.
#[derive(Debug, Clone)]
pub struct Item(ItemSource);

#[derive(Debug, Clone)]
enum ItemSource {
    Object(RawStruct),
    /// An item of a list: an encoded `google.protobuf.Value`.
    ListItem(Bytes),
}

/// Replaces each list (the output of `kubectl get -o json` for several objects) with its items. As in kubectl, items
/// that are null are skipped.
pub fn expand(objects: Vec<RawStruct>) -> Vec<Item> {
    expand_at_most(objects, usize::MAX).unwrap_or_default()
}

/// Like [`expand`], with a limit on the number of objects. An empty object in a list takes four bytes on the wire and
/// about forty in memory, so the items are counted before any of them is stored.
///
/// # Errors
/// The number of objects, if there are more than `limit`.
pub fn expand_at_most(objects: Vec<RawStruct>, limit: usize) -> Result<Vec<Item>, usize> {
    let count = |object: &RawStruct| object.list().map_or(1, |list| list.elements().count());
    let count = objects.iter().map(count).sum();
    if count > limit {
        return Err(count);
    }
    let mut items = Vec::with_capacity(count);
    for object in objects {
        match object.items() {
            Some(list_items) => items.extend(list_items),
            None => items.push(Item(ItemSource::Object(object))),
        }
    }
    Ok(items)
}

impl RawStruct {
    /// Returns the list of items if this object is a list.
    fn list(&self) -> Option<List<'_>> {
        let items = self.raw().get("items")?;
        let kind = self.raw().text("kind").unwrap_or_default();
        let is_list_kind = kind.ends_with("List");
        if is_list_kind && items.is_null() {
            return Some(List::default());
        }
        items.list().filter(|_| is_list_kind || kind.is_empty())
    }

    /// Returns the items if this object is a list.
    fn items(&self) -> Option<Vec<Item>> {
        let list = self.list()?;
        // The whole list is in one of the fields, so the items share that field's memory.
        let contains_list = |field: &&Bytes| field.as_ptr_range().contains(&list.encoded().as_ptr());
        let field = self.fields.iter().find(contains_list);
        let shared = |slice: &[u8]| {
            field.map_or_else(|| Bytes::copy_from_slice(slice), |field| field.slice_ref(slice))
        };
        let item = |encoded: &[u8]| Item(ItemSource::ListItem(shared(encoded)));
        Some(list.elements().map(item).collect())
    }

    fn raw(&self) -> RawValue<'_> {
        RawValue::object(Fields::Separate(self.fields.iter()))
    }
}

impl Item {
    fn raw(&self) -> RawValue<'_> {
        match &self.0 {
            ItemSource::Object(object) => object.raw(),
            ItemSource::ListItem(encoded) => RawValue::value(encoded),
        }
    }

    /// Returns the object's `kind`. `None` if it is missing or empty.
    pub fn kind(&self) -> Option<&str> {
        self.raw().text("kind").filter(|kind| !kind.is_empty())
    }

    /// Returns the object's name for messages, with its namespace if it has one, even if the object can't be read.
    /// `None` if the object has no name.
    pub fn name(&self) -> Option<String> {
        let metadata = self.raw().get("metadata");
        let text = |key| {
            let text = metadata.as_ref().and_then(|metadata| metadata.text(key));
            text.filter(|text| !text.is_empty())
        };
        match (text("namespace"), text("name")) {
            (Some(namespace), Some(name)) => Some(format!("{namespace}/{name}")),
            (None, Some(name)) => Some(name.to_owned()),
            (_, None) => None,
        }
    }

    /// Passes the object to a seed that examines its fields. The seed must not keep much of them, because no memory is
    /// charged. Returns `None` if the encoding is invalid or nested too deeply.
    pub fn inspect<T>(&self, seed: impl for<'de> DeserializeSeed<'de, Value = T>) -> Option<T> {
        seed.deserialize(self.raw()).ok()
    }

    /// Reads the object without a limit on memory.
    ///
    /// # Errors
    /// The object's kind isn't `kind`, or one of its fields has the wrong type.
    pub fn read<T: DeserializeOwned>(&self, kind: &str) -> Result<T, ReadError> {
        self.read_with_budget(kind, &MemoryBudget::unlimited())
    }

    /// Reads the object, and takes the memory for it from a budget.
    ///
    /// # Errors
    /// Those of [`Item::read`]. Reading also fails when the budget is exhausted; [`MemoryBudget::is_exhausted`] then
    /// returns true.
    pub fn read_with_budget<T: DeserializeOwned>(
        &self,
        kind: &str,
        budget: &MemoryBudget,
    ) -> Result<T, ReadError> {
        if let Some(actual) = self.kind().filter(|actual| *actual != kind) {
            return Err(ReadError {
                field: "kind".to_owned(),
                message: format!("expected a {kind}, found a {actual}"),
            });
        }
        let meter = MemoryMeter::new(budget);
        T::deserialize(self.raw().with_meter(&meter)).map_err(|error| {
            if budget.is_exhausted() {
                return ReadError {
                    field: String::new(),
                    message: error.to_string(),
                };
            }
            self.locate_error::<T>(&meter)
        })
    }

    /// Reads the object again to find the field that can't be read. Tracking the path of the current field takes
    /// several times as long as reading, so only objects that have failed are read this way.
    fn locate_error<T: DeserializeOwned>(&self, meter: &MemoryMeter<'_>) -> ReadError {
        let raw = self.raw().with_names().with_meter(meter);
        match serde_path_to_error::deserialize::<_, T>(raw) {
            Ok(_) => ReadError {
                field: String::new(),
                message: "can't be read".to_owned(),
            },
            Err(error) => ReadError {
                field: field_path::of_error(error.path()),
                message: error.into_inner().to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
