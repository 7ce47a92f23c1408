//! Tests of supplementary kinds, which not every API server serves.

use super::*;
use crate::apiserver::watch::stream::absence::MAX_ABSENCE_BACKOFF;

/// The answer to a request for a kind that the server doesn't serve.
fn not_served() -> Answer {
    (404, "text/plain", b"404 page not found\n".to_vec())
}

/// A watch of a supplementary kind. The response bodies of its watch requests don't end.
fn supplementary(streaming: bool, answers: Vec<Answer>) -> TestWatch {
    TestWatch::watching(Presence::Supplementary, streaming, answers, silent_if_watch)
}

/// A watch of a supplementary kind. The response bodies of its watch requests end immediately.
fn supplementary_and_ending(answers: Vec<Answer>) -> TestWatch {
    TestWatch::watching(Presence::Supplementary, true, answers, axum::body::Body::from)
}

fn assert_counts(watch: &TestWatch, metric: &str, count: usize) {
    let page = watch.metrics.encode();
    let line = format!("everynode_executor_{metric}_total{{kind=\"Node\"}} {count}\n");
    assert!(page.contains(&line), "missing: {line}{page}");
}

#[tokio::test(start_paused = true)]
async fn supplementary_kind_that_isnt_served_is_reported_once_as_listed_and_empty() {
    let mut watch = supplementary(true, (0..5).map(|_| not_served()).collect());
    assert_eq!(watch.receive(3).await, "[ ] NotServed");
    assert_eq!(watch.queries(5).await, [STREAMED; 5]);
    assert!(watch.changes.is_empty(), "it is reported only once");
    assert_counts(&watch, "watches_begun", 1);
    assert_counts(&watch, "watch_errors", 0);
    assert_counts(&watch, "lists", 0);
}

#[tokio::test(start_paused = true)]
async fn required_kind_that_isnt_served_is_an_error_and_retried() {
    let mut watch = TestWatch::new(true, vec![not_served(), not_served(), lines(&[end_of_list("3")])]);
    let begun = Instant::now();
    assert_eq!(watch.receive(2).await, "[ ]");
    let waited = begun.elapsed();
    assert!(waited >= 2 * MIN_BACKOFF, "listed after {waited:?}");
    assert_counts(&watch, "watches_begun", 3);
    assert_counts(&watch, "watch_errors", 2);
}

#[tokio::test(start_paused = true)]
async fn supplementary_kind_that_isnt_served_passes_a_freshness_check_after_one_more_request() {
    let mut watch = supplementary(true, vec![not_served(), not_served(), not_served()]);
    assert_eq!(watch.receive(2).await, "[ ]");
    for check in 1..=2 {
        let begun = Instant::now();
        watch.checks_requested.send_replace(check);
        watch
            .checks_passed
            .wait_for(|passed| *passed == check)
            .await
            .unwrap();
        assert!(
            begun.elapsed() < MIN_BACKOFF,
            "the check waited for {:?}",
            begun.elapsed()
        );
    }
    assert_eq!(watch.requests.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn failure_is_reported_and_passes_freshness_checks_because_leading_doesnt_wait_for_the_kind() {
    let broken = (500, "text/plain", b"<html>".to_vec());
    let mut watch = supplementary(true, vec![not_served(), broken]);
    assert_eq!(watch.receive(3).await, "[ ] NotServed");
    watch.checks_requested.send_replace(1);
    watch.checks_passed.wait_for(|passed| *passed == 1).await.unwrap();
    assert_eq!(watch.receive(1).await, "Failing");
    assert_counts(&watch, "watch_errors", 1);
}

#[tokio::test(start_paused = true)]
async fn supplementary_kind_is_requested_every_15_to_30_s_and_listed_when_it_is_served() {
    let mut answers: Vec<_> = (0..20).map(|_| not_served()).collect();
    answers.push(lines(&[event("ADDED", &node("a", "1")), end_of_list("5")]));
    answers.push(page());
    let mut watch = supplementary(true, answers);
    let polling = Duration::from_secs(1);
    for count in 16..20 {
        watch.queries(count).await;
        let begun = Instant::now();
        watch.queries(count + 1).await;
        let waited = begun.elapsed();
        assert!(
            waited + polling >= MAX_ABSENCE_BACKOFF / 2 && waited <= MAX_ABSENCE_BACKOFF + polling,
            "requested again after {waited:?}"
        );
    }
    assert_eq!(watch.receive(7).await, "[ ] NotServed [ +a ] Following");
    assert_counts(&watch, "watches_begun", 1);
    assert_counts(&watch, "lists", 1);
    watch.checks_requested.send_replace(1);
    watch.checks_passed.wait_for(|passed| *passed == 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn supplementary_kind_that_is_removed_is_reported_as_empty_and_listed_when_it_is_served_again() {
    let first = [event("ADDED", &node("a", "1")), end_of_list("5")];
    let second = [event("ADDED", &node("b", "7")), end_of_list("8")];
    let script = vec![
        lines(&first),
        not_served(),
        not_served(),
        lines(&second),
        not_served(),
    ];
    let mut watch = supplementary_and_ending(script);
    assert_eq!(
        watch.receive(14).await,
        "[ +a ] Following [ ] NotServed [ +b ] Following [ ] NotServed"
    );
    assert_eq!(
        watch.queries(5).await,
        [
            STREAMED,
            "resourceVersion=5",
            STREAMED,
            STREAMED,
            "resourceVersion=8"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn removal_found_only_by_a_freshness_check_is_reported_before_the_check_passes() {
    let first = [event("ADDED", &node("a", "1")), end_of_list("5")];
    let mut watch = supplementary(true, vec![lines(&first), not_served(), not_served()]);
    assert_eq!(watch.receive(4).await, "[ +a ] Following");
    let begun = Instant::now();
    watch.checks_requested.send_replace(1);
    watch.checks_passed.wait_for(|passed| *passed == 1).await.unwrap();
    assert!(
        begun.elapsed() < MIN_BACKOFF,
        "the check waited for {:?}",
        begun.elapsed()
    );
    assert_eq!(
        watch.changes.len(),
        3,
        "the removal was reported before the check passed"
    );
    assert_eq!(watch.receive(3).await, "[ ] NotServed");
    assert_eq!(watch.queries(3).await, [STREAMED, "limit=1", STREAMED]);
}

#[tokio::test(start_paused = true)]
async fn supplementary_kind_that_is_removed_between_two_pages_of_its_list_is_reported_as_empty() {
    let items = json!([node("a", "1")]);
    let list = json!({"metadata": {"resourceVersion": "20", "continue": "next"}, "items": items});
    let list = (200, JSON, list.to_string().into_bytes());
    let mut watch = supplementary(false, vec![list, not_served()]);
    assert_eq!(watch.receive(4).await, "[ +a [ ]");
}

#[tokio::test(start_paused = true)]
async fn watch_of_a_kind_that_isnt_served_ends_when_the_receiver_is_dropped() {
    let mut watch = supplementary(true, vec![not_served()]);
    assert_eq!(watch.receive(2).await, "[ ]");
    let TestWatch {
        changes,
        task,
        requests,
        ..
    } = watch;
    drop(changes);
    task.await.unwrap();
    assert_eq!(requests.lock().unwrap().len(), 1);
}
