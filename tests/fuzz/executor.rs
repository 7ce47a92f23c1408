//! Fuzz targets: the messages that the API server and the planner send to the executor.

use everynode_executor::actions::queue::{ActionQueue, CallOutcome, Lane};
use everynode_executor::apiserver::objects::{
    self, ClusterPolicy, DaemonSet, Encoding, Namespace, NamespacedPolicy, Revision, Rollout, WatchEvent,
    Watched,
};
use everynode_executor::pods::pod::{self, PodBuilder};
use everynode_executor::status::{self, RolloutProgress};
use everynode_executor::{ownership::history, planner::session, pods::template};
use everynode_proto::facts::{Node, Pod, object};
use everynode_proto::planner::v1::{Plan, SessionResponse, session_response::Message as ResponseMessage};
use fastrand::Rng;
use prost::Message;
use prost::bytes::Bytes;
use serde_json::Value;
use tracing::Span;

use crate::driver::fuzz;
use crate::mutate::mutated;
use crate::seeds;

/// Every object of this kind that these bytes can be decoded to.
fn read<T: Watched>(bytes: &Bytes) -> Vec<T> {
    let mut found = Vec::new();
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        if let Ok(WatchEvent::Changed(object) | WatchEvent::Gone(object)) =
            objects::event(bytes.clone(), encoding)
        {
            found.push(object);
        }
        found.extend(
            objects::page(bytes, encoding)
                .into_iter()
                .flat_map(|page| page.items),
        );
        found.extend(objects::object(bytes, encoding));
        let _ = objects::status(bytes, encoding);
    }
    found
}

fn is_json(text: &[u8]) {
    let read = serde_json::from_slice::<Value>(text);
    assert!(read.is_ok(), "{read:?}: {}", String::from_utf8_lossy(text));
}

/// Uses a `DaemonSet` in the ways that the executor does.
fn use_daemon_set(daemon_set: &DaemonSet) {
    template::fingerprint(daemon_set);
    is_json(template::data(daemon_set).as_bytes());
    let (name, body) = history::new_revision(daemon_set, i64::MAX).unwrap();
    assert!(name.chars().count() <= 253);
    is_json(&body);
    let name = pod::name(daemon_set, "n1", "r1", "", u32::MAX);
    assert!(pod::is_derived(&name, &daemon_set.metadata.name));
    assert!(name.chars().count() <= 63);
    if let Ok(builder) = PodBuilder::new(daemon_set, "r1", &seeds::tolerations()) {
        is_json(&builder.build(&name, "n\"1"));
    }
}

#[test]
fn no_api_server_response_panics() {
    let valid = seeds::answers();
    let make = move |random: &mut Rng| vec![mutated(random, &valid)];
    fuzz("API server responses", 4_000, make, |input| {
        let bytes = Bytes::from(input[0].clone());
        let (nodes, pods) = (read::<Node>(&bytes), read::<Pod>(&bytes));
        for node in &nodes {
            node.clone().into_facts();
        }
        for pod in &pods {
            pod.facts();
        }
        read::<DaemonSet>(&bytes).iter().for_each(use_daemon_set);
        for revision in read::<Revision>(&bytes) {
            template::data_fingerprint(&revision);
        }
        read::<NamespacedPolicy>(&bytes);
        read::<ClusterPolicy>(&bytes);
        read::<Rollout>(&bytes);
        read::<Namespace>(&bytes);
        !nodes.is_empty() || !pods.is_empty()
    });
}

/// Applies a plan, which needn't be one that a planner would make.
fn apply_plan(mut plan: Plan) {
    if let Some(wanted) = &plan.status {
        status::counters_differ(wanted, &object::DaemonSetStatus::default());
        RolloutProgress::from_counters(wanted, true);
    }
    RolloutProgress::of(&mut plan);
    plan.reconsider_after.and_then(session::to_std_duration);
    let mut waiting: Vec<_> = plan.actions.iter().map(|action| action.id).collect();
    let mut queue = ActionQueue::default();
    queue.push(plan, None, &Span::none());
    let mut ended = queue.take_unknown();
    for lane in [Lane::Create, Lane::Delete] {
        loop {
            let next = match lane {
                Lane::Create => queue.next_create().map(|ready| ready.id),
                Lane::Delete => queue.next_delete().map(|ready| ready.id),
            };
            let Some(id) = next else { break };
            queue.on_finished(lane, Some(id), CallOutcome::Refused);
            ended.extend(queue.open(lane));
        }
    }
    waiting.sort_unstable();
    ended.sort_unstable();
    assert_eq!(waiting, ended, "every action has a result");
}

#[test]
fn no_planner_response_panics() {
    let valid = seeds::responses();
    let make = move |random: &mut Rng| vec![mutated(random, &valid)];
    fuzz("planner responses", 20_000, make, |input| {
        let Ok(response) = SessionResponse::decode(input[0].as_slice()) else {
            return false;
        };
        if let Some(ResponseMessage::Plan(plan)) = response.message {
            apply_plan(plan);
        }
        true
    });
}
