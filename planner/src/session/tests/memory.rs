//! The memory that a session makes the planner use is limited.

use std::ops::Range;

use everynode_proto::planner::v1::{DaemonSetGone, NodeGone, PodGone, Toleration};

use super::*;

/// A session that is in sync and may take this many bytes.
fn session(bytes: usize) -> Session {
    let mut session = Session::new(SessionMemory::new(bytes).reservation());
    session.take(request(1, vec![synced()])).unwrap();
    session
}

/// Sends facts in requests of the largest size until the session ends or no facts are left.
fn send(session: &mut Session, facts: impl IntoIterator<Item = Fact>) -> Result<(), Status> {
    let mut facts = facts.into_iter().peekable();
    while facts.peek().is_some() {
        let some = facts.by_ref().take(MAX_FACTS).collect();
        session.take(request(session.sequence + 1, some))?;
    }
    Ok(())
}

fn named(number: usize) -> Fact {
    Fact::DaemonSetChanged(DaemonSetFacts {
        name: format!("agent-{number}"),
        uid: format!("uid-{number}"),
        template: Some(PodTemplateFacts {
            // The template fits no node, so the plans have no actions, which would also use memory.
            node_name: "none".into(),
            ..PodTemplateFacts::default()
        }),
        ..daemon_set_facts()
    })
}

fn nodes(numbers: Range<usize>) -> impl Iterator<Item = Fact> {
    numbers.map(|number| node(&format!("node-{number}")))
}

#[track_caller]
fn check_refused(ended: Result<(), Status>) {
    let status = ended.expect_err("the session should end");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("--max-session-memory"), "{status}");
}

#[test]
fn session_that_exceeds_its_memory_limit_is_ended() {
    const MEGABYTES: usize = 2 << 20;
    check_refused(send(&mut session(MEGABYTES), nodes(0..20_000)));
    check_refused(send(&mut session(MEGABYTES), (0..20_000).map(named)));
    let pods = (0..20_000).map(|number| pod(&format!("pod-{number}"), "a"));
    check_refused(send(&mut session(MEGABYTES), pods));
    let labels = (0..40_000).map(|number| (format!("key-{number}"), "value".to_owned()));
    let labeled = NodeFacts {
        name: "a".into(),
        labels: labels.collect(),
        ..NodeFacts::default()
    };
    check_refused(send(&mut session(MEGABYTES), [Fact::NodeChanged(labeled)]));
    let tolerant = DaemonSetFacts {
        template: Some(PodTemplateFacts {
            tolerations: vec![Toleration::default(); 40_000],
            ..PodTemplateFacts::default()
        }),
        ..daemon_set_facts()
    };
    check_refused(send(&mut session(MEGABYTES), [Fact::DaemonSetChanged(tolerant)]));
}

#[test]
fn cells_use_session_memory() {
    // The nodes alone or the `DaemonSet`s alone would fit many times over.
    const BYTES: usize = 8 << 20;
    let mut session = session(BYTES);
    send(&mut session, nodes(0..3_000)).unwrap();
    check_refused(send(&mut session, (0..3_000).map(named)));
}

#[test]
fn actions_in_flight_use_session_memory() {
    let mut session = session(3 << 20);
    send(&mut session, nodes(0..3_000)).unwrap();
    let sets = (0..4).map(|number| {
        Fact::DaemonSetChanged(DaemonSetFacts {
            uid: format!("uid-{number}"),
            ..daemon_set_facts()
        })
    });
    check_refused(send(&mut session, sets));
}

