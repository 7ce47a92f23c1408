mod rollouts;

use serde_json::json;

use super::*;
use crate::{
    apiserver::watch::{Change, Event},
    testing::{self, agent, node, owned_by, pod, pod_json, read, with},
};

fn sent(request: Option<&SessionRequest>) -> Vec<String> {
    request.map(testing::describe_facts).unwrap_or_default()
}

fn at_most(facts: usize) -> RequestLimits {
    RequestLimits {
        facts,
        ..RequestLimits::from_welcome(1, 0)
    }
}

fn facts_of(_: &Cluster, uid: &SharedStr) -> Announcement {
    Announcement::Facts(Box::new(DaemonSetFacts {
        uid: uid.to_string(),
        ..DaemonSetFacts::default()
    }))
}

/// Two nodes, two pods and the agent, all waiting to be sent.
fn cluster() -> (Cluster, Outbox) {
    let mut cluster = Cluster::default();
    for name in ["n1", "n2"] {
        cluster.apply(Change::Node(Event::Changed(node(name))));
    }
    for name in ["p1", "p2"] {
        cluster.apply(Change::Pod(Event::Changed(pod(name, 5))));
    }
    cluster.apply(Change::DaemonSet(Event::Changed(agent())));
    let mut outbox = Outbox::default();
    outbox.restart(1, false);
    outbox.add(&mut cluster.touched);
    (cluster, outbox)
}

#[test]
fn full_sync_sends_nodes_then_pods_then_daemon_sets_then_outcomes_then_completion() {
    let (mut cluster, mut outbox) = cluster();
    outbox.add_outcome(7, ActionOutcome::Done);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request;
    assert_eq!(
        sent(request.as_ref()),
        [
            "node n1",
            "node n2",
            "pod p1",
            "pod p2",
            "ds ds-1",
            "done 7 Done",
            "sync"
        ]
    );
    assert!(outbox.is_synced());
    assert!(!outbox.is_due(true));
    assert_eq!(
        outbox
            .next_request(&mut cluster, facts_of, at_most(100), true)
            .request,
        None
    );
}

#[test]
fn request_has_at_most_the_planners_number_of_facts() {
    let (mut cluster, mut outbox) = cluster();
    outbox.add_outcome(7, ActionOutcome::Done);
    let mut requests = Vec::new();
    while let Some(request) = outbox
        .next_request(&mut cluster, facts_of, at_most(3), true)
        .request
    {
        requests.push((request.sequence, sent(Some(&request))));
    }
    let wanted = [
        (2, vec!["node n1", "node n2", "pod p1"]),
        (3, vec!["pod p2", "ds ds-1", "done 7 Done"]),
        (4, vec!["sync"]),
    ];
    let wanted: Vec<_> = wanted
        .into_iter()
        .map(|(sequence, facts)| (sequence, facts.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(requests, wanted);
}

#[test]
fn sync_completes_only_when_allowed() {
    let (mut cluster, mut outbox) = cluster();
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), false)
        .request;
    assert!(!sent(request.as_ref()).contains(&"sync".to_owned()));
    assert!(!outbox.is_due(false));
    assert!(!outbox.is_synced());
    assert!(outbox.is_due(true));
    assert_eq!(
        sent(
            outbox
                .next_request(&mut cluster, facts_of, at_most(100), true)
                .request
                .as_ref()
        ),
        ["sync"]
    );
}

#[test]
fn only_the_last_of_several_changes_is_sent() {
    let (mut cluster, mut outbox) = cluster();
    outbox.next_request(&mut cluster, facts_of, at_most(100), true);
    for version in 6..9 {
        let mut changed = pod("p1", version);
        changed
            .metadata
            .labels
            .insert("controller-revision-hash".to_owned(), format!("r{version}"));
        cluster.apply(Change::Pod(Event::Changed(changed)));
        outbox.add(&mut cluster.touched);
    }
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request
        .unwrap();
    assert_eq!(sent(Some(&request)), ["pod p1"]);
    let Some(Kind::PodChanged(facts)) = &request.facts[0].fact else {
        panic!()
    };
    assert_eq!(facts.revision, "r8");
}

#[test]
fn deleted_objects_are_sent_as_gone() {
    let (mut cluster, mut outbox) = cluster();
    outbox.next_request(&mut cluster, facts_of, at_most(100), true);
    cluster.apply(Change::Node(Event::Gone(node("n1"))));
    cluster.apply(Change::Pod(Event::Gone(pod("p1", 9))));
    cluster.apply(Change::DaemonSet(Event::Gone(agent())));
    outbox.add(&mut cluster.touched);
    let request = outbox
        .next_request(&mut cluster, |_, _| Announcement::Gone, at_most(100), true)
        .request;
    assert_eq!(
        sent(request.as_ref()),
        ["node n1 gone", "pod uid of p1 gone", "ds ds-1 gone"]
    );
}

