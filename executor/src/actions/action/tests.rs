use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::testing::{
    ExpectedCall, PODS, agent, already_exists, conflict, forbidden, not_found, on, owned_by, pod_json,
    refusal, refuse, scenario, with,
};

fn wanted() -> CreatePod {
    CreatePod {
        node: "n1".to_owned(),
        revision: "r1".to_owned(),
        succeeds_uid: String::new(),
    }
}

fn name(attempt: u32) -> String {
    pod::name(&agent(), "n1", "r1", "", attempt)
}

/// The wanted pod, with the name that this attempt uses.
fn made(attempt: u32) -> Value {
    pod_json(&name(attempt), 7)
}

fn path(attempt: u32) -> String {
    format!("{PODS}/{}", name(attempt))
}

fn body(attempt: u32) -> Value {
    let builder = PodBuilder::new(&agent(), "r1", &[]).unwrap();
    serde_json::from_slice(&builder.build(&name(attempt), "n1")).unwrap()
}

async fn create_against(lines: Vec<ExpectedCall>) -> ActionReport {
    let (api, server) = scenario(lines);
    let builder = Arc::new(PodBuilder::new(&agent(), "r1", &[]).unwrap());
    let report = create(
        api,
        Arc::new(agent()),
        builder,
        wanted(),
        CancellationToken::new(),
    )
    .await;
    server.await.unwrap();
    report
}

async fn delete_against(lines: Vec<ExpectedCall>) -> ActionReport {
    let (api, server) = scenario(lines);
    let action = DeletePod {
        pod: "p1".to_owned(),
        uid: "uid of p1".to_owned(),
        ..DeletePod::default()
    };
    let report = delete(api, "default".to_owned(), action, CancellationToken::new()).await;
    server.await.unwrap();
    report
}

fn created(report: &ActionReport) -> &str {
    let ActionResult::Created(pod) = &report.result else {
        panic!("{report:?}")
    };
    &pod.metadata.name
}

#[tokio::test]
async fn pod_is_created() {
    let report = create_against(vec![on("POST", PODS, made(0)).with_body(body(0))]).await;
    assert_eq!((created(&report), report.was_retried), (name(0).as_str(), false));
}

#[tokio::test]
async fn name_taken_by_the_wanted_pod_counts_as_created() {
    let lines = vec![
        refuse("POST", PODS, already_exists()),
        on("GET", path(0), made(0)),
    ];
    assert_eq!(created(&create_against(lines).await), name(0));
}

#[tokio::test]
async fn name_taken_by_another_pod_is_skipped() {
    let others = [
        json!({"metadata": {"ownerReferences": []}}),
        json!({"metadata": {"labels": {"controller-revision-hash": "r0"}}}),
        json!({"spec": {"nodeName": "n2"}}),
    ];
    for other in others {
        let lines = vec![
            refuse("POST", PODS, already_exists()),
            on("GET", path(0), with(made(0), other)),
            on("POST", PODS, made(1)).with_body(body(1)),
        ];
        assert_eq!(created(&create_against(lines).await), name(1));
    }
}

#[tokio::test]
async fn name_of_a_pod_that_has_just_gone_is_skipped() {
    let lines = vec![
        refuse("POST", PODS, already_exists()),
        refuse("GET", path(0), not_found()),
        on("POST", PODS, made(1)).with_body(body(1)),
    ];
    assert_eq!(created(&create_against(lines).await), name(1));
}

#[tokio::test]
async fn pod_that_matches_only_the_owner_uid_is_not_the_wanted_one() {
    for change in [json!({"name": "other"}), json!({"kind": "ReplicaSet"})] {
        let reference = with(owned_by("ds-1")[0].take(), change);
        let fake = with(made(0), json!({"metadata": {"ownerReferences": [reference]}}));
        let lines = vec![
            refuse("POST", PODS, already_exists()),
            on("GET", path(0), fake),
            on("POST", PODS, made(1)).with_body(body(1)),
        ];
        assert_eq!(created(&create_against(lines).await), name(1));
    }
}

