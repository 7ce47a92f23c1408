//! Test objects and a scripted API server.

use std::time::Duration;

use everynode_proto::{
    facts::{Node, Pod},
    planner::v1::{Fact, RolloutPolicyKnowledge, SessionRequest, fact::Fact as Kind},
};
use http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower_test::mock::{self, Handle, SendResponse};

use crate::apiserver::{
    api::Api,
    objects::{DaemonSet, Revision},
};

/// Far longer than any test takes. With a paused clock, the timeout elapses at once when every task is idle.
const TIMEOUT: Duration = Duration::from_mins(10);

pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const AGENT: &str = "/apis/apps/v1/namespaces/default/daemonsets/agent";
pub(crate) const AGENT_STATUS: &str = "/apis/apps/v1/namespaces/default/daemonsets/agent/status";
pub(crate) const REVISIONS: &str = "/apis/apps/v1/namespaces/default/controllerrevisions";

/// Merges the fields of `change` into `base`.
pub(crate) fn with(mut base: Value, change: Value) -> Value {
    match (&mut base, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                let field = fields.entry(key).or_insert(Value::Null);
                *field = with(field.take(), change);
            }
            base
        }
        (_, change) => change,
    }
}

pub(crate) fn read<T: DeserializeOwned>(object: &Value) -> T {
    serde_json::from_str(&object.to_string()).unwrap()
}

/// The `DaemonSet` default/agent with the uid `ds-1`.
pub(crate) fn agent_json() -> Value {
    json!({
        "metadata": {
            "namespace": "default", "name": "agent", "uid": "ds-1", "resourceVersion": "10", "generation": 1,
        },
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [{"name": "main", "image": "agent:1"}]},
            },
        },
    })
}

pub(crate) fn agent() -> DaemonSet {
    read(&agent_json())
}

/// The agent with `change` merged into it.
pub(crate) fn agent_with(change: Value) -> DaemonSet {
    read(&with(agent_json(), change))
}

pub(crate) fn node(name: &str) -> Node {
    read(&json!({"metadata": {"name": name, "uid": format!("uid of {name}"), "resourceVersion": "1"}}))
}

pub(crate) fn owned_by(uid: &str) -> Value {
    json!([{
        "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    }])
}

/// A pod of the agent on node n1 with the revision `r1`.
pub(crate) fn pod_json(name: &str, version: u64) -> Value {
    json!({
        "metadata": {
            "namespace": "default", "name": name, "uid": format!("uid of {name}"),
            "resourceVersion": version.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "agent", "controller-revision-hash": "r1"},
            "ownerReferences": owned_by("ds-1"),
        },
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running"},
    })
}

pub(crate) fn pod(name: &str, version: u64) -> Pod {
    read(&pod_json(name, version))
}

pub(crate) fn orphan_json(name: &str, version: u64) -> Value {
    with(
        pod_json(name, version),
        json!({"metadata": {"ownerReferences": []}}),
    )
}

/// A `ControllerRevision` of the agent that holds the agent's current template.
pub(crate) fn revision_json(name: &str, number: i64) -> Value {
    let template = with(
        agent_json()["spec"]["template"].take(),
        json!({"$patch": "replace"}),
    );
    json!({
        "metadata": {
            "namespace": "default", "name": name, "uid": format!("uid of {name}"), "resourceVersion": "5",
            "labels": {"app": "agent", "controller-revision-hash": name}, "ownerReferences": owned_by("ds-1"),
        },
        "data": {"spec": {"template": template}},
        "revision": number,
    })
}

/// A `ControllerRevision` that holds the template with another image.
pub(crate) fn old_revision_json(name: &str, number: i64) -> Value {
    let containers = json!([{"name": "main", "image": format!("agent:{name}")}]);
    let data = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    with(revision_json(name, number), json!({"data": data}))
}

pub(crate) fn revision(json: &Value) -> Revision {
    read(json)
}

/// Summarizes the facts of a request to the planner.
pub(crate) fn describe_facts(request: &SessionRequest) -> Vec<String> {
    let short = |fact: &Fact| match fact.fact.as_ref().unwrap() {
        Kind::NodeChanged(node) => format!("node {}", node.name),
        Kind::NodeGone(node) => format!("node {} gone", node.name),
        Kind::DaemonSetChanged(daemon_set) => format!("ds {}", daemon_set.uid),
        Kind::DaemonSetGone(daemon_set) => format!("ds {} gone", daemon_set.uid),
        Kind::PodChanged(pod) if pod.deleting => format!("pod {} deleting", pod.name),
        Kind::PodChanged(pod) => format!("pod {}", pod.name),
        Kind::PodGone(pod) => format!("pod {} gone", pod.uid),
        Kind::ActionDone(done) => format!("done {} {:?}", done.action_id, done.outcome()),
        Kind::SyncComplete(_) => "sync".to_owned(),
        Kind::RolloutPolicyChanged(policy) => format!("policy {}", policy.name),
        Kind::RolloutPolicyGone(policy) => format!("policy {} gone", policy.uid),
        Kind::NamespaceChanged(namespace) => format!("namespace {}", namespace.name),
        Kind::NamespaceGone(namespace) => format!("namespace {} gone", namespace.name),
        Kind::RolloutChanged(rollout) => format!("rollout {}", rollout.daemon_set_uid),
        Kind::RolloutPolicyKnowledge(knowledge) => {
            format!(
                "policies {:?}",
                RolloutPolicyKnowledge::try_from(*knowledge).unwrap()
            )
        }
    };
    request.facts.iter().map(short).collect()
}

/// The API server's status object for a refused call.
pub(crate) fn refusal(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
    })
}

