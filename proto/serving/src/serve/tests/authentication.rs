//! Callers are authenticated before they take a permit.

use std::net::IpAddr;

use http::HeaderMap;
use tonic::metadata::MetadataValue;

use super::*;

/// Accepts at once every caller whose `authorization` header bears a name. The caller named `slow` waits
/// until the test lets it go on.
#[derive(Debug)]
struct ByName {
    asked: Semaphore,
    slow: Semaphore,
}

impl ByName {
    /// Waits until the gate asks about one more caller.
    async fn was_asked(&self) {
        let asked = tokio::time::timeout(Duration::from_mins(10), self.asked.acquire()).await;
        asked.expect("nobody asks").unwrap().forget();
    }
}

#[tonic::async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, headers: &HeaderMap, _: Option<&Peer>) -> Result<Authenticated, Status> {
        self.asked.add_permits(1);
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
        asked: Semaphore::new(0),
        slow: Semaphore::new(0),
    });
    let authenticator: Arc<dyn Authenticator> = by_name.clone();
    (Scene::authenticated_by(LIMITS, Some(authenticator)), by_name)
}

fn named<T>(name: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let name = MetadataValue::from_static(name);
    request.metadata_mut().insert("authorization", name);
    request
}

#[tokio::test(start_paused = true)]
async fn callers_without_a_name_take_no_place_and_dont_wait_for_one() {
    let (scene, _) = scene();
    let mut client = scene.client();
    let first = tokio::spawn(async move { client.get_info(named("ann", GetInfoRequest {})).await });
    scene.entered().await;
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
    let told = scene.told();
    assert_eq!(told.iter().filter(|what| *what == "unauthenticated").count(), 200);
    assert_eq!(
        told.iter().filter(|what| *what == "Call began").count(),
        1,
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_being_authenticated_takes_no_place() {
    let (scene, by_name) = scene();
    let mut client = scene.client();
    let slow = tokio::spawn(async move { client.get_info(named("slow", GetInfoRequest {})).await });
    by_name.was_asked().await;
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
async fn one_authentication_more_than_may_be_pending_is_refused_at_once() {
    let (scene, by_name) = scene();
    let mut pending = Vec::new();
    for _ in 0..64 {
        let mut client = scene.client();
        pending.push(tokio::spawn(async move {
            client.get_info(named("slow", GetInfoRequest {})).await
        }));
        by_name.was_asked().await;
    }
    let began = Instant::now();
    let refused = scene.client().get_info(named("ann", GetInfoRequest {})).await;
    let words = "64 callers are being authenticated, and no more";
    assert_try_again(&refused.unwrap_err(), Code::ResourceExhausted, words);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(scene.told(), ["authentications"]);
    // An authentication that ends makes room, and so does a caller who goes away.
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
async fn one_address_cant_keep_the_others_from_being_authenticated() {
    let by_name = Arc::new(ByName {
        asked: Semaphore::new(0),
        slow: Semaphore::new(0),
    });
    let authentication = Arc::new(authenticate::Authentication::new(by_name.clone()));
    let room = Arc::new(Room::new(
        LIMITS,
        Arc::new(Tally::default()),
        CancellationToken::new(),
    ));
    let check = move |name: &'static str, address: &str| {
        let (authentication, room) = (authentication.clone(), room.clone());
        let address: IpAddr = address.parse().unwrap();
        let peer = Peer::new(Identity::Unknown, Some(address));
        async move {
            let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, name.parse().unwrap())]);
            authentication.check(&room, &headers, Some(&peer)).await
        }
    };
    // For IPv6, the limit applies to the network.
    for count in 0..16 {
        tokio::spawn(check("slow", &format!("2001:db8::{count}")));
        by_name.was_asked().await;
    }
    let refused = check("ann", "2001:db8::ffff:1").await.unwrap_err();
    let words = "16 callers from this address are being authenticated";
    assert_try_again(&refused, Code::ResourceExhausted, words);
    let other = check("ann", "2001:db8:0:1::1").await.unwrap();
    assert_eq!(other.key(), "user:ann");
    assert_eq!(other.caller::<String>().unwrap(), "ann");
    assert!(other.caller::<u32>().is_none());
}
