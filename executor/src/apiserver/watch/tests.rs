mod supplementary;

use std::convert::Infallible;

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::{
    pods::pod::PodBuilder,
    testing::{agent_json, refusal, with},
};

const VERSION: &str = r#"{"major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "",
    "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}"#;
const DAEMON_SETS: &str = "/apis/apps/v1/daemonsets";

/// A client of an API server that answers `/version` with `VERSION`, and other requests with `answer`. A request
/// without an answer hangs, like a watch without events.
fn client(answer: fn(&http::Uri) -> Option<(u16, String)>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let answer = if request.uri().path() == "/version" {
            Some((200, VERSION.to_owned()))
        } else {
            answer(request.uri())
        };
        let Some((status, body)) = answer else {
            return std::future::pending().await;
        };
        let mut response = Response::new(Body::from(body.into_bytes()));
        *response.status_mut() = status.try_into().unwrap();
        Ok::<_, Infallible>(response)
    });
    Client::new(service, "default")
}

/// Collects all changes until every kind has been listed.
async fn listed(client: Client) -> Vec<Change> {
    let (sender, mut receiver) = mpsc::channel(100);
    let watches = tokio::spawn(watch_all(
        client,
        sender,
        Arc::default(),
        freshness_probe(KINDS).1,
    ));
    let (mut changes, mut ends) = (Vec::new(), 0);
    let is_awaited = |kind: &&Kind| kind.presence != Presence::Supplementary;
    let awaited = KINDS.iter().filter(is_awaited).count();
    while ends < awaited {
        let ReceivedChange { change, .. } = receiver.recv().await.unwrap();
        let is_end = matches!(
            change,
            Change::Node(Event::ListEnds)
                | Change::Pod(Event::ListEnds)
                | Change::DaemonSet(Event::ListEnds)
                | Change::Revision(Event::ListEnds)
        );
        ends += usize::from(is_end);
        changes.push(change);
    }
    watches.abort();
    changes
}

fn daemon_sets(changes: Vec<Change>) -> Vec<DaemonSet> {
    let daemon_set = |change| match change {
        Change::DaemonSet(Event::Changed(daemon_set)) => Some(daemon_set),
        _ => None,
    };
    changes.into_iter().filter_map(daemon_set).collect()
}

/// The agent with template fields that no library of this project defines.
fn agent_with_unknown_fields() -> Value {
    let template = json!({
        "spec": {"futureField": {"levels": [1, {"deep": null}], "big": 9_007_199_254_740_993_u64}},
        "metadata": {"annotations": {"a": "b"}},
    });
    with(agent_json(), json!({"spec": {"template": template}}))
}

#[tokio::test(start_paused = true)]
async fn c4_unknown_template_field_is_copied_from_the_watch_to_the_pod() {
    let client = client(|uri| {
        if !uri.query().unwrap_or_default().contains("sendInitialEvents=true") {
            return None;
        }
        let end = json!({"type": "BOOKMARK", "object": {"kind": "X", "apiVersion": "v1", "metadata": {
            "resourceVersion": "20", "annotations": {"k8s.io/initial-events-end": "true"},
        }}});
        let added = json!({"type": "ADDED", "object": agent_with_unknown_fields()});
        let lines = if uri.path() == DAEMON_SETS {
            format!("{added}\n{end}\n")
        } else {
            format!("{end}\n")
        };
        // serde_json sorts keys, so "object" is first. The API server writes the type first.
        Some((200, lines.lines().map(type_first).collect()))
    });
    let daemon_sets = daemon_sets(listed(client).await);
    let pod = PodBuilder::new(&daemon_sets[0], "r1", &[])
        .unwrap()
        .build("agent-1", "n1");
    let pod: Value = serde_json::from_slice(&pod).unwrap();
    assert_eq!(
        pod["spec"]["futureField"],
        agent_with_unknown_fields()["spec"]["template"]["spec"]["futureField"]
    );
}

fn type_first(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    format!("{{\"type\":{},\"object\":{}}}\n", event["type"], event["object"])
}

#[tokio::test(start_paused = true)]
async fn lists_are_paged_when_the_server_refuses_to_stream_them() {
    let client = client(|uri| {
        let query = uri.query().unwrap_or_default();
        if query.contains("sendInitialEvents=true") {
            let message =
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
            return Some((422, refusal(422, "Invalid", message).to_string()));
        }
        if query.contains("watch=true") {
            return None;
        }
        let items = if uri.path() == DAEMON_SETS {
            json!([agent_json()])
        } else {
            json!([])
        };
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "20"}, "items": items});
        Some((200, list.to_string()))
    });
    let daemon_sets = daemon_sets(listed(client).await);
    assert_eq!(
        daemon_sets.iter().map(DaemonSet::key).collect::<Vec<_>>(),
        ["default/agent"]
    );
}
