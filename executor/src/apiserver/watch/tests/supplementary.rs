//! Tests of the cache and of leadership while a supplementary kind is installed and removed.

use std::time::Duration;

use futures::{StreamExt, stream};

use super::*;
use crate::{
    cluster::Cluster,
    election::leadership::{Leadership, publish_when_fresh},
    testing::revision_json,
};

/// A client of an API server that serves `ControllerRevision`s only while `is_served` is true. Its only object is one
/// `ControllerRevision`.
fn client(is_served: watch::Receiver<bool>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let mut is_served = is_served.clone();
        async move {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            let is_supplementary = path == Revision::PATH;
            let (status, text) = if path == "/version" {
                (200, VERSION.to_owned())
            } else if Revision::PATH.starts_with(path) && !is_supplementary {
                let names = is_served
                    .borrow()
                    .then_some(json!({"name": "controllerrevisions"}));
                let list = json!({"resources": names.as_slice()});
                (200, list.to_string())
            } else if is_supplementary && !*is_served.borrow() {
                (404, "404 page not found\n".to_owned())
            } else if query.contains("sendInitialEvents=true") {
                let added = json!({"type": "ADDED", "object": revision_json("r1", 1)});
                let end = json!({"type": "BOOKMARK", "object": {"metadata": {
                    "resourceVersion": "20", "annotations": {"k8s.io/initial-events-end": "true"},
                }}});
                let events = if is_supplementary {
                    format!("{added}\n{end}\n")
                } else {
                    format!("{end}\n")
                };
                (200, events)
            } else {
                let list = json!({"metadata": {"resourceVersion": "20"}, "items": []});
                (200, list.to_string())
            };
            let is_watch = status == 200 && query.contains("watch=true");
            // A watch stays open until its kind is removed.
            let end = stream::once(async move {
                if is_watch {
                    let removed = is_served
                        .wait_for(|is_served| is_supplementary && !is_served)
                        .await;
                    removed.expect("the test holds the sender");
                }
                String::new()
            });
            let body = stream::iter([text]).chain(end).map(Ok::<_, Infallible>);
            let mut response = Response::new(axum::body::Body::from_stream(body));
            *response.status_mut() = status.try_into().unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    Client::new(service, "default")
}

/// The watched kinds that every API server serves.
fn required_kinds() -> Vec<Kind> {
    let required = KINDS.iter().filter(|kind| kind.presence == Presence::Required);
    required.copied().collect()
}

/// The required kinds, with `ControllerRevision`s as a supplementary one.
fn kinds() -> Vec<Kind> {
    let mut kinds = required_kinds();
    for kind in &mut kinds {
        if kind.name == Revision::KIND {
            kind.presence = Presence::Supplementary;
        }
    }
    kinds
}

struct Executor {
    cluster: Cluster,
    changes: mpsc::Receiver<ReceivedChange>,
    wins: watch::Sender<Leadership>,
    leadership: watch::Receiver<Leadership>,
    term: u64,
}

impl Executor {
    /// Creates an executor that runs its watches and waits to be elected.
    fn new(client: Client) -> Self {
        let (mut probe, responders) = freshness_probe(&kinds());
        let (sender, changes) = mpsc::channel(100);
        tokio::spawn(watch_all(client, sender, Arc::default(), responders));
        let (wins, won) = watch::channel(Leadership::default());
        let (leads, leadership) = watch::channel(Leadership::default());
        tokio::spawn(publish_when_fresh(won, leads, async move || probe.wait().await));
        Self {
            cluster: Cluster::default(),
            changes,
            wins,
            leadership,
            term: 0,
        }
    }

    fn revisions(&self) -> usize {
        self.cluster.revisions("default").count()
    }

    async fn apply_next(&mut self) {
        let ReceivedChange { change, .. } = self.changes.recv().await.unwrap();
        self.cluster.apply(change);
    }

    /// Applies changes until this number of revisions is known. Asserts that the cluster stays synced.
    async fn apply_until_revisions(&mut self, count: usize) {
        while self.revisions() != count {
            self.apply_next().await;
            assert!(self.cluster.is_synced());
        }
    }

    /// Wins an election, and asserts that the executor then leads at once.
    async fn win(&mut self) {
        self.term += 1;
        let begun = Instant::now();
        self.wins.send_replace(Leadership::ours_in("me", self.term));
        let term = self.term;
        let leads = self.leadership.wait_for(|now| now.is_us && now.term == term);
        leads.await.unwrap();
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(1), "it leads after {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn installing_or_removing_an_supplementary_kind_does_not_delay_readiness_or_leadership() {
    let (installs, is_served) = watch::channel(false);
    let mut executor = Executor::new(client(is_served));
    while !executor.cluster.is_synced() {
        executor.apply_next().await;
    }
    assert_eq!(executor.revisions(), 0);
    executor.win().await;
    for _ in 0..2 {
        installs.send_replace(true);
        let begun = Instant::now();
        executor.apply_until_revisions(1).await;
        let waited = begun.elapsed();
        assert!(waited <= Duration::from_secs(30), "listed after {waited:?}");
        executor.win().await;

        // The watch has been open for a while when the kind is removed.
        tokio::time::advance(Duration::from_mins(1)).await;
        installs.send_replace(false);
        executor.apply_until_revisions(0).await;
        executor.win().await;
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_are_required_unless_declared_supplementary() {
    let (installs, is_served) = watch::channel(false);
    let (sender, mut changes) = mpsc::channel(100);
    let (_probe, responders) = freshness_probe(&required_kinds());
    let watches = tokio::spawn(watch_all(client(is_served), sender, Arc::default(), responders));
    let mut cluster = Cluster::default();
    // Each of the three other kinds reports the beginning and the end of an empty list.
    for _ in 0..6 {
        cluster.apply(changes.recv().await.unwrap().change);
    }
    assert!(!cluster.is_synced());
    assert!(changes.is_empty(), "the failing kind reports nothing");
    installs.send_replace(true);
    while !cluster.is_synced() {
        cluster.apply(changes.recv().await.unwrap().change);
    }
    assert_eq!(cluster.revisions("default").count(), 1);
    watches.abort();
}