#[test]
fn replaced_and_removed_facts_release_their_memory() {
    let mut session = session(4 << 20);
    let held = |session: &Session| session.fleet.bytes();
    let empty = held(&session);
    // Together, the rounds send many times what would fit at once.
    for round in 0..20 {
        send(&mut session, nodes(0..1_000)).unwrap();
        send(&mut session, (0..10).map(named)).unwrap();
        let pods = (0..1_000).map(|number| pod(&format!("pod-{number}-of-{round}"), "node-1"));
        send(&mut session, pods).unwrap();
        let gone = (0..1_000).map(|number| {
            let uid = format!("pod-{number}-of-{round}-uid");
            Fact::PodGone(PodGone { uid })
        });
        send(&mut session, gone).unwrap();
    }
    let gone = (0..1_000).map(|number| {
        let name = format!("node-{number}");
        Fact::NodeGone(NodeGone { name })
    });
    send(&mut session, gone).unwrap();
    let gone = (0..10).map(|number| {
        let uid = format!("uid-{number}");
        Fact::DaemonSetGone(DaemonSetGone { uid })
    });
    send(&mut session, gone).unwrap();
    // The slots of removed nodes stay for reuse, and unused template ids are dropped only later.
    let left = held(&session) - empty;
    assert!(left < 1_001 * 320 + 64 * 640, "{left} bytes are left");
}

#[test]
fn cluster_of_5000_nodes_and_50_daemon_sets_takes_less_than_a_quarter_of_the_default() {
    let mut session = Session::default();
    let labels = (0..30).map(|number| (format!("example.com/label-{number}"), format!("value-{number}")));
    let labels: std::collections::BTreeMap<_, _> = labels.collect();
    for number in 0..5_000 {
        let facts = NodeFacts {
            name: format!("node-{number}"),
            labels: labels.clone(),
            ..NodeFacts::default()
        };
        let node = convert::node(&facts, &mut session.strings).unwrap();
        session.fleet.node_changed(node);
    }
    for number in 0..50 {
        let Fact::DaemonSetChanged(facts) = named(number) else {
            panic!()
        };
        let daemon_set = convert::daemon_set(&facts, &mut session.strings).unwrap();
        session.fleet.daemon_set_changed(daemon_set);
    }
    for number in 0..250_000 {
        let facts = PodFacts {
            daemon_set_uid: format!("uid-{}", number % 50),
            ..pod_facts(&format!("agent-{number}"), &format!("node-{}", number / 50))
        };
        let (daemon_set, pod) = convert::pod(&facts, &mut session.strings).unwrap();
        session.fleet.pod_changed(&daemon_set, pod);
    }
    let bytes = session.fleet.bytes();
    assert!(bytes < SessionMemory::DEFAULT_LIMIT / 4, "{bytes}");
}

#[test]
fn overlong_names_are_problems() {
    let mut session = session(1 << 20);
    let long = || "x".repeat(254);
    let changed = |change: fn(&mut PodFacts, String)| {
        let mut facts = pod_facts("p", "a");
        change(&mut facts, "x".repeat(254));
        Fact::PodChanged(facts)
    };
    let facts = vec![
        node(&long()),
        changed(|facts, name| facts.name = name),
        changed(|facts, name| facts.uid = name),
        changed(|facts, name| facts.node = name),
        changed(|facts, name| facts.daemon_set_uid = name),
        changed(|facts, name| facts.revision = name),
        changed(|facts, name| facts.template_generation = name),
        Fact::DaemonSetChanged(DaemonSetFacts {
            update_revision: long(),
            ..daemon_set_facts()
        }),
        Fact::DaemonSetChanged(DaemonSetFacts {
            equal_revisions: vec![long()],
            ..daemon_set_facts()
        }),
        Fact::DaemonSetChanged(DaemonSetFacts {
            namespace: "x".repeat(600),
            ..daemon_set_facts()
        }),
    ];
    let outcome = session.take(request(2, facts)).unwrap();
    let found: Vec<_> = problems(&outcome)
        .iter()
        .map(|problem| {
            assert!(problem.message.contains("at most 253 bytes"), "{problem:?}");
            assert!(problem.object.len() < 600, "{problem:?}");
            problem.field.as_str()
        })
        .collect();
    let fields = [
        "name",
        "name",
        "uid",
        "node",
        "daemon_set_uid",
        "revision",
        "template_generation",
    ];
    assert_eq!(
        found,
        [&fields[..], &["update_revision", "equal_revisions", "namespace"]].concat()
    );
}
