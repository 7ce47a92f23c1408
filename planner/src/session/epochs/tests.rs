use super::*;

#[tokio::test]
async fn later_term_supersedes_and_earlier_term_is_refused() {
    let epochs = Epochs::default();
    let mut first = epochs.enter("a", 1).unwrap();
    let _second = epochs.enter("a", 2).unwrap();
    assert_eq!(first.superseded().await.latest, 2);
    assert_eq!(epochs.enter("a", 1).unwrap_err().latest, 2);
    assert!(
        epochs.enter("b", 1).is_ok(),
        "another cluster has terms of its own"
    );
    assert!(epochs.enter("a", 2).is_ok(), "the same leader may come back");
}

#[tokio::test(start_paused = true)]
async fn term_counts_until_30_seconds_after_its_last_session() {
    let epochs = Epochs::default();
    let (one, other) = (
        epochs.enter("a", u64::MAX).unwrap(),
        epochs.enter("a", u64::MAX).unwrap(),
    );
    drop(one);
    tokio::time::advance(Duration::from_hours(1)).await;
    assert_eq!(
        epochs.enter("a", 5).unwrap_err().latest,
        u64::MAX,
        "the other is open"
    );
    drop(other);
    tokio::time::advance(GRACE * 29 / 30).await;
    assert_eq!(epochs.enter("a", 5).unwrap_err().latest, u64::MAX);
    tokio::time::advance(GRACE / 30).await;
    let mut claim = epochs.enter("a", 5).unwrap();
    assert_eq!(epochs.enter("a", 4).unwrap_err().latest, 5);
    let _next = epochs.enter("a", 6).unwrap();
    assert_eq!(claim.superseded().await.latest, 6);
}

#[tokio::test(start_paused = true)]
async fn refused_session_does_not_extend_the_grace() {
    let epochs = Epochs::default();
    drop(epochs.enter("a", 9).unwrap());
    for _ in 0..30 {
        assert_eq!(epochs.enter("a", 1).unwrap_err().latest, 9);
        tokio::time::advance(GRACE / 30).await;
    }
    epochs.enter("a", 1).unwrap();
}

#[tokio::test(start_paused = true)]
async fn superseded_session_that_ends_late_does_not_shorten_the_grace() {
    let epochs = Epochs::default();
    let superseded = epochs.enter("a", 1).unwrap();
    let later = epochs.enter("a", 2).unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    drop(later);
    drop(superseded);
    tokio::time::advance(GRACE * 29 / 30).await;
    assert_eq!(epochs.enter("a", 1).unwrap_err().latest, 2);
}

#[tokio::test(start_paused = true)]
async fn clusters_are_removed_when_their_grace_ends() {
    let epochs = Epochs::default();
    for number in 0..100 {
        drop(epochs.enter(&number.to_string(), 1).unwrap());
    }
    let open = epochs.enter("open", 1).unwrap();
    tokio::time::advance(GRACE).await;
    let _other = epochs.enter("other", 1).unwrap();
    let count = || epochs.clusters.lock().by_name.len();
    assert_eq!(count(), 2);
    drop(open);
    assert_eq!(count(), 2, "its grace has begun");
}

#[tokio::test(start_paused = true)]
async fn many_clusters_and_many_terms_take_little_memory() {
    let epochs = Epochs::default();
    let open = epochs.enter("open", 7).unwrap();
    for number in 0..2 * MAX_ABSENT {
        drop(epochs.enter(&number.to_string(), 1).unwrap());
    }
    let count = || epochs.clusters.lock().by_name.len();
    assert_eq!(count(), MAX_ABSENT + 1);
    assert_eq!(
        epochs.enter("open", 6).unwrap_err().latest,
        7,
        "a cluster with a session stays"
    );
    drop(open);
    for epoch in 8..1_000 {
        drop(epochs.enter("open", epoch).unwrap());
    }
    assert_eq!(epochs.clusters.lock().by_name["open"].terms.len(), 1);
}
