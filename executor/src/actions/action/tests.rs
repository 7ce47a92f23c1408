use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::testing::{
    Line, PODS, agent, already_exists, conflict, forbidden, not_found, on, owned_by, pod_json, refusal,
    refuse, scenario, with,
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

/// The wanted pod, under its nth name.
fn made(attempt: u32) -> Value {
    pod_json(&name(attempt), 7)
}

fn path(attempt: u32) -> String {
    format!("{PODS}/{}", name(attempt))
}

fn body(attempt: u32) -> Value {
    let recipe = Recipe::new(&agent(), "r1", &[]).unwrap();
    serde_json::from_slice(&recipe.pod(&name(attempt), "n1")).unwrap()
}

async fn create_against(lines: Vec<Line>) -> Carried {
    let (api, server) = scenario(lines);
    let recipe = Arc::new(Recipe::new(&agent(), "r1", &[]).unwrap());
    let carried = create(api, Arc::new(agent()), recipe, wanted(), CancellationToken::new()).await;
    server.await.unwrap();
    carried
}

async fn delete_against(lines: Vec<Line>) -> Carried {
    let (api, server) = scenario(lines);
    let action = DeletePod {
        pod: "p1".to_owned(),
        uid: "uid of p1".to_owned(),
        ..DeletePod::default()
    };
    let carried = delete(api, "default".to_owned(), action, CancellationToken::new()).await;
    server.await.unwrap();
    carried
}

fn created(carried: &Carried) -> &str {
    let Came::Created(pod) = &carried.came else {
        panic!("{carried:?}")
    };
    &pod.metadata.name
}

#[tokio::test]
async fn a_pod_is_created() {
    let carried = create_against(vec![on("POST", PODS, made(0)).sent(body(0))]).await;
    assert_eq!(
        (created(&carried), carried.with_pressure),
        (name(0).as_str(), false)
    );
}

#[tokio::test]
async fn a_name_taken_by_the_wanted_pod_means_that_it_is_there() {
    let lines = vec![
        refuse("POST", PODS, already_exists()),
        on("GET", path(0), made(0)),
    ];
    assert_eq!(created(&create_against(lines).await), name(0));
}

#[tokio::test]
async fn a_name_taken_by_another_pod_is_moved_on_from() {
    let others = [
        json!({"metadata": {"ownerReferences": []}}),
        json!({"metadata": {"labels": {"controller-revision-hash": "r0"}}}),
        json!({"spec": {"nodeName": "n2"}}),
    ];
    for other in others {
        let lines = vec![
            refuse("POST", PODS, already_exists()),
            on("GET", path(0), with(made(0), other)),
            on("POST", PODS, made(1)).sent(body(1)),
        ];
        assert_eq!(created(&create_against(lines).await), name(1));
    }
}

#[tokio::test]
async fn a_name_whose_pod_has_just_gone_is_moved_on_from() {
    let lines = vec![
        refuse("POST", PODS, already_exists()),
        refuse("GET", path(0), not_found()),
        on("POST", PODS, made(1)).sent(body(1)),
    ];
    assert_eq!(created(&create_against(lines).await), name(1));
}

#[tokio::test]
async fn a_pod_that_carries_only_the_uid_of_the_daemon_set_is_not_the_wanted_one() {
    for change in [json!({"name": "other"}), json!({"kind": "ReplicaSet"})] {
        let reference = with(owned_by("ds-1")[0].take(), change);
        let fake = with(made(0), json!({"metadata": {"ownerReferences": [reference]}}));
        let lines = vec![
            refuse("POST", PODS, already_exists()),
            on("GET", path(0), fake),
            on("POST", PODS, made(1)).sent(body(1)),
        ];
        assert_eq!(created(&create_against(lines).await), name(1));
    }
}

#[tokio::test]
async fn names_that_are_all_taken_by_strangers_end_in_a_refusal() {
    let stranger = |attempt| with(made(attempt), json!({"metadata": {"ownerReferences": []}}));
    let lines = (0..MAX_NAMES)
        .flat_map(|attempt| {
            [
                refuse("POST", PODS, already_exists()),
                on("GET", path(attempt), stranger(attempt)),
            ]
        })
        .collect();
    let carried = create_against(lines).await;
    assert!(
        matches!(&carried.came, Came::Refused(error) if error.is_already_exists()),
        "{carried:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_when_it_wants_to_be() {
    let begun = Instant::now();
    let busy = (429, json!("too many requests, please try again later"));
    let lines = vec![
        refuse("POST", PODS, busy).header("retry-after", "7"),
        on("POST", PODS, made(0)).sent(body(0)),
    ];
    let carried = create_against(lines).await;
    assert_eq!(
        (created(&carried), carried.with_pressure),
        (name(0).as_str(), true)
    );
    assert!(begun.elapsed() >= Duration::from_secs(7), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_wait_named_in_the_status_is_kept_too() {
    let begun = Instant::now();
    let busy = with(
        refusal(429, "TooManyRequests", "busy"),
        json!({"details": {"retryAfterSeconds": 3}}),
    );
    let carried = create_against(vec![refuse("POST", PODS, (429, busy)), on("POST", PODS, made(0))]).await;
    assert_eq!(created(&carried), name(0));
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_creation_without_a_clear_answer_that_went_through_after_all_is_done() {
    let lines = vec![
        refuse(
            "POST",
            PODS,
            (500, refusal(500, "InternalError", "etcd: request timed out")),
        ),
        refuse("POST", PODS, already_exists()),
        on("GET", path(0), made(0)),
    ];
    let carried = create_against(lines).await;
    assert_eq!(
        (created(&carried), carried.with_pressure),
        (name(0).as_str(), true)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stays_unclear_is_a_refusal_in_the_servers_words() {
    let (client, mut server) = crate::testing::server();
    let recipe = Arc::new(Recipe::new(&agent(), "r1", &[]).unwrap());
    let begun = Instant::now();
    let call = tokio::spawn(create(
        Api::new(client),
        Arc::new(agent()),
        recipe,
        wanted(),
        CancellationToken::new(),
    ));
    while let Some(call) = server.call().await {
        let body = refusal(500, "InternalError", "failed calling webhook \"guard\"");
        call.answer_with(500, &body);
    }
    let carried = call.await.unwrap();
    let Came::Refused(error) = &carried.came else {
        panic!("{carried:?}")
    };
    assert!(
        error.to_string().contains("failed calling webhook \"guard\""),
        "{error}"
    );
    assert!(begun.elapsed() >= PATIENCE && begun.elapsed() <= PATIENCE + LONGEST_WAIT);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_asked_again() {
    let (client, mut server) = crate::testing::server();
    let recipe = Arc::new(Recipe::new(&agent(), "r1", &[]).unwrap());
    let call = tokio::spawn(create(
        Api::new(client),
        Arc::new(agent()),
        recipe,
        wanted(),
        CancellationToken::new(),
    ));
    let unanswered = server.expect("POST", PODS).await;
    let carried = call.await.unwrap();
    drop(unanswered);
    let Came::Refused(error) = &carried.came else {
        panic!("{carried:?}")
    };
    assert!(error.to_string().contains("no answer within 20 s"), "{error}");
}

#[tokio::test]
async fn a_full_quota_is_a_refusal_in_the_servers_words() {
    let words = "pods \"agent-x\" is forbidden: exceeded quota: pods, requested: 1, used: 5, limited: 5";
    let carried = create_against(vec![refuse("POST", PODS, forbidden(words))]).await;
    let Came::Refused(error) = &carried.came else {
        panic!("{carried:?}")
    };
    assert_eq!(error.to_string(), words);
    assert!(!carried.with_pressure);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_busy_server_ends_when_the_daemon_set_does() {
    let (client, mut server) = crate::testing::server();
    let recipe = Arc::new(Recipe::new(&agent(), "r1", &[]).unwrap());
    let stop = CancellationToken::new();
    let call = tokio::spawn(create(
        Api::new(client),
        Arc::new(agent()),
        recipe,
        wanted(),
        stop.clone(),
    ));
    server
        .expect("POST", PODS)
        .await
        .answer_in(429, &[("retry-after", "60")], String::new());
    stop.cancel();
    assert!(matches!(call.await.unwrap().came, Came::GivenUp));
    assert!(server.call().await.is_none());
}

#[tokio::test]
async fn a_deletion_names_the_uid_and_only_the_pod_with_it_is_deleted() {
    let line = || on("DELETE", format!("{PODS}/p1"), pod_json("p1", 9));
    let carried = delete_against(vec![line().sent(json!({"preconditions": {"uid": "uid of p1"}}))]).await;
    assert!(matches!(carried.came, Came::Deleting), "{carried:?}");
    for answer in [not_found(), conflict()] {
        let carried = delete_against(vec![refuse("DELETE", format!("{PODS}/p1"), answer)]).await;
        assert!(matches!(carried.came, Came::Gone), "{carried:?}");
    }
}

#[tokio::test]
async fn a_deletion_that_may_not_be_is_refused() {
    let carried = delete_against(vec![refuse("DELETE", format!("{PODS}/p1"), forbidden("no"))]).await;
    assert!(matches!(carried.came, Came::Refused(_)), "{carried:?}");
}

#[tokio::test]
async fn a_refusal_by_something_in_between_is_told_in_its_own_words() {
    let answers = [
        json!({"error": "blocked by the proxy"}),
        json!("blocked by the proxy"),
    ];
    for answer in answers {
        let carried = create_against(vec![refuse("POST", PODS, (403, answer.clone()))]).await;
        let Came::Refused(error) = &carried.came else {
            panic!("{carried:?}")
        };
        assert_eq!(error.to_string(), answer.to_string());
    }
    // A 404 from something other than the API server doesn't mean that the pod is gone.
    let missing = (404, json!({"error": "no such page"}));
    let carried = delete_against(vec![refuse("DELETE", format!("{PODS}/p1"), missing)]).await;
    assert!(matches!(carried.came, Came::Refused(_)), "{carried:?}");
}
