mod errors;

use prost::encoding::encode_key;
use serde_json::json;

use super::*;
use crate::facts::Node;

fn raw_struct(value: &Value) -> RawStruct {
    value.as_object().unwrap().into()
}

fn item(value: &Value) -> Item {
    expand(vec![raw_struct(value)]).pop().unwrap()
}

/// Returns a JSON value of `depth` lists nested in one another.
fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| json!([inner]))
}

#[test]
fn object_is_read_as_it_was_written() {
    let object = json!({
        "a": 8080, "b": 0.5, "c": [null, true, "x", {"y": [], "z": {}}], "d": -3, "e": "", "f": {"g": "ü"},
    });
    assert_eq!(item(&object).read::<Value>("Any").unwrap(), object);
}

#[test]
fn raw_struct_is_encoded_as_a_struct_and_decoded_unchanged() {
    let object = raw_struct(&json!({"kind": "Node", "metadata": {"name": "a"}}));
    let decoded = RawStruct::decode(Bytes::from(object.encode_to_vec())).unwrap();
    assert_eq!(decoded, object);
    let decoded = Struct::decode(Bytes::from(decoded.encode_to_vec())).unwrap();
    assert_eq!(decoded.fields.len(), 2);
}

#[test]
fn numbers_beyond_exact_integers_are_rounded() {
    let object =
        json!({"a": 9_007_199_254_740_993_u64, "b": 1e300, "c": 4e18, "d": -9_223_372_036_854_775_808.0});
    let read: Value = item(&object).read("Any").unwrap();
    assert_eq!(read["a"], json!(9_007_199_254_740_992_i64));
    assert_eq!(read["b"], json!(1e300));
    assert_eq!(read["c"], json!(4_000_000_000_000_000_000_i64));
    assert_eq!(read["d"], json!(i64::MIN));
    let too_large: Value = item(&json!({"a": u64::MAX})).read("Any").unwrap();
    assert_eq!(too_large["a"], json!(18_446_744_073_709_551_616.0));
}

#[test]
fn lists_are_replaced_by_their_items() {
    let list =
        json!({"kind": "List", "items": [{"kind": "Node", "metadata": {"name": "a"}}, {"kind": "Node"}]});
    let items = expand(vec![raw_struct(&list), raw_struct(&json!({"kind": "Node"}))]);
    assert_eq!(items.len(), 3);
    let node: Node = items[0].read("Node").unwrap();
    assert_eq!(node.metadata.name, "a");
}

#[test]
fn list_needs_no_kind_but_a_node_with_items_is_no_list() {
    assert_eq!(expand(vec![raw_struct(&json!({"items": [{}, {}]}))]).len(), 2);
    assert_eq!(
        expand(vec![raw_struct(&json!({"kind": "Node", "items": [{}, {}]}))]).len(),
        1
    );
    assert_eq!(
        expand(vec![raw_struct(&json!({"kind": "NodeList", "items": 7}))]).len(),
        1
    );
}

#[test]
fn list_whose_items_are_null_is_empty() {
    for kind in ["List", "NodeList"] {
        assert_eq!(
            expand(vec![raw_struct(&json!({"kind": kind, "items": null}))]).len(),
            0
        );
    }
    for object in [json!({"kind": "Node", "items": null}), json!({"items": null})] {
        assert_eq!(expand(vec![raw_struct(&object)]).len(), 1);
    }
}

#[test]
fn null_items_of_a_list_are_skipped() {
    let list = json!({"kind": "List", "items": [null, {"kind": "Node"}, null, "a", {}]});
    assert_eq!(expand_at_most(vec![raw_struct(&list)], 3).unwrap().len(), 3);
    let items = expand(vec![raw_struct(&list)]);
    assert_eq!(items[0].kind(), Some("Node"));
    assert!(items[1].read::<Node>("Node").is_err());
    assert!(items[2].read::<Node>("Node").is_ok());
}

