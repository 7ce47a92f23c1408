mod connection;
mod requirements;
mod server;

use tokio::{task::JoinHandle, time::advance};
use tower::{ServiceExt, service_fn};

use self::server::Server;
use super::*;

const FRACTION: Duration = Duration::from_millis(100);

fn settings() -> Settings {
    Settings {
        name: "executor".to_owned(),
        namespace: "system".to_owned(),
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    }
}

/// An executor that takes part in an election.
struct Candidate {
    claim: Claim,
    leads: watch::Receiver<Leadership>,
    requirements: Requirements,
    health: Arc<Health>,
    stop: CancellationToken,
    run: JoinHandle<()>,
}

impl Candidate {
    fn start(client: Client, name: &str) -> Self {
        Self::start_with(client, name, &["rollout_policies"])
    }

    /// Starts an executor that has these capabilities.
    fn start_with(client: Client, name: &str, known: &'static [&'static str]) -> Self {
        let (requirements, health) = (Requirements::new(known), Arc::new(Health::default()));
        let (claim, stop) = (Claim::none(Duration::from_secs(5)), CancellationToken::new());
        let (leads, leadership) = watch::channel(Leadership::default());
        let election = Election::new(
            client,
            settings(),
            name.to_owned(),
            claim.clone(),
            leads,
            requirements.clone(),
            health.clone(),
        );
        Self {
            claim,
            leads: leadership,
            requirements,
            health,
            run: tokio::spawn(election.run(stop.clone())),
            stop,
        }
    }

    /// Waits until the executor leads, and returns its term.
    async fn leads(&mut self) -> u64 {
        let leads = self.leads.wait_for(|now| now.is_us).await.unwrap();
        leads.term
    }

    async fn leads_no_more(&mut self) {
        self.leads.wait_for(|now| !now.is_us).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn lease_is_written_as_client_go_writes_it() {
    let server = Server::default();
    let mut candidate = Candidate::start(server.client(), "pod-1");
    let term = candidate.leads().await;
    let first = server.lease().unwrap();
    assert_eq!(record::term(&first), term);
    let spec = first.spec.unwrap();
    let holder = spec.holder_identity.unwrap();
    assert!(holder.starts_with("pod-1_"), "{holder}");
    assert_eq!(
        (spec.lease_duration_seconds, spec.lease_transitions),
        (Some(15), Some(0))
    );
    assert_eq!(spec.acquire_time, spec.renew_time);
    assert_eq!(*candidate.leads.borrow(), Leadership::ours_in("pod-1", term));

    tokio::time::sleep(Duration::from_mins(1)).await;
    let renewed = server.lease().unwrap();
    assert!(record::term(&renewed) > term);
    let renewed = renewed.spec.unwrap();
    assert_eq!(renewed.acquire_time, spec.acquire_time);
    assert!(renewed.renew_time > spec.renew_time);
    assert!(candidate.claim.is_current());
}

#[tokio::test(start_paused = true)]
async fn standby_leads_as_soon_as_the_lease_of_a_killed_leader_expires() {
    let server = Server::default();
    let mut first = Candidate::start(server.client(), "first");
    let earlier = first.leads().await;
    let mut second = Candidate::start(server.client(), "second");
    second.leads.wait_for(|now| now.leader == "first").await.unwrap();
    tokio::time::sleep(Duration::from_secs(21)).await;
    let last_sign = server.last_write();
    first.run.abort();
    let later = second.leads().await;
    let waited = last_sign.elapsed();
    assert!(
        waited >= Duration::from_secs(15) && waited < Duration::from_secs(15) + FRACTION,
        "{waited:?}"
    );
    assert!(later > earlier);
    assert_eq!(server.lease().unwrap().spec.unwrap().lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn claim_of_a_frozen_leader_expires_before_another_leads() {
    let server = Server::default();
    let mut frozen = Candidate::start(server.client(), "frozen");
    frozen.leads().await;
    let mut other = Candidate::start(server.client(), "other");
    // The leader's tasks no longer run, but its claim is still current.
    frozen.run.abort();
    assert!(frozen.claim.is_current());
    other.leads().await;
    assert!(!frozen.claim.is_current());
}

#[tokio::test(start_paused = true)]
async fn leader_that_cannot_renew_stops_before_another_leads_and_becomes_a_standby() {
    let server = Server::default();
    let (client, switch) = server.client_with_switch();
    let mut cut_off = Candidate::start(client, "cut-off");
    cut_off.leads().await;
    let mut other = Candidate::start(server.client(), "other");
    other.leads.wait_for(|now| now.leader == "cut-off").await.unwrap();
    switch.cut();
    let last_sign = server.last_write();
    cut_off.leads_no_more().await;
    assert!(!cut_off.claim.is_current());
    let waited = last_sign.elapsed();
    assert!(waited <= Duration::from_secs(12) + FRACTION, "{waited:?}");
    assert!(!other.leads.borrow().is_us);
    other.leads().await;

    switch.mend();
    cut_off.leads.wait_for(|now| now.leader == "other").await.unwrap();
    other.stop.cancel();
    cut_off.leads().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_leader_releases_the_lease_so_another_leads_at_once() {
    let server = Server::default();
    let mut first = Candidate::start(server.client(), "first");
    first.leads().await;
    let mut second = Candidate::start(server.client(), "second");
    second.leads.wait_for(|now| now.leader == "first").await.unwrap();
    first.stop.cancel();
    first.run.await.unwrap();
    let stopped = Instant::now();
    assert!(!first.claim.is_current());
    second.leads().await;
    assert!(stopped.elapsed() < FRACTION, "{:?}", stopped.elapsed());
}

#[tokio::test(start_paused = true)]
async fn deleted_lease_is_recreated_with_a_later_term() {
    let server = Server::default();
    let mut candidate = Candidate::start(server.client(), "me");
    let earlier = candidate.leads().await;
    server.delete();
    let later = |now: &Leadership| now.is_us && now.term > earlier;
    candidate.leads.wait_for(later).await.unwrap();
    assert_eq!(server.lease().unwrap().spec.unwrap().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn leader_stops_when_another_holds_the_lease() {
    let server = Server::default();
    let mut candidate = Candidate::start(server.client(), "me");
    candidate.leads().await;
    server.edit(|lease| lease.spec.as_mut().unwrap().holder_identity = Some("thief_1".to_owned()));
    candidate.leads_no_more().await;
    candidate
        .leads
        .wait_for(|now| now.leader == "thief")
        .await
        .unwrap();
    assert!(!candidate.claim.is_current());
}

#[tokio::test(start_paused = true)]
async fn metadata_change_of_the_lease_neither_ends_nor_extends_a_term() {
    let server = Server::default();
    let annotate = || {
        server.edit(|lease| {
            let note = Instant::now();
            let annotations = lease.metadata.annotations.get_or_insert_default();
            annotations.insert("note".to_owned(), format!("{note:?}"));
        });
    };
    let mut first = Candidate::start(server.client(), "first");
    first.leads().await;
    let mut second = Candidate::start(server.client(), "second");
    second.leads.wait_for(|now| now.leader == "first").await.unwrap();
    annotate();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(first.leads.borrow().is_us);
    assert!(server.lease().unwrap().metadata.annotations.is_some());

    let last_sign = server.last_write();
    first.run.abort();
    tokio::time::sleep(Duration::from_secs(9)).await;
    annotate();
    second.leads().await;
    let waited = last_sign.elapsed();
    assert!(waited < Duration::from_secs(15) + FRACTION, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn only_one_of_several_candidates_holds_the_lease() {
    let server = Server::default();
    let candidates: Vec<_> = (0..5)
        .map(|number| Candidate::start(server.client(), &format!("pod-{number}")))
        .collect();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let current = candidates.iter().filter(|candidate| candidate.claim.is_current());
    assert_eq!(current.count(), 1);
    let leaders: Vec<_> = candidates
        .iter()
        .map(|one| one.leads.borrow().leader.clone())
        .collect();
    assert!(leaders.iter().all(|leader| leader == &leaders[0]), "{leaders:?}");
}

mod gate {
    use http::{Method, Request, Response};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use tower::{BoxError, Layer};

    use super::*;
    use crate::election::lease::gate::{ClaimedBody, GateLayer};

    fn request(method: Method) -> Request<Body> {
        let request = Request::builder().method(method);
        request.body(Body::from(b"body".to_vec())).unwrap()
    }

    /// Sends a request to a server that calls `meanwhile` before it reads the body.
    async fn send(
        claim: &Claim,
        method: Method,
        meanwhile: impl Fn() + Clone + Send + 'static,
    ) -> Result<String, BoxError> {
        let server = service_fn(move |request: Request<ClaimedBody>| {
            let meanwhile = meanwhile.clone();
            async move {
                meanwhile();
                let body = request.into_body().collect().await?.to_bytes();
                Ok::<_, BoxError>(Response::new(String::from_utf8_lossy(&body).into_owned()))
            }
        });
        let gate = GateLayer::new(claim.clone()).layer(server);
        gate.oneshot(request(method)).await.map(Response::into_body)
    }

    #[tokio::test(start_paused = true)]
    async fn writes_need_a_claim_and_reads_do_not() {
        let claim = Claim::none(Duration::from_secs(5));
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let error = send(&claim, method, || {}).await.unwrap_err();
            assert!(error.to_string().contains("no longer leads"), "{error}");
        }
        assert_eq!(send(&claim, Method::GET, || {}).await.unwrap(), "body");
        claim.hold(Moment::now(), Duration::from_secs(1));
        assert_eq!(send(&claim, Method::POST, || {}).await.unwrap(), "body");
        advance(Duration::from_secs(1)).await;
        assert!(send(&claim, Method::POST, || {}).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn queued_request_loses_its_body_when_the_claim_ends() {
        let claim = Claim::none(Duration::from_secs(5));
        claim.hold(Moment::now(), Duration::from_secs(1));
        let ends = claim.clone();
        let error = send(&claim, Method::POST, move || ends.give_up())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no longer leads"), "{error}");
    }
}
