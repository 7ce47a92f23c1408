//! Limits on the number of reviews, however many callers there are.

use futures::future::join_all;
use tonic_types::StatusExt;

use super::*;

fn from(address: &str) -> Peer {
    Peer::new(Identity::Anonymous, Some(address.parse().unwrap()))
}

/// Sends `count` different invalid tokens, and returns how many of them were reviewed.
async fn junk(tokens: &TokenAuthenticator, peer: &Peer, prefix: &str, count: u32) -> usize {
    let mut reviewed = 0;
    for number in 0..count {
        let refused = authenticate(tokens, &format!("{prefix}-{number}"), Some(peer)).await;
        let refused = refused.unwrap_err();
        match refused.code() {
            Code::Unauthenticated => reviewed += 1,
            code => {
                assert_eq!(code, Code::ResourceExhausted, "{refused}");
                let retry = refused.get_details_retry_info().unwrap().retry_delay;
                assert_eq!(retry, Some(Duration::from_secs(1)));
            }
        }
    }
    reviewed
}

#[tokio::test(start_paused = true)]
async fn invalid_tokens_from_one_address_cause_few_reviews_and_block_no_other_address() {
    let (cluster, api) = FakeApiServer::start(&[]);
    let tokens = tokens(api);
    let attacker = from("10.0.0.1");
    assert_eq!(junk(&tokens, &attacker, "junk", 1_000).await, 10);
    assert_eq!(cluster.reviews().len(), 10);
    // A new token from another address is still reviewed.
    authenticate(&tokens, "t", Some(&from("10.0.0.2"))).await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(junk(&tokens, &attacker, "more", 1_000).await, 5);
    // The same address mapped into IPv6 shares the limit.
    assert_eq!(junk(&tokens, &from("::ffff:10.0.0.1"), "mapped", 10).await, 0);
}

#[tokio::test(start_paused = true)]
async fn invalid_tokens_from_many_addresses_cause_few_reviews_and_known_tokens_stay_valid() {
    let (cluster, api) = FakeApiServer::start(&[]);
    let tokens = tokens(api);
    authenticate(&tokens, "t", Some(&from("10.0.0.1"))).await.unwrap();
    for second in 0..120 {
        let mut reviewed = 0;
        for host in 0..20 {
            let peer = from(&format!("10.1.0.{host}"));
            reviewed += junk(&tokens, &peer, &format!("{second}-{host}"), 20).await;
        }
        assert!(
            reviewed <= if second == 0 { 39 } else { 20 },
            "{reviewed} in second {second}"
        );
        // The cached answer about the valid token expires repeatedly, while invalid tokens exhaust the rate limits and
        // fill their cache.
        authenticate(&tokens, "t", Some(&from("10.1.0.1"))).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let valid = cluster
        .reviews()
        .iter()
        .filter(|review| *review == "token t")
        .count();
    assert!((10..=13).contains(&valid), "{valid} reviews of a token in 120 s");
}

#[tokio::test(start_paused = true)]
async fn token_has_at_most_one_review_in_progress() {
    let (cluster, api) = FakeApiServer::start(&[]);
    let tokens = tokens(api);
    let peer = from("10.0.0.1");
    for outcome in join_all((0..50).map(|_| authenticate(&tokens, "t", Some(&peer)))).await {
        outcome.unwrap();
    }
    for outcome in join_all((0..50).map(|_| authenticate(&tokens, "junk", Some(&peer)))).await {
        assert_eq!(outcome.unwrap_err().code(), Code::Unauthenticated);
    }
    assert_eq!(cluster.reviews(), ["token t", "token junk"]);
}

#[tokio::test(start_paused = true)]
async fn review_is_repeated_when_its_callers_are_gone() {
    let (client, mut server) = server();
    let tokens = tokens(Api::new(client));
    let unanswered = tokio::select! {
        answer = authenticate(&tokens, "t", None) => panic!("{answer:?}"),
        review = server.expect("POST", TOKENS) => review,
    };
    let repeated = async {
        let status = json!({"authenticated": true, "user": {"username": "ann"}});
        let review = server.expect("POST", TOKENS).await;
        review.answer(&json!({"spec": {"token": "t"}, "status": status}));
    };
    let (caller, ()) = tokio::join!(authenticate(&tokens, "t", None), repeated);
    caller.unwrap();
    drop(unanswered);
}

#[tokio::test(start_paused = true)]
async fn oversized_token_is_refused_without_a_review() {
    let (api, server) = scenario(Vec::new());
    let tokens = tokens(api);
    let refused = authenticate(&tokens, &"x".repeat(16 * 1024 + 1), None).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("longer than 16384 bytes"), "{refused}");
    drop(tokens);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn access_reviews_are_cached_for_ten_seconds_and_rate_limited() {
    let (cluster, api) = FakeApiServer::start(&["list daemonsets"]);
    let tokens = tokens(api);
    let caller = authenticate(&tokens, "t", None).await.unwrap();
    for _ in 0..100 {
        let all = AccessRequest::daemon_sets("", "");
        tokens.authorize(&caller, &all).await.unwrap();
        let node = AccessRequest::nodes(Some("n1"));
        let refused = tokens.authorize(&caller, &node).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    assert_eq!(cluster.reviews(), ["token t", "list daemonsets", "get nodes n1"]);
    tokio::time::advance(Duration::from_secs(11)).await;
    cluster.revoke("list daemonsets");
    let refused = tokens
        .authorize(&caller, &AccessRequest::daemon_sets("", ""))
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);

    // A caller who keeps asking about other objects runs into the rate limit.
    let mut exhausted = 0;
    for number in 0..1_000 {
        let node = AccessRequest::nodes(Some(&format!("n{number}")));
        let refused = tokens.authorize(&caller, &node).await.unwrap_err();
        exhausted += usize::from(refused.code() == Code::ResourceExhausted);
    }
    assert!(exhausted >= 900, "{exhausted}");
    assert!(cluster.reviews().len() <= 110);
}

#[tokio::test(start_paused = true)]
async fn reviews_are_counted() {
    let (_cluster, api) = FakeApiServer::start(&[]);
    let metrics = Arc::new(Metrics::default());
    let tokens = TokenAuthenticator::new(api, metrics.clone());
    junk(&tokens, &from("10.0.0.1"), "junk", 15).await;
    for _ in 0..3 {
        authenticate(&tokens, "junk-0", Some(&from("10.0.0.1")))
            .await
            .unwrap_err();
    }
    let page = metrics.encode();
    for (outcome, count) in [("Made", 10), ("Refused", 5), ("Cached", 3)] {
        let line = format!(
            "everynode_executor_caller_reviews_total{{review=\"Token\",outcome=\"{outcome}\"}} {count}"
        );
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
}
