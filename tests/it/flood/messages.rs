//! Fills every list and map of every message with as many of the smallest elements as the size limits admit. A decoded
//! message can take many times the memory of its encoding, so the planner must count that memory before it decodes.

mod paths;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use everynode_proto::FILE_DESCRIPTOR_SET;
use everynode_proto::facts::RawStruct;
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::raw_codec::RawCodec;
use everynode_tests::service::{Planner, ServiceOptions};
use http::uri::PathAndQuery;
use procfs::process::Process;
use prost::{
    Message as _,
    bytes::{BufMut as _, Bytes},
    encoding::encode_varint,
};
use prost_types::{
    DescriptorProto, FileDescriptorSet, MessageOptions,
    field_descriptor_proto::{Label, Type},
};
use serde_json::json;
use tonic::{Code, Request, client::Grpc, transport::Channel};

use self::paths::paths_in;
use super::BOUND_MIB;

/// The largest message of a unary call, in bytes. `SESSION_BYTES` is the same for a session.
const CALL_BYTES: usize = 64 * 1024 * 1024;
const SESSION_BYTES: usize = 16 * 1024 * 1024;
/// Number of callers that send at the same time. They share the planner's memory limit.
const CALLERS: usize = 3;
const OBJECT: &str = ".google.protobuf.Struct";

/// Encodes a length-delimited field: its number, then its content.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(content.len() + 11);
    encode_varint(u64::from(number << 3 | 2), &mut encoded);
    encode_varint(content.len() as u64, &mut encoded);
    encoded.put_slice(content);
    encoded
}

/// Repeats an element as often as it fits into `bytes`.
fn filled(bytes: usize, element: &[u8]) -> Vec<u8> {
    element.repeat(bytes / element.len())
}

/// Fills `bytes` with as many map entries as fit. Each entry is `before`, a distinct key of four bytes, and `after`.
fn filled_with_entries(bytes: usize, before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes);
    for index in 0_u32.. {
        if all.len() + before.len() + 4 + after.len() > bytes {
            break;
        }
        all.put_slice(before);
        // The key consists of printable characters.
        all.put_slice(&[0, 6, 12, 18].map(|shift| b'0' + u8::try_from(index >> shift & 63).unwrap()));
        all.put_slice(after);
    }
    all
}

/// An entry of a `google.protobuf.Struct`. `value` is already encoded.
fn entry(key: &str, value: &[u8]) -> Vec<u8> {
    let inner = [field(1, key.as_bytes()), field(2, value)].concat();
    field(1, &inner)
}

/// An encoded `google.protobuf.Struct` in which the list or map at `place` fills `bytes`.
fn object(place: &str, bytes: usize) -> Vec<u8> {
    // Both wrap nested content in a `google.protobuf.Value`.
    let as_object = |content: &[u8]| field(5, content);
    let as_list = |content: &[u8]| field(6, content);
    let (whole, mut value) = if let Some(map) = place.strip_suffix(".*") {
        // A null, which is shorter than an empty text and is read as one.
        let one = entry("AAAA", &[]);
        let key = one.windows(4).position(|bytes| bytes == b"AAAA").unwrap();
        let entries = filled_with_entries(bytes, &one[..key], &one[key + 4..]);
        (map, as_object(&entries))
    } else {
        // A null is shorter than an empty object and is read as one, except as a whole object.
        let element = if place == "items" {
            as_object(&[])
        } else {
            Vec::new()
        };
        let empty = field(1, &element);
        (place, as_list(&filled(bytes, &empty)))
    };
    let mut keys: Vec<_> = whole.split('.').collect();
    let first = keys.remove(0);
    for key in keys.into_iter().rev() {
        let content = match key.strip_suffix("[]") {
            Some(list) => entry(list, &as_list(&field(1, &value))),
            None => entry(key, &value),
        };
        value = as_object(&content);
    }
    entry(first, &value)
}

type MessageTypes = HashMap<String, DescriptorProto>;

fn message_types(set: &FileDescriptorSet) -> MessageTypes {
    fn collect(parent: &str, message: &DescriptorProto, message_types: &mut MessageTypes) {
        let name = format!("{parent}.{}", message.name());
        for nested in &message.nested_type {
            collect(&name, nested, message_types);
        }
        message_types.insert(name, message.clone());
    }
    let mut message_types = MessageTypes::new();
    for file in &set.file {
        for message in &file.message_type {
            collect(&format!(".{}", file.package()), message, &mut message_types);
        }
    }
    message_types
}

