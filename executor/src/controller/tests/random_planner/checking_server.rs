//! A fake API server that panics when a call does what no plan may cause.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use super::NODES;
use crate::{
    controller::tests::{name_of, node_of},
    testing::{AGENT_STATUS, Call, PODS, already_exists, forbidden, not_found, pod_json, refusal, with},
};

/// A pod in the fake API server.
pub(super) struct FakePod {
    pub(super) object: Value,
    /// Whether it belongs to the agent.
    pub(super) is_ours: bool,
    /// Whether it is live: neither ended nor being deleted.
    pub(super) is_live: bool,
    /// Whether it no longer exists.
    pub(super) is_gone: bool,
}

impl FakePod {
    pub(super) fn name(&self) -> &str {
        name_of(&self.object)
    }

    pub(super) fn uid(&self) -> &str {
        self.object["metadata"]["uid"].as_str().unwrap()
    }
}

/// Counts of what has happened in all runs.
#[derive(Default, Debug)]
pub(super) struct Counts {
    pub(super) creations: usize,
    pub(super) deletions: usize,
    pub(super) statuses: usize,
    pub(super) sessions_closed: usize,
}

/// A fake API server that checks every call.
pub(super) struct CheckingServer<'r> {
    pub(super) random: &'r mut Rng,
    pub(super) most_on_node: usize,
    pub(super) agent: Value,
    /// All pods that exist or have existed, by uid.
    pub(super) pods: BTreeMap<String, FakePod>,
    /// Calls that have not been answered.
    pub(super) open: Vec<Call>,
    pub(super) version: u64,
    pub(super) counts: &'r mut Counts,
}