#[test]
fn list_item_that_is_no_object_is_an_error_of_its_own() {
    let items = expand(vec![raw_struct(
        &json!({"kind": "List", "items": ["a", {"kind": "Node"}]}),
    )]);
    let error = items[0].read::<Node>("Node").unwrap_err();
    assert_eq!(error.field, "");
    assert_eq!(error.message, "must be an object, found \"a\"");
    assert!(items[1].read::<Node>("Node").is_ok());
}

#[test]
fn object_of_another_kind_is_an_error() {
    let error = item(&json!({"kind": "Pod"})).read::<Node>("Node").unwrap_err();
    assert_eq!(error.field, "kind");
    assert_eq!(error.message, "expected a Node, found a Pod");
    for kind in [json!(""), Value::Null] {
        let object = item(&json!({"kind": kind, "metadata": {"name": "a"}}));
        assert_eq!(object.read::<Node>("Node").unwrap().metadata.name, "a");
    }
}

#[test]
fn object_is_named_by_its_metadata() {
    for (metadata, name) in [
        (json!({"namespace": "a", "name": "b"}), Some("a/b")),
        (json!({"name": "b"}), Some("b")),
        (json!({"namespace": "", "name": "b"}), Some("b")),
        (json!({"namespace": "a", "name": ""}), None),
        (json!(null), None),
    ] {
        assert_eq!(item(&json!({"metadata": metadata})).name().as_deref(), name);
    }
}

#[test]
fn deeply_nested_value_is_an_error_and_no_stack_overflow() {
    assert!(item(&json!({"a": nested(90)})).read::<Value>("Any").is_ok());
    let error = item(&json!({"a": nested(2_000)}))
        .read::<Value>("Any")
        .unwrap_err();
    assert!(error.message.contains("deeper than"), "{}", error.message);
}

#[test]
fn invalid_encoding_is_an_error() {
    for field in [
        // An entry whose length exceeds the data.
        &[0x0A, 0x7F, b'a'][..],
        // A group.
        &[0x0B],
        // A key that isn't valid text.
        &[0x0A, 0x01, 0xFF],
    ] {
        let object = RawStruct {
            fields: vec![Bytes::copy_from_slice(field)],
        };
        let error = expand(vec![object])[0].read::<Value>("Any").unwrap_err();
        assert!(
            error.message.contains("invalid encoding") || error.message.contains("UTF-8"),
            "{}",
            error.message
        );
    }
}

#[test]
fn unknown_fields_of_a_struct_are_skipped() {
    let mut encoded = raw_struct(&json!({"kind": "Node"})).encode_to_vec();
    encode_key(9, WireType::Varint, &mut encoded);
    encoded.push(1);
    let object = RawStruct::decode(Bytes::from(encoded)).unwrap();
    assert_eq!(expand(vec![object])[0].kind(), Some("Node"));
}

#[test]
fn unknown_fields_of_a_value_are_skipped() {
    let mut value = prost_types::Value {
        kind: Some(Kind::StringValue("a".to_owned())),
    }
    .encode_to_vec();
    encode_key(9, WireType::Varint, &mut value);
    value.push(1);
    encode_key(10, WireType::StartGroup, &mut value);
    encode_key(10, WireType::EndGroup, &mut value);
    let item = Item(ItemSource::ListItem(Bytes::from(value)));
    assert_eq!(item.read::<String>("Any").unwrap(), "a");
}

#[test]
fn reading_stops_at_an_invalid_encoding() {
    // A varint that is longer than any valid one. The decoder fails without consuming it.
    let endless = [0xFF; 11];
    // As the content of an object and of a list.
    for tag in [5, 6] {
        let mut value = Vec::new();
        encode_key(tag, WireType::LengthDelimited, &mut value);
        value.push(11);
        value.extend(endless);
        let item = Item(ItemSource::ListItem(Bytes::from(value)));
        assert_eq!((item.kind(), item.name()), (None, None));
        assert!(item.read::<Value>("Any").is_err());
    }
    let item = Item(ItemSource::ListItem(Bytes::copy_from_slice(&endless)));
    assert_eq!(item.kind(), None);
    assert!(item.read::<Node>("Node").is_err());
}

