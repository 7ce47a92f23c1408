use prost::encoding::encode_key;
use serde_json::json;

use super::*;
use crate::facts::Node;

fn unread(value: &Value) -> Unread {
    value.as_object().unwrap().into()
}

fn item(value: &Value) -> Item {
    expand(vec![unread(value)]).pop().unwrap()
}

/// Returns a `google.protobuf.Value` of `depth` lists nested in one another.
fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| json!([inner]))
}

#[test]
fn what_is_read_is_what_was_given() {
    let object = json!({
        "a": 8080, "b": 0.5, "c": [null, true, "x", {"y": [], "z": {}}], "d": -3, "e": "", "f": {"g": "ü"},
    });
    assert_eq!(item(&object).read::<Value>("Any").unwrap(), object);
}

#[test]
fn an_object_comes_back_from_the_wire_as_it_went() {
    let object = unread(&json!({"kind": "Node", "metadata": {"name": "a"}}));
    let there = Unread::decode(Bytes::from(object.encode_to_vec())).unwrap();
    assert_eq!(there, object);
    let here = Struct::decode(Bytes::from(there.encode_to_vec())).unwrap();
    assert_eq!(here.fields.len(), 2);
}

#[test]
fn numbers_that_no_float_tells_apart_stay_floats() {
    let object = json!({"a": 9_007_199_254_740_993_u64, "b": 1e300});
    let read: Value = item(&object).read("Any").unwrap();
    assert_eq!(read["a"], json!(9_007_199_254_740_992_i64));
    assert_eq!(read["b"], json!(1e300));
}

#[test]
fn lists_are_replaced_by_their_items() {
    let list =
        json!({"kind": "List", "items": [{"kind": "Node", "metadata": {"name": "a"}}, {"kind": "Node"}]});
    let items = expand(vec![unread(&list), unread(&json!({"kind": "Node"}))]);
    assert_eq!(items.len(), 3);
    let node: Node = items[0].read("Node").unwrap();
    assert_eq!(node.metadata.name, "a");
}

#[test]
fn a_list_without_a_kind_is_a_list_and_a_node_with_items_is_none() {
    assert_eq!(expand(vec![unread(&json!({"items": [{}, {}]}))]).len(), 2);
    assert_eq!(
        expand(vec![unread(&json!({"kind": "Node", "items": [{}, {}]}))]).len(),
        1
    );
    assert_eq!(
        expand(vec![unread(&json!({"kind": "NodeList", "items": 7}))]).len(),
        1
    );
}

#[test]
fn what_is_no_object_in_a_list_is_an_error_of_its_own() {
    let items = expand(vec![unread(
        &json!({"kind": "List", "items": ["a", {"kind": "Node"}]}),
    )]);
    let error = items[0].read::<Node>("Node").unwrap_err();
    assert!(
        error.message.contains("invalid type: string \"a\""),
        "{}",
        error.message
    );
    assert!(items[1].read::<Node>("Node").is_ok());
}

#[test]
fn an_error_names_the_field() {
    let object = json!({"kind": "Node", "spec": {"taints": [{"key": "a"}, {"key": 7}]}});
    let error = item(&object).read::<Node>("Node").unwrap_err();
    assert_eq!(error.field, "spec.taints[1].key");
    assert!(error.message.contains("expected a string"), "{}", error.message);
}

#[test]
fn another_kind_is_refused() {
    let error = item(&json!({"kind": "Pod"})).read::<Node>("Node").unwrap_err();
    assert_eq!(error.field, "kind");
    assert_eq!(error.message, "expected a Node, found a Pod");
}

#[test]
fn an_object_is_called_by_its_name_or_by_its_place() {
    for (metadata, name) in [
        (json!({"namespace": "a", "name": "b"}), "a/b"),
        (json!({"name": "b"}), "b"),
        (json!({"namespace": "", "name": "b"}), "b"),
        (json!({"namespace": "a", "name": ""}), "#3"),
        (json!(null), "#3"),
    ] {
        assert_eq!(item(&json!({"metadata": metadata})).name(3), name);
    }
}

#[test]
fn null_is_read_as_absent() {
    let taint = json!({"key": null, "value": null, "effect": null});
    let object = json!({
        "metadata": {"name": "a", "labels": null, "creationTimestamp": null, "annotations": null},
        "spec": {"taints": [taint]},
    });
    let node: Node = item(&object).read("Node").unwrap();
    assert_eq!(node.metadata.name, "a");
    assert_eq!(node.into_facts().taints, [crate::planner::v1::Taint::default()]);
    let node: Node = item(&json!({"spec": {"taints": null}})).read("Node").unwrap();
    assert!(node.spec.taints.is_empty());
}

#[test]
fn requirements_may_be_null_in_every_field() {
    let requirement = json!({"key": null, "operator": null, "values": null});
    let requirement: crate::facts::object::Requirement = item(&requirement).read("Requirement").unwrap();
    assert_eq!(requirement, crate::facts::object::Requirement::default());
}

#[test]
fn what_lies_too_deep_is_an_error_and_no_overflow() {
    assert!(item(&json!({"a": nested(90)})).read::<Value>("Any").is_ok());
    let error = item(&json!({"a": nested(2_000)}))
        .read::<Value>("Any")
        .unwrap_err();
    assert!(error.message.contains("deeper than"), "{}", error.message);
}

