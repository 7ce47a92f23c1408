//! Fuzz targets: Kubernetes objects, as callers send them and as API servers encode them.

use everynode_proto::facts::object::policy::{Namespace, RolloutPolicy};
use everynode_proto::facts::{DaemonSet, Node, Pod, RawStruct, protobuf, raw_struct};
use fastrand::Rng;
use prost::Message;
use prost::bytes::Bytes;
use serde_json::Value;

use crate::driver::{Input, fuzz};
use crate::mutate::mutated;
use crate::seeds;

fn decode_object(input: &Input) -> bool {
    let Ok(object) = RawStruct::decode(input[0].as_slice()) else {
        return false;
    };
    assert_eq!(
        RawStruct::decode(object.encode_to_vec().as_slice()).as_ref(),
        Ok(&object)
    );
    let mut decoded = false;
    for item in &raw_struct::expand(vec![object]) {
        item.name();
        decoded |= item.read::<Value>(item.kind().unwrap_or_default()).is_ok();
        let _ = item.read::<Node>("Node").map(Node::into_facts);
        let _ = item.read::<Pod>("Pod").map(|pod| pod.facts());
        let _ = item.read::<RolloutPolicy>("DaemonSetRolloutPolicy");
        let _ = item.read::<Namespace>("Namespace");
        if let Ok(daemon_set) = item.read::<DaemonSet>("DaemonSet") {
            let (_, problems) = daemon_set.facts(&daemon_set.spec.template, "r1");
            assert!(problems.len() <= 3, "{problems:?}");
        }
    }
    decoded
}

#[test]
fn no_object_in_a_request_panics() {
    let (sets, nodes, pods) = seeds::requests();
    let valid: Vec<_> = [sets, nodes, pods, seeds::rollouts::raw_objects()]
        .concat()
        .iter()
        .map(Message::encode_to_vec)
        .collect();
    let make = move |random: &mut Rng| vec![mutated(random, &valid)];
    fuzz("objects in requests", 8_000, make, decode_object);
}

#[test]
fn no_object_in_kubernetes_protobuf_panics() {
    let valid = seeds::protobuf();
    let make = move |random: &mut Rng| vec![mutated(random, &valid)];
    fuzz("objects in protobuf", 20_000, make, |input| {
        let object = Bytes::from(input[0].clone());
        let node = protobuf::decode_node(object.clone()).map(Node::into_facts);
        let pod = protobuf::decode_pod(object.clone()).map(|pod| pod.facts());
        let bookmark = protobuf::decode_bookmark(object.clone());
        let status = protobuf::decode_status(object.clone());
        let event = protobuf::decode_watch_event(object.clone());
        let (page, unwrapped) = (protobuf::decode_page(&object), protobuf::unwrap_object(&object));
        let object = node.is_ok() || pod.is_ok() || bookmark.is_ok() || status.is_ok();
        object || event.is_ok() || page.is_ok() || unwrapped.is_ok()
    });
}