impl CheckingServer<'_> {
    fn named(&self, name: &str) -> Option<&FakePod> {
        self.pods.values().find(|pod| !pod.is_gone && pod.name() == name)
    }

    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Number of pods on a node, including those that the unanswered calls may create.
    fn on_node(&self, node: &str) -> usize {
        let live = self.pods.values().filter(|pod| pod.is_ours && pod.is_live);
        // A creation that is repeated because its answer was unclear already has its pod.
        let creations = self
            .open
            .iter()
            .filter(|call| call.method == "POST" && self.named(name_of(&call.body)).is_none());
        live.filter(|pod| target(&pod.object) == node).count()
            + creations.filter(|call| node_of(call) == node).count()
    }

    /// Panics when a call does what no plan may cause.
    pub(super) fn check(&mut self, call: &Call) {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/.-".contains(&byte);
        assert!(call.path.bytes().all(is_plain), "{}", call.path);
        assert!(
            !call.path.contains("..") && !call.path.contains("//"),
            "{}",
            call.path
        );
        match (call.method.as_str(), call.path.strip_prefix(PODS)) {
            ("POST", Some("")) => self.check_creation(call),
            ("DELETE", Some(name)) => {
                let uid = call.body["preconditions"]["uid"].as_str().unwrap();
                let pod = self.pods.get(uid).unwrap();
                assert!(pod.is_ours, "{name} isn't the agent's");
                assert_eq!(name, format!("/{}", pod.name()));
                assert_eq!(call.body, json!({"preconditions": {"uid": uid}}));
                self.counts.deletions += 1;
            }
            // The executor looks up a name that is taken, or a pod that the watch should have reported.
            ("GET", Some(name)) => assert_eq!(name.matches('/').count(), 1, "{name}"),
            ("PATCH", None) if call.path == AGENT_STATUS => {
                check_conditions(&call.body);
                self.counts.statuses += 1;
            }
            _ => panic!("no plan may cause this call: {} {}", call.method, call.path),
        }
    }

    fn check_creation(&mut self, call: &Call) {
        let (name, node) = (name_of(&call.body), node_of(call));
        assert!(NODES.contains(&node), "{node}");
        assert_eq!(call.body["metadata"]["labels"]["controller-revision-hash"], "r1");
        assert_eq!(call.body["metadata"]["ownerReferences"][0]["uid"], "ds-1");
        for toleration in call.body["spec"]["tolerations"].as_array().unwrap() {
            let text = |field: &str| toleration[field].as_str().unwrap_or_default();
            assert!(text("key").starts_with("node.kubernetes.io/"), "{toleration}");
            assert_eq!((text("operator"), text("value")), ("Exists", ""), "{toleration}");
        }
        // Repeating the same call after an unclear answer creates no second pod.
        let there = self.on_node(node);
        assert!(
            self.named(name).is_some() || there < self.most_on_node,
            "{there} pods on {node}, and another one"
        );
        self.counts.creations += 1;
    }

    /// Gives a random answer to a random call. Returns the pod that the watch has to report, if there is one.
    pub(super) fn answer(&mut self) -> Option<Value> {
        let call = self.open.swap_remove(self.random.usize(..self.open.len()));
        let name = call.path.rsplit('/').next().unwrap_or_default().to_owned();
        match call.method.as_str() {
            "POST" if self.named(name_of(&call.body)).is_some() => {
                let (code, body) = already_exists();
                call.answer_with(code, &body);
                None
            }
            "POST" if self.random.u8(..8) == 0 => {
                let (code, body) = forbidden("not now");
                call.answer_with(code, &body);
                None
            }
            "POST" => Some(self.create(call)),
            "GET" => {
                let (code, body) = match self.named(&name) {
                    Some(pod) => (200, pod.object.clone()),
                    None => not_found(),
                };
                call.answer_with(code, &body);
                None
            }
            "DELETE" => {
                self.delete(call);
                None
            }
            _ => {
                let version = self.next_version().to_string();
                let status = call.body["status"].clone();
                let change = json!({"metadata": {"resourceVersion": version}, "status": status});
                call.answer(&with(self.agent.clone(), change));
                None
            }
        }
    }

    /// Deletes a pod, or refuses to.
    fn delete(&mut self, call: Call) {
        let uid = call.body["preconditions"]["uid"].as_str().unwrap().to_owned();
        let version = self.next_version().to_string();
        let is_refused = self.random.u8(..8) == 0;
        let pod = self.pods.get_mut(&uid).unwrap();
        if pod.is_gone || is_refused {
            let (code, body) = if pod.is_gone {
                not_found()
            } else {
                forbidden("not now")
            };
            call.answer_with(code, &body);
            return;
        }
        let deleting = json!({"resourceVersion": version, "deletionTimestamp": "2026-01-01T00:00:00Z"});
        pod.object = with(pod.object.take(), json!({"metadata": deleting}));
        pod.is_live = false;
        call.answer(&pod.object);
    }

    /// Creates a pod. Answers that it was created, or gives no clear answer.
    fn create(&mut self, call: Call) -> Value {
        let version = self.next_version();
        let is_clear = self.random.u8(..8) > 0;
        let (name, node) = (name_of(&call.body).to_owned(), node_of(&call).to_owned());
        let mut pod = with(pod_json(&name, version), json!({"spec": {"nodeName": node}}));
        pod["metadata"]["labels"] = call.body["metadata"]["labels"].clone();
        // A later pod with this name must have a different uid.
        pod["metadata"]["uid"] = json!(format!("uid {version} of {name}"));
        if is_clear {
            call.answer(&pod);
        } else {
            call.answer_with(500, &refusal(500, "InternalError", "etcd: request timed out"));
        }
        self.add(pod.clone(), true);
        pod
    }

    pub(super) fn add(&mut self, object: Value, is_ours: bool) {
        let pod = FakePod {
            object,
            is_ours,
            is_live: true,
            is_gone: false,
        };
        self.pods.insert(pod.uid().to_owned(), pod);
    }
}

fn target(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap()
}

/// Panics when a status has conditions that aren't Everynode's, or that the API server would refuse.
fn check_conditions(body: &Value) {
    let conditions = body["status"]["conditions"].as_array();
    let mut kinds = Vec::new();
    for condition in conditions.into_iter().flatten() {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        assert!(
            ["Available", "Progressing", "Degraded"].contains(&text("type")),
            "{condition}"
        );
        kinds.push(text("type"));
        if condition["$patch"] != "delete" {
            let is_part = |char: char| char.is_ascii_alphanumeric() || "_,:".contains(char);
            assert!(!text("reason").is_empty() && text("reason").chars().all(is_part));
            assert!(text("message").len() <= 32_768);
        }
    }
    let written = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), written, "one of each type");
}