#[test]
fn what_is_not_encoded_as_a_value_is_an_error() {
    for field in [
        // An entry whose length exceeds the data.
        &[0x0A, 0x7F, b'a'][..],
        // A group.
        &[0x0B],
        // A key that isn't valid text.
        &[0x0A, 0x01, 0xFF],
    ] {
        let object = Unread {
            fields: vec![Bytes::copy_from_slice(field)],
        };
        let error = expand(vec![object])[0].read::<Value>("Any").unwrap_err();
        assert!(
            error.message.contains("not encoded") || error.message.contains("UTF-8"),
            "{}",
            error.message
        );
    }
}

#[test]
fn fields_that_a_struct_does_not_have_are_passed_over() {
    let mut encoded = unread(&json!({"kind": "Node"})).encode_to_vec();
    encode_key(9, WireType::Varint, &mut encoded);
    encoded.push(1);
    let object = Unread::decode(Bytes::from(encoded)).unwrap();
    assert_eq!(expand(vec![object])[0].kind(), Some("Node"));
}

#[test]
fn a_value_of_a_newer_caller_is_what_is_known_of_it() {
    let mut value = prost_types::Value {
        kind: Some(Kind::StringValue("a".to_owned())),
    }
    .encode_to_vec();
    encode_key(9, WireType::Varint, &mut value);
    value.push(1);
    encode_key(10, WireType::StartGroup, &mut value);
    encode_key(10, WireType::EndGroup, &mut value);
    let item = Item(Inner::Listed(Bytes::from(value)));
    assert_eq!(item.read::<String>("Any").unwrap(), "a");
}

#[test]
fn nothing_is_looked_for_after_what_can_not_be_read() {
    // A varint that is longer than any valid one. The decoder doesn't consume it when it can't read it.
    let endless = [0xFF; 11];
    // As an object and as a list.
    for tag in [5, 6] {
        let mut value = Vec::new();
        encode_key(tag, WireType::LengthDelimited, &mut value);
        value.push(11);
        value.extend(endless);
        let item = Item(Inner::Listed(Bytes::from(value)));
        assert_eq!((item.kind(), item.name(1).as_str()), (None, "#1"));
        assert!(item.read::<Value>("Any").is_err());
    }
    let item = Item(Inner::Listed(Bytes::copy_from_slice(&endless)));
    assert_eq!(item.kind(), None);
    assert!(item.read::<Node>("Node").is_err());
}

/// Returns how much memory reading a node takes, in bytes.
fn taken(object: &Value) -> usize {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    let granted = Arc::new(AtomicUsize::new(0));
    let counter = granted.clone();
    let allowance = Allowance::granted_by(move |bytes| {
        counter.fetch_add(bytes, Ordering::Relaxed);
        true
    });
    let _: Node = item(object).read_within("Node", &allowance).unwrap();
    granted.load(Ordering::Relaxed)
}

#[test]
fn what_is_read_counts_by_its_own_size_and_what_is_not_read_counts_for_nothing() {
    let many = 20_000;
    let taints = taken(&json!({"spec": {"taints": vec![json!({}); many]}}));
    assert!(
        taints >= many * size_of::<crate::facts::object::Taint>(),
        "{taints}"
    );
    let labels: Map<_, _> = (0..many).map(|key| (key.to_string(), json!(""))).collect();
    let labels = taken(&json!({"metadata": {"labels": labels}}));
    assert!(labels >= many * 2 * size_of::<String>(), "{labels}");
    let unread = taken(&json!({"status": {"images": vec![json!({"names": vec!["x"; 10]}); many]}}));
    assert!(unread < 100_000, "{unread}");
    let text = taken(&json!({"metadata": {"name": "x".repeat(many)}}));
    assert!((many / 2..many + 100_000).contains(&text), "{text}");
}

#[test]
fn nothing_is_read_beyond_the_allowance() {
    let most = 1_000_000;
    let left = std::sync::atomic::AtomicUsize::new(most);
    let allowance = Allowance::granted_by(move |bytes| {
        use std::sync::atomic::Ordering::Relaxed;
        left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes))
            .is_ok()
    });
    let small = item(&json!({"metadata": {"name": "small"}}));
    let large = item(&json!({"spec": {"taints": vec![json!({}); most / 10]}}));
    for _ in 0..1_000 {
        small.read_within::<Node>("Node", &allowance).unwrap();
    }
    assert!(!allowance.is_exhausted());
    let refused = large.read_within::<Node>("Node", &allowance).unwrap_err();
    assert!(refused.message.contains("memory"), "{refused:?}");
    assert!(allowance.is_exhausted());
}

/// Returns a list of `count` nodes among `count` other fields.
fn list_among_fields(count: usize) -> Unread {
    let mut object = Map::new();
    for number in 0..count {
        object.insert(format!("field-{number}"), Value::Null);
    }
    object.insert("kind".to_owned(), "List".into());
    object.insert("items".to_owned(), vec![json!({"kind": "Node"}); count].into());
    Unread::from(&object)
}

#[test]
fn many_items_among_many_fields_take_time_in_proportion_to_their_number() {
    let list = list_among_fields(100_000);
    let begun = std::time::Instant::now();
    let items = expand(vec![list]);
    // Searching every field for every item would take minutes.
    assert!(begun.elapsed().as_secs() < 20, "it took {:?}", begun.elapsed());
    assert_eq!(items.len(), 100_000);
    assert_eq!(items[99_999].kind(), Some("Node"));
}

#[test]
fn more_items_than_are_wanted_are_counted_and_not_kept() {
    let objects = || vec![list_among_fields(5), unread(&json!({"kind": "Node"}))];
    assert_eq!(expand_at_most(objects(), 6).unwrap().len(), 6);
    assert_eq!(expand_at_most(objects(), 5).unwrap_err(), 6);
}
