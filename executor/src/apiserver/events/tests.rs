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
async fn c5_events_are_limited_for_each_daemon_set() {
    let (mut events, _server) = events();
    let begun = Instant::now();
    let said = (0..100).filter(|_| events.may_say("ds-1", begun)).count();
    assert_eq!(said, 25, "so many at once");
    assert!(events.may_say("ds-2", begun), "another one has its own");
    assert!(!events.may_say("ds-1", begun + REFILL / 2));
    let later = begun + REFILL * 2;
    let said = (0..100).filter(|_| events.may_say("ds-1", later)).count();
    assert_eq!(said, 2, "one more every ten seconds");
    events.forget("ds-1");
    assert!(events.may_say("ds-1", later), "it is another one now");
}

#[tokio::test]
async fn c5_an_event_beyond_the_limit_is_counted_and_not_written() {
    let (client, mut server) = server();
    let metrics = Arc::new(Metrics::default());
    let mut events = Events::new(client, "me".to_owned(), metrics.clone());
    for number in 0..30 {
        let note = format!("Created pod: agent-{number}");
        events.say(&agent(), Kind::Normal, "SuccessfulCreate", "CreatePod", note);
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
async fn c5_the_same_words_again_are_counted_and_other_words_are_an_event_of_their_own() {
    let (mut events, mut server) = events();
    let mut say = |note: &str| {
        events.say(
            &agent(),
            Kind::Warning,
            "FailedCreate",
            "CreatePod",
            note.to_owned(),
        );
    };
    ["quota", "quota", "webhook"].into_iter().for_each(&mut say);
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
async fn c5_an_event_is_about_the_daemon_set_and_names_who_reports_it() {
    let (mut events, mut server) = events();
    let set = agent_with(serde_json::json!({"metadata": {"uid": "ds-9"}}));
    events.say(
        &set,
        Kind::Normal,
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
fn c5_a_note_that_is_too_long_for_the_api_is_cut_between_characters() {
    let short = "é".repeat(MAX_NOTE / 2);
    assert_eq!(shortened(short.clone()), short);
    let cut = shortened("é".repeat(MAX_NOTE));
    assert!(
        cut.len() <= MAX_NOTE && cut.ends_with("é…"),
        "{} bytes",
        cut.len()
    );
}