#[tokio::test]
async fn creation_is_refused_when_all_names_are_taken() {
    let stranger = |attempt| with(made(attempt), json!({"metadata": {"ownerReferences": []}}));
    let lines = (0..MAX_NAMES)
        .flat_map(|attempt| {
            [
                refuse("POST", PODS, already_exists()),
                on("GET", path(attempt), stranger(attempt)),
            ]
        })
        .collect();
    let report = create_against(lines).await;
    assert!(
        matches!(&report.result, ActionResult::Refused(error) if error.is_already_exists()),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_header_of_a_busy_server_is_honored() {
    let begun = Instant::now();
    let busy = (429, json!("too many requests, please try again later"));
    let lines = vec![
        refuse("POST", PODS, busy).with_header("retry-after", "7"),
        on("POST", PODS, made(0)).with_body(body(0)),
    ];
    let report = create_against(lines).await;
    assert_eq!((created(&report), report.was_retried), (name(0).as_str(), true));
    assert!(begun.elapsed() >= Duration::from_secs(7), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn retry_after_seconds_of_the_status_are_honored() {
    let begun = Instant::now();
    let busy = with(
        refusal(429, "TooManyRequests", "busy"),
        json!({"details": {"retryAfterSeconds": 3}}),
    );
    let report = create_against(vec![refuse("POST", PODS, (429, busy)), on("POST", PODS, made(0))]).await;
    assert_eq!(created(&report), name(0));
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn creation_that_succeeded_despite_an_error_answer_is_done() {
    let lines = vec![
        refuse(
            "POST",
            PODS,
            (500, refusal(500, "InternalError", "etcd: request timed out")),
        ),
        refuse("POST", PODS, already_exists()),
        on("GET", path(0), made(0)),
    ];
    let report = create_against(lines).await;
    assert_eq!((created(&report), report.was_retried), (name(0).as_str(), true));
}

#[tokio::test(start_paused = true)]
async fn unclear_answer_becomes_a_refusal_after_the_deadline() {
    let (client, mut server) = crate::testing::server();
    let builder = Arc::new(PodBuilder::new(&agent(), "r1", &[]).unwrap());
    let begun = Instant::now();
    let call = tokio::spawn(create(
        Api::new(client),
        Arc::new(agent()),
        builder,
        wanted(),
        CancellationToken::new(),
    ));
    while let Some(call) = server.call().await {
        let body = refusal(500, "InternalError", "failed calling webhook \"guard\"");
        call.answer_with(500, &body);
    }
    let report = call.await.unwrap();
    let ActionResult::Refused(error) = &report.result else {
        panic!("{report:?}")
    };
    assert!(
        error.to_string().contains("failed calling webhook \"guard\""),
        "{error}"
    );
    assert!(begun.elapsed() >= RETRY_DEADLINE && begun.elapsed() <= RETRY_DEADLINE + LONGEST_WAIT);
}

#[tokio::test(start_paused = true)]
async fn call_without_an_answer_is_refused_after_its_timeout() {
    let (client, mut server) = crate::testing::server();
    let builder = Arc::new(PodBuilder::new(&agent(), "r1", &[]).unwrap());
    let call = tokio::spawn(create(
        Api::new(client),
        Arc::new(agent()),
        builder,
        wanted(),
        CancellationToken::new(),
    ));
    let unanswered = server.expect("POST", PODS).await;
    let report = call.await.unwrap();
    drop(unanswered);
    let ActionResult::Refused(error) = &report.result else {
        panic!("{report:?}")
    };
    assert!(
        error.to_string().contains("no clear answer within 20 s"),
        "{error}"
    );
    assert!(
        !report.was_retried,
        "the timeout is longer than the retry deadline"
    );
}

#[tokio::test]
async fn exceeded_quota_is_a_refusal_with_the_servers_message() {
    let message = "pods \"agent-x\" is forbidden: exceeded quota: pods, requested: 1, used: 5, limited: 5";
    let report = create_against(vec![refuse("POST", PODS, forbidden(message))]).await;
    let ActionResult::Refused(error) = &report.result else {
        panic!("{report:?}")
    };
    assert_eq!(error.to_string(), message);
    assert!(!report.was_retried);
}

#[tokio::test(start_paused = true)]
async fn retries_end_when_the_daemon_set_is_gone() {
    let (client, mut server) = crate::testing::server();
    let builder = Arc::new(PodBuilder::new(&agent(), "r1", &[]).unwrap());
    let stop = CancellationToken::new();
    let call = tokio::spawn(create(
        Api::new(client),
        Arc::new(agent()),
        builder,
        wanted(),
        stop.clone(),
    ));
    server
        .expect("POST", PODS)
        .await
        .answer_raw(429, &[("retry-after", "60")], String::new());
    stop.cancel();
    assert!(matches!(call.await.unwrap().result, ActionResult::Cancelled));
    assert!(server.call().await.is_none());
}

#[tokio::test]
async fn deletion_carries_the_uid_as_precondition() {
    let line = || on("DELETE", format!("{PODS}/p1"), pod_json("p1", 9));
    let report = delete_against(vec![
        line().with_body(json!({"preconditions": {"uid": "uid of p1"}})),
    ])
    .await;
    assert!(matches!(report.result, ActionResult::Deleting), "{report:?}");
    for answer in [not_found(), conflict()] {
        let report = delete_against(vec![refuse("DELETE", format!("{PODS}/p1"), answer)]).await;
        assert!(matches!(report.result, ActionResult::Gone), "{report:?}");
    }
}

#[tokio::test]
async fn forbidden_deletion_is_refused() {
    let report = delete_against(vec![refuse("DELETE", format!("{PODS}/p1"), forbidden("no"))]).await;
    assert!(matches!(report.result, ActionResult::Refused(_)), "{report:?}");
}

#[tokio::test]
async fn refusal_by_a_proxy_keeps_its_message() {
    let answers = [
        json!({"error": "blocked by the proxy"}),
        json!("blocked by the proxy"),
    ];
    for answer in answers {
        let report = create_against(vec![refuse("POST", PODS, (403, answer.clone()))]).await;
        let ActionResult::Refused(error) = &report.result else {
            panic!("{report:?}")
        };
        assert_eq!(error.to_string(), answer.to_string());
    }
    // A 404 from something other than the API server doesn't mean that the pod is gone.
    let missing = (404, json!({"error": "no such page"}));
    let report = delete_against(vec![refuse("DELETE", format!("{PODS}/p1"), missing)]).await;
    assert!(matches!(report.result, ActionResult::Refused(_)), "{report:?}");
}
