//! Callers are authenticated before they get a permit.

use std::net::IpAddr;

use http::HeaderMap;
use tonic::metadata::MetadataValue;

use super::*;

/// Accepts every caller whose `authorization` header has a name. The authentication of the caller `slow` waits until
/// the test adds a permit.
#[derive(Debug)]
struct ByName {
    calls: Semaphore,
    slow: Semaphore,
}

impl ByName {
    /// Waits for the next call of the authenticator.
    async fn wait_for_call(&self) {
        let calls = tokio::time::timeout(Duration::from_mins(10), self.calls.acquire()).await;
        calls.expect("the authenticator isn't called").unwrap().forget();
    }
}

#[tonic::async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, headers: &HeaderMap, _: Option<&Peer>) -> Result<Authenticated, Status> {
        self.calls.add_permits(1);
        let name = headers.get("authorization").and_then(|name| name.to_str().ok());
        match name {
            None => Err(Status::unauthenticated("a name is needed")),
            Some("slow") => {
                self.slow.acquire().await.unwrap().forget();
                Ok(Authenticated::new("user:slow", "slow".to_owned()))
            }
            Some(name) => Ok(Authenticated::new(format!("user:{name}"), name.to_owned())),
        }
    }
}

fn scene() -> (Scene, Arc<ByName>) {
    let by_name = Arc::new(ByName {
        calls: Semaphore::new(0),
        slow: Semaphore::new(0),
    });
    let authenticator: Arc<dyn Authenticator> = by_name.clone();
    (Scene::with_authenticator(LIMITS, Some(authenticator)), by_name)
}

fn named<T>(name: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let name = MetadataValue::from_static(name);
    request.metadata_mut().insert("authorization", name);
    request
}

#[tokio::test(start_paused = true)]
async fn unauthenticated_callers_are_refused_without_a_permit_or_a_wait() {
    let (scene, _) = scene();
    let mut client = scene.client();
    let first = tokio::spawn(async move { client.get_info(named("ann", GetInfoRequest {})).await });
    scene.wait_for_start().await;
    let began = Instant::now();
    for _ in 0..100 {
        let refused = scene.call().await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        let watch = scene.client().watch_plans(WatchPlansRequest::default()).await;
        assert_eq!(watch.err().unwrap().code(), Code::Unauthenticated);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    scene.fake.go.add_permits(1);
    first.await.unwrap().unwrap();
    let reports = scene.reports();
    assert_eq!(
        reports
            .iter()
            .filter(|report| *report == "unauthenticated")
            .count(),
        200
    );
    assert_eq!(
        reports.iter().filter(|report| *report == "Unary started").count(),
        1,
        "{reports:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn caller_holds_no_permit_during_authentication() {
    let (scene, by_name) = scene();
    let mut client = scene.client();
    let slow = tokio::spawn(async move { client.get_info(named("slow", GetInfoRequest {})).await });
    by_name.wait_for_call().await;
    scene.fake.go.add_permits(1);
    scene
        .client()
        .get_info(named("ann", GetInfoRequest {}))
        .await
        .unwrap();
    by_name.slow.add_permits(1);
    scene.fake.go.add_permits(1);
    slow.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn authentication_counts_against_the_deadline_of_the_call() {
    let (scene, _) = scene();
    let began = Instant::now();
    let late = scene.client().get_info(named("slow", GetInfoRequest {})).await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    let watch = named("slow", WatchPlansRequest::default());
    let late = scene.client().watch_plans(watch).await;
    assert_eq!(late.err().unwrap().code(), Code::DeadlineExceeded);
    assert_eq!(began.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn authentication_over_the_limit_is_refused_at_once() {
    let (scene, by_name) = scene();
    let mut pending = Vec::new();
    for _ in 0..64 {
        let mut client = scene.client();
        pending.push(tokio::spawn(async move {
            client.get_info(named("slow", GetInfoRequest {})).await
        }));
        by_name.wait_for_call().await;
    }
    let began = Instant::now();
    let refused = scene.client().get_info(named("ann", GetInfoRequest {})).await;
    let message = "the limit of 64 concurrent authentications of callers is reached";
    assert_retryable(&refused.unwrap_err(), Code::ResourceExhausted, message);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(scene.reports(), ["authentications"]);
    // An authentication that ends returns its permit, and so does one whose caller disconnects.
    pending.pop().unwrap().abort();
    tokio::task::yield_now().await;
    scene.fake.go.add_permits(1);
    scene
        .client()
        .get_info(named("ann", GetInfoRequest {}))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_address_cant_block_the_authentication_of_others() {
    let by_name = Arc::new(ByName {
        calls: Semaphore::new(0),
        slow: Semaphore::new(0),
    });
    let authenticator = Arc::new(LimitedAuthenticator::new(by_name.clone()));
    let limiter = Arc::new(Limiter::new(
        LIMITS,
        Arc::new(RecordingObserver::default()),
        CancellationToken::new(),
    ));
    let check = move |name: &'static str, address: &str| {
        let (authenticator, limiter) = (authenticator.clone(), limiter.clone());
        let address: IpAddr = address.parse().unwrap();
        let peer = Peer::new(Identity::Anonymous, Some(address));
        async move {
            let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, name.parse().unwrap())]);
            authenticator.authenticate(&limiter, &headers, Some(&peer)).await
        }
    };
    // For IPv6, the limit applies to the network.
    for count in 0..16 {
        tokio::spawn(check("slow", &format!("2001:db8::{count}")));
        by_name.wait_for_call().await;
    }
    let refused = check("ann", "2001:db8::ffff:1").await.unwrap_err();
    let message = "the limit of 16 concurrent authentications of callers from this address is reached";
    assert_retryable(&refused, Code::ResourceExhausted, message);
    let other = check("ann", "2001:db8:0:1::1").await.unwrap();
    assert_eq!(other.key(), "user:ann");
    assert_eq!(other.caller::<String>().unwrap(), "ann");
    assert!(other.caller::<u32>().is_none());
}