/// Returns the bytes of memory that reading a node takes.
fn bytes_taken(object: &Value) -> usize {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    let granted = Arc::new(AtomicUsize::new(0));
    let counter = granted.clone();
    let budget = MemoryBudget::with_grant(move |bytes| {
        counter.fetch_add(bytes, Ordering::Relaxed);
        true
    });
    let _: Node = item(object).read_with_budget("Node", &budget).unwrap();
    granted.load(Ordering::Relaxed)
}

#[test]
fn read_values_count_by_their_size_and_skipped_ones_count_nothing() {
    let many = 20_000;
    let taints = bytes_taken(&json!({"spec": {"taints": vec![json!({}); many]}}));
    assert!(
        taints >= many * size_of::<crate::facts::object::Taint>(),
        "{taints}"
    );
    let labels: Map<_, _> = (0..many).map(|key| (key.to_string(), json!(""))).collect();
    let labels = bytes_taken(&json!({"metadata": {"labels": labels}}));
    assert!(labels >= many * 2 * size_of::<String>(), "{labels}");
    let taints = bytes_taken(&json!({"spec": {"taints": vec![Value::Null; many]}}));
    assert!(
        taints >= many * size_of::<crate::facts::object::Taint>(),
        "{taints}"
    );
    let labels: Map<_, _> = (0..many).map(|key| (key.to_string(), Value::Null)).collect();
    let labels = bytes_taken(&json!({"metadata": {"labels": labels}}));
    assert!(labels >= many * 2 * size_of::<String>(), "{labels}");
    let skipped = bytes_taken(&json!({"status": {"images": vec![json!({"names": vec!["x"; 10]}); many]}}));
    assert!(skipped < 100_000, "{skipped}");
    let text = bytes_taken(&json!({"metadata": {"name": "x".repeat(many)}}));
    assert!((many / 2..many + 100_000).contains(&text), "{text}");
}

#[test]
fn reading_stops_when_the_budget_is_exhausted() {
    let limit = 1_000_000;
    let left = std::sync::atomic::AtomicUsize::new(limit);
    let budget = MemoryBudget::with_grant(move |bytes| {
        use std::sync::atomic::Ordering::Relaxed;
        left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes))
            .is_ok()
    });
    let small = item(&json!({"metadata": {"name": "small"}}));
    let large = item(&json!({"spec": {"taints": vec![json!({}); limit / 10]}}));
    for _ in 0..1_000 {
        small.read_with_budget::<Node>("Node", &budget).unwrap();
    }
    assert!(!budget.is_exhausted());
    let refused = large.read_with_budget::<Node>("Node", &budget).unwrap_err();
    assert!(refused.message.contains("memory"), "{refused:?}");
    assert!(budget.is_exhausted());
}

/// Returns a list of `count` nodes among `count` other fields.
fn list_among_fields(count: usize) -> RawStruct {
    let mut object = Map::new();
    for number in 0..count {
        object.insert(format!("field-{number}"), Value::Null);
    }
    object.insert("kind".to_owned(), "List".into());
    object.insert("items".to_owned(), vec![json!({"kind": "Node"}); count].into());
    RawStruct::from(&object)
}

#[test]
fn expanding_a_list_takes_time_proportional_to_its_length() {
    let list = list_among_fields(100_000);
    let started = std::time::Instant::now();
    let items = expand(vec![list]);
    // Searching every field for every item would take minutes.
    assert!(
        started.elapsed().as_secs() < 20,
        "it took {:?}",
        started.elapsed()
    );
    assert_eq!(items.len(), 100_000);
    assert_eq!(items[99_999].kind(), Some("Node"));
}

#[test]
fn items_beyond_the_limit_are_counted_and_not_stored() {
    let objects = || vec![list_among_fields(5), raw_struct(&json!({"kind": "Node"}))];
    assert_eq!(expand_at_most(objects(), 6).unwrap().len(), 6);
    assert_eq!(expand_at_most(objects(), 5).unwrap_err(), 6);
}
