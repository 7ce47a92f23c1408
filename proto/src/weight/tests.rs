use std::{alloc::Layout, collections::BTreeMap, mem};

use prost::bytes::Bytes;

use super::*;
use crate::{
    executor::v1 as executor,
    facts::RawStruct,
    planner::v1::{
        DaemonSetFacts, ExplainRequest, Fact, FailedRequirement, NodeFacts, NodeSelectorTerm, NodeTemplate,
        NodeVerdict, Plan, PlanRequest, PodFacts, PodTemplateFacts, Reason, SessionRequest,
        SimulateNodesRequest, SimulateRolloutRequest, Taint, Toleration, fact,
    },
};

fn struct_size_of(name: &str) -> usize {
    LAYOUTS.layouts[LAYOUTS.by_name[name]].size
}

#[test]
fn weighed_struct_sizes_are_at_least_the_real_ones() {
    fn check<M: Name>() {
        let (weighed, real) = (struct_size_of(&M::full_name()), mem::size_of::<M>());
        assert!(
            real <= weighed && weighed <= 3 * real,
            "{} has {real} bytes, {weighed} are weighed",
            M::full_name()
        );
    }
    check::<DaemonSetFacts>();
    check::<ExplainRequest>();
    check::<Fact>();
    check::<FailedRequirement>();
    check::<NodeFacts>();
    check::<NodeSelectorTerm>();
    check::<NodeTemplate>();
    check::<NodeVerdict>();
    check::<Plan>();
    check::<PlanRequest>();
    check::<PodFacts>();
    check::<PodTemplateFacts>();
    check::<Reason>();
    check::<SessionRequest>();
    check::<SimulateNodesRequest>();
    check::<SimulateRolloutRequest>();
    check::<Taint>();
    check::<Toleration>();
    check::<executor::ExplainRequest>();
    check::<executor::Placement>();
    assert!(struct_size_of("google.protobuf.Struct") >= mem::size_of::<RawStruct>());
    assert!(BYTES_HANDLE_BYTES >= mem::size_of::<Bytes>());
    assert!(HANDLE_BYTES >= Layout::new::<BTreeMap<String, String>>().size());
}

/// Encodes a length-delimited field with this number and content, repeated `times` times.
fn repeated(number: u8, content: &[u8], times: usize) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    encoded.extend_from_slice(content);
    encoded.repeat(times)
}

#[test]
fn list_elements_count_at_every_depth() {
    let plain = decoded_bytes(&SessionRequest::default());
    let tolerations = |count: usize| SessionRequest {
        facts: vec![Fact {
            fact: Some(fact::Fact::DaemonSetChanged(DaemonSetFacts {
                template: Some(PodTemplateFacts {
                    tolerations: vec![Toleration::default(); count],
                    ..PodTemplateFacts::default()
                }),
                ..DaemonSetFacts::default()
            })),
        }],
        ..SessionRequest::default()
    };
    let (one, many) = (decoded_bytes(&tolerations(0)), decoded_bytes(&tolerations(1_000)));
    assert!(one - plain >= mem::size_of::<Fact>(), "{plain}, {one}");
    assert!(
        many - one >= 1_000 * mem::size_of::<Toleration>(),
        "{one}, {many}"
    );
}

#[test]
fn raw_structs_count_with_their_outermost_fields() {
    let kind = MessageType::from_full_name("everynode.planner.v1.PlanRequest").unwrap();
    let object = repeated(1, &[], 40);
    let (one, many) = (
        kind.weigh(repeated(2, &[], 100).as_slice()),
        kind.weigh(repeated(2, &object, 100).as_slice()),
    );
    assert!(one >= 100 * mem::size_of::<RawStruct>(), "{one}");
    assert!(many - one >= 100 * 40 * mem::size_of::<Bytes>(), "{one}, {many}");
}

#[test]
fn map_with_one_entry_weighs_as_much_as_a_whole_map_node() {
    let node = |labels: usize| NodeFacts {
        labels: (0..labels)
            .map(|label| (label.to_string(), String::new()))
            .collect(),
        ..NodeFacts::default()
    };
    let [empty, one, thousand] = [0, 1, 1_000].map(|labels| decoded_bytes(&node(labels)));
    assert!(one - empty >= 11 * 2 * mem::size_of::<String>(), "{empty}, {one}");
    let most = thousand - empty;
    assert!((100_000..300_000).contains(&most), "{most}");
}

#[test]
fn weight_of_text_is_its_length() {
    let length = 100_000;
    let request = PlanRequest {
        update_revision: Some("x".repeat(length)),
        ..PlanRequest::default()
    };
    let weight = decoded_bytes(&request);
    assert!((length..length + 1_000).contains(&weight), "{weight}");
}

#[test]
fn malformed_message_is_weighed_up_to_where_decoding_stops() {
    let kind = MessageType::from_full_name("everynode.planner.v1.NodeFacts").unwrap();
    let whole = NodeFacts {
        name: "n".to_owned(),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        taints: vec![Taint::default(); 3],
        ..NodeFacts::default()
    }
    .encode_to_vec();
    let weights: Vec<_> = (0..=whole.len()).map(|end| kind.weigh(&whole[..end])).collect();
    assert!(weights.is_sorted(), "{weights:?}");
    // A varint that continues beyond the end of its message, groups that never end, and a length beyond the end of its
    // message.
    for broken in [
        &[0x1A, 1, 0x08, 0x80, 0x80][..],
        &[0x0B; 50],
        &[0x12, 2, 0x0A, 0x7F, 0],
    ] {
        kind.weigh(broken);
    }
    assert_eq!(MessageType::from_full_name("everynode.planner.v1.Unknown"), None);
}
