//! Optional kinds, which the API server may not serve.

use super::*;
use crate::apiserver::watch::stream::absence::LONGEST_ABSENCE_WAIT;

/// The answer to a request for a kind that the server doesn't serve.
fn not_served() -> Answer {
    (404, "text/plain", b"404 page not found\n".to_vec())
}

/// A watch of an optional kind. The bodies of its watch requests don't end.
fn optional(streaming: bool, answers: Vec<Answer>) -> Scene {
    Scene::watching(Presence::Optional, streaming, answers, |body| {
        let is_watch = body.starts_with(b"{\"object");
        let pieces = futures::stream::iter([Ok::<_, Infallible>(body)]);
        if is_watch {
            axum::body::Body::from_stream(pieces.chain(futures::stream::pending()))
        } else {
            axum::body::Body::from_stream(pieces)
        }
    })
}

/// A watch of an optional kind. The bodies of its watch requests end at once.
fn optional_and_ending(answers: Vec<Answer>) -> Scene {
    Scene::watching(Presence::Optional, true, answers, axum::body::Body::from)
}

fn assert_counts(scene: &Scene, metric: &str, count: usize) {
    let page = scene.metrics.encode();
    let line = format!("everynode_executor_{metric}_total{{kind=\"Node\"}} {count}\n");
    assert!(page.contains(&line), "missing: {line}{page}");
}

#[tokio::test(start_paused = true)]
async fn optional_kind_that_isnt_served_is_reported_once_as_listed_and_empty() {
    let mut scene = optional(true, (0..5).map(|_| not_served()).collect());
    assert_eq!(scene.hear(2).await, "[ ]");
    assert_eq!(scene.queries(5).await, [STREAMED; 5]);
    assert!(scene.changes.is_empty(), "it is reported only once");
    assert_counts(&scene, "watches_begun", 1);
    assert_counts(&scene, "watch_errors", 0);
    assert_counts(&scene, "lists", 0);
}

#[tokio::test(start_paused = true)]
async fn required_kind_that_isnt_served_is_an_error_and_retried() {
    let mut scene = Scene::new(true, vec![not_served(), not_served(), lines(&[end_of_list("3")])]);
    let begun = Instant::now();
    assert_eq!(scene.hear(2).await, "[ ]");
    let waited = begun.elapsed();
    assert!(waited >= 2 * FIRST_WAIT, "listed after {waited:?}");
    assert_counts(&scene, "watches_begun", 3);
    assert_counts(&scene, "watch_errors", 2);
}

#[tokio::test(start_paused = true)]
async fn optional_kind_that_isnt_served_passes_a_freshness_check_after_one_more_request() {
    let mut scene = optional(true, vec![not_served(), not_served(), not_served()]);
    assert_eq!(scene.hear(2).await, "[ ]");
    for check in 1..=2 {
        let begun = Instant::now();
        scene.asks.send_replace(check);
        scene.proof.wait_for(|proved| *proved == check).await.unwrap();
        assert!(
            begun.elapsed() < FIRST_WAIT,
            "the check waited for {:?}",
            begun.elapsed()
        );
    }
    assert_eq!(scene.asked.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn freshness_check_isnt_passed_when_the_answer_doesnt_say_whether_the_kind_is_served() {
    let broken = (500, "text/plain", b"<html>".to_vec());
    let mut scene = optional(true, vec![not_served(), broken]);
    assert_eq!(scene.hear(2).await, "[ ]");
    scene.asks.send_replace(1);
    scene.queries(3).await;
    assert_eq!(*scene.proof.borrow(), 0);
    assert_counts(&scene, "watch_errors", 1);
}

#[tokio::test(start_paused = true)]
async fn optional_kind_is_requested_every_15_to_30_s_and_listed_when_it_is_served() {
    let mut answers: Vec<_> = (0..20).map(|_| not_served()).collect();
    answers.push(lines(&[event("ADDED", &node("a", "1")), end_of_list("5")]));
    answers.push(page());
    let mut scene = optional(true, answers);
    let polling = Duration::from_secs(1);
    for count in 16..20 {
        scene.queries(count).await;
        let begun = Instant::now();
        scene.queries(count + 1).await;
        let waited = begun.elapsed();
        assert!(
            waited + polling >= LONGEST_ABSENCE_WAIT / 2 && waited <= LONGEST_ABSENCE_WAIT + polling,
            "requested again after {waited:?}"
        );
    }
    assert_eq!(scene.hear(5).await, "[ ] [ +a ]");
    assert_counts(&scene, "watches_begun", 1);
    assert_counts(&scene, "lists", 1);
    scene.asks.send_replace(1);
    scene.proof.wait_for(|proved| *proved == 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn optional_kind_that_is_removed_is_reported_as_empty_and_listed_when_it_is_served_again() {
    let first = [event("ADDED", &node("a", "1")), end_of_list("5")];
    let second = [event("ADDED", &node("b", "7")), end_of_list("8")];
    let script = vec![
        lines(&first),
        not_served(),
        not_served(),
        lines(&second),
        not_served(),
    ];
    let mut scene = optional_and_ending(script);
    assert_eq!(scene.hear(10).await, "[ +a ] [ ] [ +b ] [ ]");
    assert_eq!(
        scene.queries(5).await,
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
async fn optional_kind_whose_removal_only_a_freshness_check_shows_is_reported_as_empty_first() {
    let first = [event("ADDED", &node("a", "1")), end_of_list("5")];
    let mut scene = optional(true, vec![lines(&first), not_served(), not_served()]);
    assert_eq!(scene.hear(3).await, "[ +a ]");
    let begun = Instant::now();
    scene.asks.send_replace(1);
    scene.proof.wait_for(|proved| *proved == 1).await.unwrap();
    assert!(
        begun.elapsed() < FIRST_WAIT,
        "the check waited for {:?}",
        begun.elapsed()
    );
    assert_eq!(
        scene.changes.len(),
        2,
        "the removal was reported before the check passed"
    );
    assert_eq!(scene.hear(2).await, "[ ]");
    assert_eq!(scene.queries(3).await, [STREAMED, "limit=1", STREAMED]);
}

#[tokio::test(start_paused = true)]
async fn optional_kind_that_is_removed_between_two_pages_of_its_list_is_reported_as_empty() {
    let items = json!([node("a", "1")]);
    let list = json!({"metadata": {"resourceVersion": "20", "continue": "next"}, "items": items});
    let list = (200, JSON, list.to_string().into_bytes());
    let mut scene = optional(false, vec![list, not_served()]);
    assert_eq!(scene.hear(4).await, "[ +a [ ]");
}

#[tokio::test(start_paused = true)]
async fn watch_of_a_kind_that_isnt_served_ends_when_nobody_listens() {
    let mut scene = optional(true, vec![not_served()]);
    assert_eq!(scene.hear(2).await, "[ ]");
    let Scene {
        changes,
        watch,
        asked,
        ..
    } = scene;
    drop(changes);
    watch.await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 1);
}
