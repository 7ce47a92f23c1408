use super::*;
use crate::testing::{agent, already_exists, conflict, forbidden, on, owned_by, refuse, scenario};

const ROLLOUTS: &str = "/apis/everynode.io/v1alpha1/namespaces/default/daemonsetrollouts";
const AGENT: &str = "/apis/everynode.io/v1alpha1/namespaces/default/daemonsetrollouts/agent";
const AGENT_STATUS: &str = "/apis/everynode.io/v1alpha1/namespaces/default/daemonsetrollouts/agent/status";

fn stored(version: &str) -> Value {
    json!({"metadata": {"namespace": "default", "name": "agent", "uid": "dsr-1", "resourceVersion": version}})
}

async fn written(
    lines: Vec<crate::testing::ExpectedCall>,
    before: Option<(&str, &str)>,
) -> Result<Rollout, ApiError> {
    let (api, server) = scenario(lines);
    let before = before.map(|(uid, version)| (uid.to_owned(), version.to_owned()));
    let result = rollout(&api, &agent(), before, DaemonSetRolloutStatus::default()).await;
    drop(api);
    server.await.unwrap();
    result
}

#[tokio::test(start_paused = true)]
async fn missing_rollout_is_created_for_its_daemon_set() {
    let created = json!({
        "apiVersion": "everynode.io/v1alpha1", "kind": "DaemonSetRollout", "spec": {},
        "metadata": {"name": "agent", "namespace": "default", "ownerReferences": owned_by("ds-1")},
    });
    let lines = vec![
        on("POST", ROLLOUTS, stored("5")).with_body(created),
        on("PUT", AGENT_STATUS, stored("6")),
    ];
    assert_eq!(written(lines, None).await.unwrap().metadata.resource_version, "6");
}

#[tokio::test(start_paused = true)]
async fn t13_conflict_returns_the_current_object_and_writes_nothing() {
    let lines = vec![
        refuse("PUT", AGENT_STATUS, conflict()),
        on("GET", AGENT, stored("9")),
    ];
    let current = written(lines, Some(("dsr-1", "6"))).await.unwrap();
    assert_eq!(current.metadata.resource_version, "9");
    let lines = vec![
        refuse("POST", ROLLOUTS, already_exists()),
        on("GET", AGENT, stored("9")),
    ];
    assert_eq!(written(lines, None).await.unwrap().metadata.resource_version, "9");
}

#[tokio::test(start_paused = true)]
async fn refused_write_is_an_error() {
    let lines = vec![refuse("PUT", AGENT_STATUS, forbidden("no"))];
    assert!(written(lines, Some(("dsr-1", "6"))).await.is_err());
}