/// A list, map or object in a message: the field numbers that lead to it, and the wire form of one element.
#[derive(Debug, Clone)]
struct FieldPath {
    name: String,
    path: Vec<u32>,
    is_map: bool,
    is_object: bool,
}

/// Collects every list, map and object below a message type into `found`.
fn collect_paths(kind: &str, message_types: &MessageTypes, parent: &FieldPath, found: &mut Vec<FieldPath>) {
    let Some(message) = message_types.get(kind) else {
        return;
    };
    for field in &message.field {
        let mut here = parent.clone();
        here.path.push(u32::try_from(field.number()).unwrap());
        here.name = format!("{}.{}", parent.name, field.name());
        let inner = (field.r#type() == Type::Message).then(|| field.type_name());
        here.is_object = inner == Some(OBJECT);
        here.is_map = inner
            .and_then(|inner| message_types.get(inner))
            .is_some_and(|inner| inner.options.as_ref().is_some_and(MessageOptions::map_entry));
        if field.label() == Label::Repeated || here.is_object {
            found.push(here.clone());
        }
        if let Some(inner) = inner.filter(|_| !here.is_map && !here.is_object) {
            collect_paths(inner, message_types, &here, found);
        }
    }
}

/// Nests content in messages with these field numbers, the outermost first.
fn nested_in(mut content: Vec<u8>, levels: &[u32]) -> Vec<u8> {
    for number in levels.iter().rev() {
        content = field(*number, &content);
    }
    content
}

/// An object with a name, encoded in a field of a request.
fn named(number: u32, kind: &str) -> Vec<u8> {
    let object = json!({"kind": kind, "metadata": {"name": "a", "namespace": "b"}});
    field(
        number,
        &RawStruct::from(object.as_object().unwrap()).encode_to_vec(),
    )
}

/// A policy for every `DaemonSet` in the namespace of [`named`] objects, encoded in a field of a request.
fn policy(number: u32) -> Vec<u8> {
    let object = json!({
        "kind": "DaemonSetRolloutPolicy",
        "metadata": {"name": "a", "namespace": "b"},
        "spec": {"selector": {}},
    });
    field(
        number,
        &RawStruct::from(object.as_object().unwrap()).encode_to_vec(),
    )
}

/// The other fields that a request needs. Without them the planner would never read the objects in this field.
fn other_fields(name: &str) -> Vec<u8> {
    match name {
        "Plan.nodes" | "Plan.pods" | "Explain.nodes" | "SimulateNodes.nodes" => named(1, "DaemonSet"),
        "Explain.daemon_sets" => named(2, "Node"),
        "SimulateNodes.daemon_sets" => named(3, "Node"),
        name if name.starts_with("SimulateNodes.") => [named(1, "DaemonSet"), named(3, "Node")].concat(),
        "SimulateRollout.daemon_set" => [policy(2), named(4, "Node")].concat(),
        "SimulateRollout.policies" | "SimulateRollout.cluster_policies" => {
            [named(1, "DaemonSet"), named(4, "Node")].concat()
        }
        "SimulateRollout.nodes" => [named(1, "DaemonSet"), policy(2)].concat(),
        name if name.starts_with("SimulateRollout.") => {
            [named(1, "DaemonSet"), policy(2), named(4, "Node")].concat()
        }
        _ => Vec::new(),
    }
}

impl FieldPath {
    /// Messages that fill this place: one with a single long list, and one with many lists of one element each. For an
    /// object, also one with many fields, and one for each list and map that the planner reads in it.
    fn messages(&self, bytes: usize) -> Vec<(String, Vec<u8>)> {
        let other_fields = other_fields(&self.name);
        let available = bytes - other_fields.len() - 16 * (self.path.len() + 1);
        let (last, before) = self.path.split_last().unwrap();
        let element = if self.is_map {
            field(1, b"AAAA")
        } else {
            Vec::new()
        };
        let one = field(*last, &element);
        let long = if self.is_map {
            let (before, after) = one.split_at(one.len() - 4);
            filled_with_entries(available, before, &after[4..])
        } else {
            filled(available, &one)
        };
        let mut messages = vec![(format!("{}, one long", self.name), nested_in(long, before))];
        if !before.is_empty() {
            let many = filled(available, &nested_in(one, before));
            messages.push((format!("{}, many short", self.name), many));
        }
        if self.is_object {
            // First arbitrary fields of the object, then the lists and maps that the planner reads.
            let fields = filled(available, &field(1, &[]));
            messages.push((format!("{}, fields", self.name), nested_in(fields, &self.path)));
            for list in paths_in(&self.name) {
                let object = object(list, available - 2_048);
                messages.push((format!("{}, {list}", self.name), nested_in(object, &self.path)));
            }
        }
        for (_, message) in &mut messages {
            message.extend_from_slice(&other_fields);
        }
        messages
    }
}

/// Sends a message and returns the status code of the answer.
async fn send(channel: Channel, path: &str, is_session: bool, message: Bytes) -> Code {
    let mut client = Grpc::new(channel).max_decoding_message_size(usize::MAX);
    client.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    let outcome = if is_session {
        let requests = futures::stream::iter([message]);
        let answers = client.streaming(Request::new(requests), path, RawCodec).await;
        match answers {
            Ok(answers) => answers.into_inner().message().await.map(drop),
            Err(status) => Err(status),
        }
    } else {
        client
            .unary(Request::new(message), path, RawCodec)
            .await
            .map(drop)
    };
    outcome.map_or_else(|status| status.code(), |()| Code::Ok)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_in_any_message_exceeds_the_planners_memory_bound() {
    let descriptors = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let types = message_types(&descriptors);
    let programs = Programs::built(Profile::Dev).await.unwrap();
    // Calls queue behind each other. The long deadline keeps them from timing out in the queue.
    let flags = vec!["--call-deadline=5m".to_owned()];
    let options = ServiceOptions {
        flags,
        ..ServiceOptions::default()
    };
    let planner = Planner::start(&programs, options).await.unwrap();
    let process = Process::new(planner.pid().unwrap()).unwrap();
    let mut work = Vec::new();
    let services = descriptors
        .file
        .iter()
        .filter(|file| file.package() == "everynode.planner.v1");
    for method in services
        .flat_map(|file| &file.service)
        .flat_map(|service| &service.method)
    {
        let mut found = Vec::new();
        let root = FieldPath {
            name: method.name().to_owned(),
            path: Vec::new(),
            is_map: false,
            is_object: false,
        };
        collect_paths(method.input_type(), &types, &root, &mut found);
        let path = format!("/everynode.planner.v1.PlannerService/{}", method.name());
        let is_session = method.client_streaming();
        let bytes = if is_session { SESSION_BYTES } else { CALL_BYTES };
        for place in found {
            work.push((place, path.clone(), is_session, bytes));
        }
    }
    let fields: BTreeSet<_> = work.iter().map(|(place, ..)| place.name.clone()).collect();
    assert!(fields.len() > 18, "{fields:?}");

    let work = Arc::new(Mutex::new(work));
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let (work, process) = (work.clone(), Process::new(process.pid()).unwrap());
        let url = planner.url();
        callers.push(tokio::spawn(async move {
            let mut sent = Vec::new();
            while let Some((place, path, is_session, bytes)) = { work.lock().unwrap().pop() } {
                for (name, message) in place.messages(bytes) {
                    let channel = Channel::from_shared(url.clone())
                        .unwrap()
                        .connect()
                        .await
                        .unwrap();
                    let code = send(channel, &path, is_session, message.into()).await;
                    let peak = process.status().unwrap().vmhwm.unwrap() / 1024;
                    let expected = [
                        Code::Ok,
                        Code::InvalidArgument,
                        // No policy in a request for a simulated rollout applies.
                        Code::FailedPrecondition,
                        Code::ResourceExhausted,
                        Code::DeadlineExceeded,
                    ];
                    assert!(expected.contains(&code), "{name}: {code:?}");
                    assert!(peak < BOUND_MIB, "{name}: the planner took {peak} MiB");
                    sent.push(format!("{name}: {code:?}, {peak} MiB"));
                }
            }
            sent
        }));
    }
    let mut sent = Vec::new();
    for caller in callers {
        let result = caller.await;
        sent.extend(result.unwrap_or_else(|error| panic!("{error}\n{}", planner.log_tail(20))));
    }
    println!("{}", sent.join("\n"));
    // Many messages must be refused because of the memory they would take, and not for another reason.
    let refusals = sent
        .iter()
        .filter(|line| line.contains("ResourceExhausted"))
        .count();
    assert!(
        refusals > sent.len() / 4,
        "only {refusals} of {} messages were refused",
        sent.len()
    );
}
