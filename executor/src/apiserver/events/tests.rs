use super::*;
use crate::testing::{agent, agent_with, server};

fn events() -> (Events, crate::testing::Server) {
    let (client, server) = server();
    (
        Events::new(client, "me".to_owned(), Arc::new(Metrics::default())),
        server,
    )
}

#[tokio::test]
async fn c5_events_are_rate_limited_per_daemon_set() {
    let (mut events, _server) = events();
    let begun = Instant::now();
    let recorded = (0..100).filter(|_| events.take_token("ds-1", begun)).count();
    assert_eq!(recorded, 25, "the burst");
    assert!(
        events.take_token("ds-2", begun),
        "another DaemonSet has its own limit"
    );
    assert!(!events.take_token("ds-1", begun + REFILL / 2));
    let later = begun + REFILL * 2;
    let recorded = (0..100).filter(|_| events.take_token("ds-1", later)).count();
    assert_eq!(recorded, 2, "one more every ten seconds");
    events.forget("ds-1");
    assert!(
        events.take_token("ds-1", later),
        "a forgotten DaemonSet starts with a full burst"
    );
}

#[tokio::test]
async fn c5_event_beyond_the_limit_is_counted_and_not_written() {
    let (client, mut server) = server();
    let metrics = Arc::new(Metrics::default());
    let mut events = Events::new(client, "me".to_owned(), metrics.clone());
    for number in 0..30 {
        let note = format!("Created pod: agent-{number}");
        events.record(&agent(), EventType::Normal, "SuccessfulCreate", "CreatePod", note);
    }
    let page = metrics.encode();
    assert!(
        page.contains("everynode_executor_events_dropped_total 5"),
        "{page}"
    );
    for number in 0..25 {
        let call = server.call().await.unwrap();
        assert_eq!(call.body["note"], format!("Created pod: agent-{number}"));
        let body = call.body.clone();
        call.answer(&body);
    }
}

#[tokio::test]
async fn c5_repeated_note_is_counted_and_a_different_note_is_a_new_event() {
    let (mut events, mut server) = events();
    let mut record = |note: &str| {
        events.record(
            &agent(),
            EventType::Warning,
            "FailedCreate",
            "CreatePod",
            note.to_owned(),
        );
    };
    ["quota", "quota", "webhook"].into_iter().for_each(&mut record);
    let mut calls = Vec::new();
    for _ in 0..3 {
        let call = server.call().await.unwrap();
        calls.push((
            call.method.clone(),
            call.body["note"].clone(),
            call.body["series"]["count"].clone(),
        ));
        let body = call.body.clone();
        call.answer(&body);
    }
    let wanted = serde_json::json!([
        ["POST", "quota", null],
        ["PATCH", "quota", 2],
        ["POST", "webhook", null]
    ]);
    assert_eq!(serde_json::to_value(calls).unwrap(), wanted);
}

#[tokio::test]
async fn c5_event_is_about_the_daemon_set_and_names_its_reporter() {
    let (mut events, mut server) = events();
    let set = agent_with(serde_json::json!({"metadata": {"uid": "ds-9"}}));
    events.record(
        &set,
        EventType::Normal,
        "SuccessfulDelete",
        "DeletePod",
        "Deleted pod: p".to_owned(),
    );
    let call = server.call().await.unwrap();
    assert_eq!(call.path, "/apis/events.k8s.io/v1/namespaces/default/events");
    let regarding = &call.body["regarding"];
    assert_eq!(
        (&regarding["kind"], &regarding["name"], &regarding["uid"]),
        (&"DaemonSet".into(), &"agent".into(), &"ds-9".into())
    );
    assert_eq!(call.body["type"], "Normal");
    assert_eq!(call.body["action"], "DeletePod");
    assert_eq!(call.body["reportingController"], "everynode-executor");
    assert_eq!(call.body["reportingInstance"], "me");
}

#[test]
fn c5_note_too_long_for_the_api_is_cut_between_characters() {
    let short = "é".repeat(MAX_NOTE_BYTES / 2);
    assert_eq!(truncate_note(short.clone()), short);
    let cut = truncate_note("é".repeat(MAX_NOTE_BYTES));
    assert!(
        cut.len() <= MAX_NOTE_BYTES && cut.ends_with("é…"),
        "{} bytes",
        cut.len()
    );
}
