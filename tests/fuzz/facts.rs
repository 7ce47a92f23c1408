//! Kubernetes objects, as callers send them and as API servers encode them.

use everynode_proto::facts::{DaemonSet, Node, Pod, Unread, protobuf, unread};
use fastrand::Rng;
use prost::Message;
use prost::bytes::Bytes;
use serde_json::Value;

use crate::driver::{Input, fuzz};
use crate::mutate::mutated;
use crate::seeds;

fn read_all(input: &Input) {
    let Ok(object) = Unread::decode(input[0].as_slice()) else {
        return;
    };
    assert_eq!(
        Unread::decode(object.encode_to_vec().as_slice()).as_ref(),
        Ok(&object)
    );
    for (index, item) in unread::expand(vec![object]).iter().enumerate() {
        item.name(index);
        let _ = item.read::<Value>(item.kind().unwrap_or_default());
        let _ = item.read::<Node>("Node").map(|node| node.facts());
        let _ = item.read::<Pod>("Pod").map(|pod| pod.facts());
        if let Ok(daemon_set) = item.read::<DaemonSet>("DaemonSet") {
            let (_, problems) = daemon_set.facts(&daemon_set.spec.template, "r1");
            assert!(problems.len() <= 3, "{problems:?}");
        }
    }
}

#[test]
fn no_object_of_a_call_panics() {
    let (sets, nodes, pods) = seeds::requests();
    let valid: Vec<_> = [sets, nodes, pods]
        .concat()
        .iter()
        .map(Message::encode_to_vec)
        .collect();
    let make = move |random: &mut Rng| vec![mutated(random, &valid)];
    fuzz("objects of calls", 8_000, make, read_all);
}

#[test]
fn no_object_in_kubernetes_protobuf_panics() {
    let valid = seeds::protobuf();
    let make = move |random: &mut Rng| vec![mutated(random, &valid)];
    fuzz("objects in protobuf", 20_000, make, |input| {
        let object = Bytes::from(input[0].clone());
        let _ = protobuf::node(object.clone()).map(|node| node.facts());
        let _ = protobuf::pod(object.clone()).map(|pod| pod.facts());
        let _ = protobuf::bookmark(object.clone());
        let _ = protobuf::status(object.clone());
        let _ = protobuf::watch_event(object.clone());
        let _ = protobuf::page(&object);
        let _ = protobuf::unwrapped(&object);
    });
}