#[test]
fn pod_that_matches_only_the_uid_of_a_daemon_set_is_not_sent() {
    let (mut cluster, mut outbox) = cluster();
    let fake = with(pod_json("fake", 6), json!({"metadata": {"namespace": "tenant"}}));
    let mut ownerless = owned_by("ds-1");
    ownerless[0]["name"] = json!("other");
    let renamed = with(
        pod_json("renamed", 7),
        json!({"metadata": {"ownerReferences": ownerless}}),
    );
    let apply_pod = |cluster: &mut Cluster, pod: &serde_json::Value| {
        cluster.apply(Change::Pod(Event::Changed(read(pod))));
    };
    apply_pod(&mut cluster, &fake);
    apply_pod(&mut cluster, &renamed);
    outbox.add(&mut cluster.touched);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request;
    assert_eq!(
        sent(request.as_ref()),
        ["node n1", "node n2", "pod p1", "pod p2", "ds ds-1", "sync"]
    );
    apply_pod(
        &mut cluster,
        &with(
            fake,
            json!({"metadata": {"resourceVersion": "8", "labels": {"a": "b"}}}),
        ),
    );
    outbox.add(&mut cluster.touched);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request;
    assert_eq!(
        sent(request.as_ref()),
        Vec::<String>::new(),
        "what the planner never knew isn't gone either"
    );
}

#[test]
fn pod_that_leaves_its_daemon_set_is_sent_as_gone_once() {
    let (mut cluster, mut outbox) = cluster();
    outbox.next_request(&mut cluster, facts_of, at_most(100), true);
    for version in [6, 7] {
        let mut foreign = owned_by("ds-1");
        foreign[0]["name"] = json!(format!("other-{version}"));
        let left = with(
            pod_json("p1", version),
            json!({"metadata": {"ownerReferences": foreign}}),
        );
        cluster.apply(Change::Pod(Event::Changed(read(&left))));
        outbox.add(&mut cluster.touched);
        let request = outbox
            .next_request(&mut cluster, facts_of, at_most(100), true)
            .request;
        let wanted: &[&str] = if version == 6 {
            &["pod uid of p1 gone"]
        } else {
            &[]
        };
        assert_eq!(sent(request.as_ref()), wanted);
    }
}

#[test]
fn pods_of_a_new_daemon_set_are_sent_before_it() {
    let mut cluster = Cluster::default();
    let mut outbox = Outbox::default();
    outbox.restart(1, false);
    cluster.apply(Change::Pod(Event::Changed(pod("p1", 5))));
    outbox.add(&mut cluster.touched);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request;
    assert_eq!(sent(request.as_ref()), ["sync"], "its owner isn't known");
    cluster.apply(Change::DaemonSet(Event::Changed(agent())));
    outbox.add(&mut cluster.touched);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request;
    assert_eq!(sent(request.as_ref()), ["pod p1", "ds ds-1"]);
}

#[test]
fn daemon_set_is_sent_after_its_upkeep_is_done() {
    let (mut cluster, mut outbox) = cluster();
    let request = outbox
        .next_request(&mut cluster, |_, _| Announcement::NotYet, at_most(100), true)
        .request;
    assert_eq!(
        sent(request.as_ref()),
        ["node n1", "node n2", "pod p1", "pod p2", "sync"]
    );
    assert!(!outbox.is_due(true));
    outbox.add_daemon_set("ds-1".into());
    assert_eq!(
        sent(
            outbox
                .next_request(&mut cluster, facts_of, at_most(100), true)
                .request
                .as_ref()
        ),
        ["ds ds-1"]
    );
}

#[test]
fn time_update_is_sent_once_with_or_without_facts() {
    let (mut cluster, mut outbox) = cluster();
    outbox.next_request(&mut cluster, facts_of, at_most(100), true);
    outbox.add_time_update();
    assert!(outbox.is_due(true));
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request
        .unwrap();
    assert!(request.facts.is_empty() && request.now.is_some());
    outbox.add_time_update();
    outbox.add_outcome(1, ActionOutcome::Done);
    assert_eq!(
        sent(
            outbox
                .next_request(&mut cluster, facts_of, at_most(100), true)
                .request
                .as_ref()
        ),
        ["done 1 Done"]
    );
    assert!(!outbox.is_due(true));
}

#[test]
fn new_stream_starts_without_facts_of_the_old_one() {
    let (mut cluster, mut outbox) = cluster();
    outbox.add_outcome(7, ActionOutcome::Done);
    outbox.next_request(&mut cluster, facts_of, at_most(2), true);
    outbox.restart(1, false);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request
        .unwrap();
    assert_eq!(
        (request.sequence, sent(Some(&request))),
        (2, vec!["sync".to_owned()])
    );
}

#[test]
fn t21_requests_carry_the_time_of_the_api_server() {
    let (mut cluster, _) = cluster();
    let clock = Clock::ahead_by(3_600_000);
    let mut outbox = Outbox::new(clock.clone());
    for term in [1, 5] {
        outbox.restart(term, false);
        outbox.add_time_update();
        let next = outbox.next_request(&mut cluster, facts_of, at_most(100), false);
        let sent = next.request.and_then(|request| request.now).unwrap();
        let left = clock.now().as_second() - sent.seconds;
        assert!((0..60).contains(&left), "{left}");
    }
}
