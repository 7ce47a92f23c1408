use super::{super::requirements::ANNOTATION, *};

const ROLLOUTS: &str = "rollout_policies";

/// What the Lease requires.
fn required(server: &Server) -> Option<String> {
    let annotations = server.lease()?.metadata.annotations?;
    annotations.get(ANNOTATION).cloned()
}

#[tokio::test(start_paused = true)]
async fn leader_writes_what_the_cluster_needs_into_the_lease() {
    let server = Server::default();
    let mut leader = Candidate::start(server.client(), "leader");
    let term = leader.leads().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(required(&server), None);
    leader.requirements.set([ROLLOUTS]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(required(&server).as_deref(), Some(ROLLOUTS));
    // What isn't known changes nothing.
    leader.requirements.forget();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(required(&server).as_deref(), Some(ROLLOUTS));
    leader.requirements.set([]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(required(&server), None);
    assert_eq!(leader.leads().await, term);
}

#[tokio::test(start_paused = true)]
async fn t3_executor_without_a_required_capability_does_not_lead() {
    let server = Server::default();
    let mut newer = Candidate::start(server.client(), "newer");
    newer.leads().await;
    newer.requirements.set([ROLLOUTS]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut older = Candidate::start_with(server.client(), "older", &[]);
    older.leads.wait_for(|now| now.leader == "newer").await.unwrap();
    // The Lease keeps the requirement when it is released.
    newer.stop.cancel();
    newer.run.await.unwrap();
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(!older.leads.borrow().is_us && !older.claim.is_current());
    let reason = older.health.unready_reason().unwrap();
    assert!(reason.contains("capability"), "{reason}");

    let mut next = Candidate::start(server.client(), "next");
    next.leads().await;
    next.requirements.set([]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    next.stop.cancel();
    older.leads().await;
    let reason = older.health.unready_reason();
    assert!(
        reason.is_none_or(|reason| !reason.contains("capability")),
        "{reason:?}"
    );
}

#[test]
fn unknown_names_of_the_annotation_are_missing_capabilities() {
    let requirements = Requirements::new(&[ROLLOUTS]);
    for (annotation, missing) in [
        ("", ""),
        (" , ,", ""),
        ("rollout_policies", ""),
        (" later, rollout_policies ,gates", "later gates"),
    ] {
        let mut lease = Lease::default();
        lease.metadata.annotations = Some([(ANNOTATION.to_owned(), annotation.to_owned())].into());
        assert_eq!(requirements.unknown(&lease).join(" "), missing, "{annotation}");
    }
    assert!(requirements.unknown(&Lease::default()).is_empty());
}

#[test]
fn only_the_annotation_of_the_lease_changes() {
    let requirements = Requirements::new(&[ROLLOUTS]);
    let note = ("note".to_owned(), "of somebody else".to_owned());
    let mut lease = Lease::default();
    lease.metadata.annotations = Some([note.clone()].into());
    assert_eq!(requirements.write(lease.clone()), lease, "the needs aren't known");
    requirements.set([ROLLOUTS]);
    let written = requirements.write(lease.clone());
    let required = (ANNOTATION.to_owned(), ROLLOUTS.to_owned());
    assert_eq!(written.metadata.annotations, Some([note, required].into()));
    requirements.set([]);
    assert_eq!(requirements.write(written), lease);
}