pub(crate) fn not_found() -> (u16, Value) {
    (404, refusal(404, "NotFound", "not found"))
}

pub(crate) fn conflict() -> (u16, Value) {
    (409, refusal(409, "Conflict", "the object has been modified"))
}

pub(crate) fn already_exists() -> (u16, Value) {
    (409, refusal(409, "AlreadyExists", "already exists"))
}

pub(crate) fn forbidden(message: &str) -> (u16, Value) {
    (403, refusal(403, "Forbidden", message))
}

/// A fake API server. The test provides its answers.
#[derive(Debug)]
pub(crate) struct Server(Handle<Request<Body>, Response<Body>>);

/// A call that waits for the test's answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The JSON body; null if there was none.
    pub(crate) body: Value,
    answer: SendResponse<Response<Body>>,
}

/// Creates a client and the fake API server behind it.
pub(crate) fn server() -> (Client, Server) {
    let (service, handle) = mock::pair();
    (Client::new(service, "default"), Server(handle))
}

impl Server {
    /// Returns the next call, or `None` when the client has been dropped. Panics when no call comes in time.
    pub(crate) async fn call(&mut self) -> Option<Call> {
        let waited = tokio::time::timeout(TIMEOUT, self.any_call()).await;
        waited.expect("no call within the timeout")
    }

    /// Returns the next call without a timeout, or `None` when the client has been dropped.
    pub(crate) async fn any_call(&mut self) -> Option<Call> {
        let (request, answer) = self.0.next_request().await?;
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap()
        };
        let creates_pod = head.method == "POST" && head.uri.path().ends_with("/pods");
        let query = if creates_pod { "fieldValidation=Ignore" } else { "" };
        assert_eq!(head.uri.query().unwrap_or_default(), query, "{head:?}");
        Some(Call {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            body,
            answer,
        })
    }

    /// Returns the next call, and asserts its method and path.
    pub(crate) async fn expect(&mut self, method: &str, path: &str) -> Call {
        let call = self
            .call()
            .await
            .unwrap_or_else(|| panic!("missing: {method} {path}"));
        assert_eq!(
            format!("{} {}", call.method, call.path),
            format!("{method} {path}"),
            "{}",
            call.body
        );
        call
    }

    /// Whether no call is waiting. Needs a paused clock.
    pub(crate) async fn is_idle(&mut self) -> bool {
        // With a paused clock, this times out only when every task is idle.
        tokio::time::timeout(Duration::from_millis(1), self.0.next_request())
            .await
            .is_err()
    }
}

impl Call {
    pub(crate) fn answer(self, body: &Value) {
        self.answer_with(200, body);
    }

    pub(crate) fn answer_with(self, code: u16, body: &Value) {
        self.answer_raw(code, &[], body.to_string());
    }

    /// Answers with any text and headers.
    pub(crate) fn answer_raw(self, code: u16, headers: &[(&str, &str)], body: String) {
        let mut response = Response::new(Body::from(body.into_bytes()));
        *response.status_mut() = StatusCode::from_u16(code).unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        self.answer.send_response(response);
    }
}

/// An expected call and its answer.
#[derive(Debug)]
pub(crate) struct ExpectedCall {
    call: String,
    body: Option<Value>,
    code: u16,
    headers: Vec<(&'static str, &'static str)>,
    answer: Value,
}

/// Expects a call and answers with this object.
pub(crate) fn on(method: &str, path: impl AsRef<str>, answer: Value) -> ExpectedCall {
    let call = format!("{method} {}", path.as_ref());
    ExpectedCall {
        call,
        body: None,
        code: 200,
        headers: Vec::new(),
        answer,
    }
}

/// Expects a call and refuses it with this status.
pub(crate) fn refuse(method: &str, path: impl AsRef<str>, (code, answer): (u16, Value)) -> ExpectedCall {
    ExpectedCall {
        code,
        ..on(method, path, answer)
    }
}

impl ExpectedCall {
    /// Asserts the exact body of the call.
    pub(crate) fn with_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// Starts an API server that expects exactly these calls in this order. Drop the client, then await the returned task.
pub(crate) fn scenario(lines: Vec<ExpectedCall>) -> (Api, JoinHandle<()>) {
    let (client, mut server) = server();
    let play = async move {
        for line in lines {
            let call = server.call().await.unwrap_or_else(|| panic!("missing: {line:?}"));
            assert_eq!(
                format!("{} {}", call.method, call.path),
                line.call,
                "{}",
                call.body
            );
            if let Some(body) = &line.body {
                assert_eq!(&call.body, body, "{}", line.call);
            }
            call.answer_raw(line.code, &line.headers, line.answer.to_string());
        }
        if let Some(call) = server.call().await {
            panic!("unexpected call: {} {} {}", call.method, call.path, call.body);
        }
    };
    (Api::new(client), tokio::spawn(play))
}
