use everynode_proto::planner::v1::{
    ActionOutcome, DaemonSetFacts, PodTemplateFacts, SessionRequest, Toleration,
};

use super::*;
use crate::{
    apiserver::watch::{Change, Event},
    cluster::Cluster,
    planner::outbox::{Announcement, Outbox},
    testing::{self, agent, node, pod},
};

/// Facts of about this size.
fn of_size(uid: &SharedStr, bytes: usize) -> Announcement {
    let template = PodTemplateFacts {
        node_name: "n".repeat(bytes),
        ..PodTemplateFacts::default()
    };
    Announcement::Facts(Box::new(DaemonSetFacts {
        uid: uid.to_string(),
        template: Some(template),
        ..DaemonSetFacts::default()
    }))
}

fn limits(bytes: usize) -> RequestLimits {
    RequestLimits { facts: 100, bytes }
}

/// An outbox with a node, a pod and this number of `DaemonSet`s.
fn outbox(daemon_sets: usize) -> (Cluster, Outbox) {
    let mut cluster = Cluster::default();
    cluster.apply(Change::Node(Event::Changed(node("n1"))));
    cluster.apply(Change::Pod(Event::Changed(pod("p1", 5))));
    cluster.apply(Change::DaemonSet(Event::Changed(agent())));
    let mut outbox = Outbox::default();
    outbox.restart(1, false);
    cluster.touched.daemon_sets.clear();
    outbox.add(&mut cluster.touched);
    for number in 0..daemon_sets {
        outbox.add_daemon_set(format!("ds-{number}").into());
    }
    (cluster, outbox)
}

/// Takes requests until nothing is left to send.
fn drain(
    outbox: &mut Outbox,
    cluster: &mut Cluster,
    limits: RequestLimits,
    bytes: impl Fn(&SharedStr) -> usize,
) -> (Vec<SessionRequest>, Vec<TooLarge>) {
    let (mut requests, mut too_large) = (Vec::new(), Vec::new());
    loop {
        let next = outbox.next_request(cluster, |_, uid| of_size(uid, bytes(uid)), limits, true);
        too_large.extend(next.too_large);
        match next.request {
            Some(request) => requests.push(request),
            None => return (requests, too_large),
        }
    }
}

fn sent(requests: &[SessionRequest]) -> Vec<String> {
    requests
        .iter()
        .map(|request| testing::describe_facts(request).join(", "))
        .collect()
}

#[test]
fn requests_stay_below_a_mebibyte_except_for_a_single_larger_object() {
    let (mut cluster, mut outbox) = outbox(4);
    outbox.add_outcome(7, ActionOutcome::Done);
    let bytes = |uid: &SharedStr| if uid.ends_with('3') { 1_370_000 } else { 400_000 };
    let (requests, too_large) = drain(&mut outbox, &mut cluster, limits(4 << 20), bytes);
    assert_eq!(
        sent(&requests),
        [
            "node n1, pod p1, ds ds-0, ds ds-1",
            "ds ds-2",
            "ds ds-3",
            "done 7 Done, sync"
        ]
    );
    assert_eq!(too_large, []);
    for (request, alone) in requests.iter().zip([false, false, true, false]) {
        assert_eq!(
            request.encoded_len() > TARGET_BYTES,
            alone,
            "{}",
            request.encoded_len()
        );
    }
}

#[test]
fn no_request_exceeds_the_planners_size_limit() {
    for limit in [1_000, 5_000, 2 << 20] {
        let (mut cluster, mut outbox) = outbox(40);
        let (requests, too_large) = drain(&mut outbox, &mut cluster, limits(limit), |_| limit / 3);
        assert_eq!(too_large, []);
        for request in &requests {
            assert!(
                request.encoded_len() <= limit,
                "{} of {limit}",
                request.encoded_len()
            );
        }
        assert_eq!(
            requests.iter().map(|request| request.facts.len()).sum::<usize>(),
            43
        );
    }
}

#[test]
fn too_large_object_is_skipped_and_others_are_sent() {
    let (mut cluster, mut outbox) = outbox(3);
    let bytes = |uid: &SharedStr| if uid.ends_with('1') { 5 << 20 } else { 10 };
    let (requests, too_large) = drain(&mut outbox, &mut cluster, limits(4 << 20), bytes);
    assert_eq!(
        sent(&requests),
        ["node n1, pod p1, ds ds-0, ds ds-1 gone, ds ds-2, sync"]
    );
    let [found] = too_large.as_slice() else {
        panic!("{too_large:?}")
    };
    assert_eq!(
        (&found.object, found.is_new),
        (&Object::DaemonSet("ds-1".into()), true)
    );
    assert!(found.bytes > 5 << 20 && found.limit < 4 << 20, "{found:?}");
    assert_eq!(outbox.count_too_large(), [0, 0, 1]);
    assert!(outbox.is_synced());
    // Each change reports it again, but not as new.
    outbox.add_daemon_set("ds-1".into());
    let (_, again) = drain(&mut outbox, &mut cluster, limits(4 << 20), bytes);
    let [found] = again.as_slice() else {
        panic!("{again:?}")
    };
    assert!(!found.is_new, "{found:?}");
    // Once it is smaller, it is sent.
    outbox.add_daemon_set("ds-1".into());
    let (requests, too_large) = drain(&mut outbox, &mut cluster, limits(4 << 20), |_| 10);
    assert_eq!((sent(&requests), too_large), (vec!["ds ds-1".to_owned()], vec![]));
    assert_eq!(outbox.count_too_large(), [0; 3]);
}

#[test]
fn too_large_node_or_pod_is_not_reported_as_gone() {
    let (mut cluster, mut outbox) = outbox(0);
    // The node has only a name; the pod is larger.
    let (requests, too_large) = drain(&mut outbox, &mut cluster, limits(ENVELOPE_BYTES + 20), |_| 0);
    assert_eq!(sent(&requests), ["node n1, sync"]);
    assert!(
        matches!(&too_large[..], [TooLarge { object: Object::Pod(uid), .. }] if uid.as_ref() == "uid of p1")
    );
    assert_eq!(outbox.count_too_large(), [0, 1, 0]);
}

#[test]
fn limit_defaults_to_32_mebibytes() {
    assert_eq!(
        RequestLimits::from_welcome(7, 0),
        RequestLimits {
            facts: 7,
            bytes: 32 << 20
        }
    );
    assert_eq!(
        RequestLimits::from_welcome(0, 9),
        RequestLimits { facts: 1, bytes: 9 }
    );
}

#[test]
fn object_with_many_small_parts_is_too_large_once_decoded() {
    let fact = |tolerations: usize| Fact {
        fact: Some(Kind::DaemonSetChanged(DaemonSetFacts {
            template: Some(PodTemplateFacts {
                tolerations: vec![Toleration::default(); tolerations],
                ..PodTemplateFacts::default()
            }),
            ..DaemonSetFacts::default()
        })),
    };
    assert!(measure(&fact(100_000), limits(4 << 20)).is_ok());
    let Err(excess) = measure(&fact(400_000), limits(4 << 20)) else {
        panic!("it takes far more memory than a request may");
    };
    assert!(excess.bytes > excess.limit && excess.limit == DECODED_BYTES);
}
