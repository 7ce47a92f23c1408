use serde_json::json;

use super::*;
use crate::{
    apiserver::watch::{Change, Event},
    testing::{self, agent, node, owned_by, pod, pod_json, read, with},
};

fn said(request: Option<&SessionRequest>) -> Vec<String> {
    request.map(testing::describe_facts).unwrap_or_default()
}

fn at_most(facts: usize) -> RequestLimits {
    RequestLimits {
        facts,
        ..RequestLimits::told(1, 0)
    }
}

fn facts_of(_: &Cluster, uid: &Text) -> Announcement {
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
    outbox.restart(1);
    outbox.add(&mut cluster.touched);
    (cluster, outbox)
}

#[test]
fn a_full_sync_says_nodes_then_pods_then_daemon_sets_then_ends_then_that_it_is_complete() {
    let (mut cluster, mut outbox) = cluster();
    outbox.add_done(7, ActionOutcome::Done);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request;
    assert_eq!(
        said(request.as_ref()),
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
fn a_request_holds_no_more_facts_than_the_planner_takes() {
    let (mut cluster, mut outbox) = cluster();
    outbox.add_done(7, ActionOutcome::Done);
    let mut requests = Vec::new();
    while let Some(request) = outbox
        .next_request(&mut cluster, facts_of, at_most(3), true)
        .request
    {
        requests.push((request.sequence, said(Some(&request))));
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
fn a_sync_is_not_complete_before_it_may_be() {
    let (mut cluster, mut outbox) = cluster();
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), false)
        .request;
    assert!(!said(request.as_ref()).contains(&"sync".to_owned()));
    assert!(!outbox.is_due(false));
    assert!(!outbox.is_synced());
    assert!(outbox.is_due(true));
    assert_eq!(
        said(
            outbox
                .next_request(&mut cluster, facts_of, at_most(100), true)
                .request
                .as_ref()
        ),
        ["sync"]
    );
}

#[test]
fn of_many_changes_to_one_object_only_the_last_is_said() {
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
    assert_eq!(said(Some(&request)), ["pod p1"]);
    let Some(Kind::PodChanged(facts)) = &request.facts[0].fact else {
        panic!()
    };
    assert_eq!(facts.revision, "r8");
}

#[test]
fn what_is_not_there_any_more_is_said_to_be_gone() {
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
        said(request.as_ref()),
        ["node n1 gone", "pod uid of p1 gone", "ds ds-1 gone"]
    );
}

#[test]
fn the_planner_hears_of_no_pod_that_carries_only_the_uid_of_a_daemon_set() {
    let (mut cluster, mut outbox) = cluster();
    let fake = with(pod_json("fake", 6), json!({"metadata": {"namespace": "tenant"}}));
    let mut ownerless = owned_by("ds-1");
    ownerless[0]["name"] = json!("other");
    let renamed = with(
        pod_json("renamed", 7),
        json!({"metadata": {"ownerReferences": ownerless}}),
    );
    let saw = |cluster: &mut Cluster, pod: &serde_json::Value| {
        cluster.apply(Change::Pod(Event::Changed(read(pod))));
    };
    saw(&mut cluster, &fake);
    saw(&mut cluster, &renamed);
    outbox.add(&mut cluster.touched);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request;
    assert_eq!(
        said(request.as_ref()),
        ["node n1", "node n2", "pod p1", "pod p2", "ds ds-1", "sync"]
    );
    saw(
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
        said(request.as_ref()),
        Vec::<String>::new(),
        "what the planner never knew isn't gone either"
    );
}

#[test]
fn a_pod_that_leaves_its_daemon_set_is_told_as_gone_once() {
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
        assert_eq!(said(request.as_ref()), wanted);
    }
}

#[test]
fn the_pods_of_a_daemon_set_that_becomes_known_are_told_before_it() {
    let mut cluster = Cluster::default();
    let mut outbox = Outbox::default();
    outbox.restart(1);
    cluster.apply(Change::Pod(Event::Changed(pod("p1", 5))));
    outbox.add(&mut cluster.touched);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request;
    assert_eq!(said(request.as_ref()), ["sync"], "its owner isn't known");
    cluster.apply(Change::DaemonSet(Event::Changed(agent())));
    outbox.add(&mut cluster.touched);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request;
    assert_eq!(said(request.as_ref()), ["pod p1", "ds ds-1"]);
}

#[test]
fn a_daemon_set_that_is_not_in_order_is_told_when_it_is() {
    let (mut cluster, mut outbox) = cluster();
    let request = outbox
        .next_request(&mut cluster, |_, _| Announcement::NotYet, at_most(100), true)
        .request;
    assert_eq!(
        said(request.as_ref()),
        ["node n1", "node n2", "pod p1", "pod p2", "sync"]
    );
    assert!(!outbox.is_due(true));
    outbox.add_daemon_set("ds-1".into());
    assert_eq!(
        said(
            outbox
                .next_request(&mut cluster, facts_of, at_most(100), true)
                .request
                .as_ref()
        ),
        ["ds ds-1"]
    );
}

#[test]
fn time_that_has_passed_is_said_once_with_or_without_facts() {
    let (mut cluster, mut outbox) = cluster();
    outbox.next_request(&mut cluster, facts_of, at_most(100), true);
    outbox.add_time();
    assert!(outbox.is_due(true));
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request
        .unwrap();
    assert!(request.facts.is_empty() && request.now.is_some());
    outbox.add_time();
    outbox.add_done(1, ActionOutcome::Done);
    assert_eq!(
        said(
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
fn a_new_stream_begins_with_nothing_of_the_old_one() {
    let (mut cluster, mut outbox) = cluster();
    outbox.add_done(7, ActionOutcome::Done);
    outbox.next_request(&mut cluster, facts_of, at_most(2), true);
    outbox.restart(1);
    let request = outbox
        .next_request(&mut cluster, facts_of, at_most(100), true)
        .request
        .unwrap();
    assert_eq!(
        (request.sequence, said(Some(&request))),
        (2, vec!["sync".to_owned()])
    );
}
