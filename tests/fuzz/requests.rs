//! Generated sessions: arbitrary facts about few objects, in any order.

use std::collections::BTreeMap;

use everynode_proto::planner::v1::{
    ActionDone, DaemonSetFacts, DaemonSetGone, Fact, Hello, IntOrPercent, NodeFacts, NodeGone, NodeSelector,
    NodeSelectorRequirement, NodeSelectorTerm, PodFacts, PodGone, PodTemplateFacts, RevisionFacts,
    SessionRequest, SyncComplete, Taint, Toleration, UpdateStrategy,
    fact::Fact as Kind,
    int_or_percent::Value,
    update_strategy::{OnDelete, RollingUpdate, Strategy},
};
use fastrand::Rng;
use prost_types::Timestamp;

use crate::mutate::extreme;
use crate::rollouts;

/// The time around which most generated times lie.
const NOW: i64 = 1_767_225_600;

/// The requests of a session.
pub(crate) fn session(random: &mut Rng) -> Vec<SessionRequest> {
    let mut sequence = 0;
    let mut request = || {
        sequence += if random.u8(..50) == 0 { random.u64(..3) } else { 1 };
        let facts = if random.u8(..6) == 0 {
            0
        } else {
            random.usize(..12)
        };
        SessionRequest {
            sequence,
            now: sometimes(random, 100, |_| None, |random| Some(time(random))),
            hello: ((sequence == 1) != (random.u8(..100) == 0)).then(|| Hello {
                cluster: name(random, "c"),
                identity: name(random, "e"),
                epoch: number(random),
                protocol: 1,
                capabilities: some(random, 1, |_| "rollout_policies".to_owned()),
                own_nodes: some(random, 2, |random| name(random, "n")),
            }),
            facts: (0..facts).map(|_| Fact { fact: fact(random) }).collect(),
        }
    };
    (0..8).map(|_| request()).collect()
}

/// The rare value once in `every` times on average, otherwise the usual one.
pub(crate) fn sometimes<T>(
    random: &mut Rng,
    every: u32,
    rare: fn(&mut Rng) -> T,
    usual: fn(&mut Rng) -> T,
) -> T {
    if random.u32(..every) == 0 {
        rare(random)
    } else {
        usual(random)
    }
}

pub(crate) fn number(random: &mut Rng) -> u64 {
    sometimes(random, 8, extreme, |random| random.u64(..30))
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are enough")]
pub(crate) fn small(random: &mut Rng) -> i32 {
    number(random) as i32
}

pub(crate) fn large(random: &mut Rng) -> i64 {
    number(random).cast_signed()
}

pub(crate) fn time(random: &mut Rng) -> Timestamp {
    Timestamp {
        seconds: sometimes(random, 12, large, |random| NOW + random.i64(-5..120)),
        nanos: sometimes(random, 12, small, |_| 0),
    }
}

/// One of few names, so that names repeat; sometimes empty.
pub(crate) fn name(random: &mut Rng, kind: &str) -> String {
    let none = random.u8(..40) == 0;
    if none {
        String::new()
    } else {
        format!("{kind}{}", random.u8(..4))
    }
}

fn word(random: &mut Rng, choices: &[&str]) -> String {
    choices[random.usize(..choices.len())].to_owned()
}

pub(crate) fn some<T>(random: &mut Rng, most: usize, mut one: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    (0..random.usize(..=most)).map(|_| one(random)).collect()
}

pub(crate) fn labels(random: &mut Rng) -> BTreeMap<String, String> {
    let label = |random: &mut Rng| {
        (
            name(random, "l"),
            word(random, &["", "a", "b", "7", "-1", "99999999999999999999"]),
        )
    };
    some(random, 3, label).into_iter().collect()
}

fn fact(random: &mut Rng) -> Option<Kind> {
    let fact = match random.u8(..32) {
        0..5 => Kind::NodeChanged(node(random)),
        5 => Kind::NodeGone(NodeGone {
            name: name(random, "n"),
        }),
        6..10 => Kind::DaemonSetChanged(daemon_set(random)),
        10 => Kind::DaemonSetGone(DaemonSetGone {
            uid: name(random, "d"),
        }),
        11..17 => Kind::PodChanged(pod(random)),
        17 => Kind::PodGone(PodGone {
            uid: name(random, "p"),
        }),
        18..21 => Kind::ActionDone(ActionDone {
            action_id: number(random),
            outcome: small(random),
        }),
        21..23 => Kind::SyncComplete(SyncComplete {}),
        23..31 => rollouts::fact(random),
        _ => return None,
    };
    Some(fact)
}

fn node(random: &mut Rng) -> NodeFacts {
    let taint = |random: &mut Rng| Taint {
        key: name(random, "t"),
        value: name(random, "v"),
        effect: word(
            random,
            &["NoSchedule", "NoExecute", "PreferNoSchedule", "", "Odd"],
        ),
    };
    NodeFacts {
        name: name(random, "n"),
        labels: labels(random),
        taints: some(random, 2, taint),
        created: random.bool().then(|| time(random)),
        readiness: sometimes(random, 12, small, |random| random.i32(0..4)),
        lifecycle_conditions: some(random, 2, |random| {
            word(random, &["Drained", "MaintenancePlanned", "", "Odd"])
        }),
    }
}

fn pod(random: &mut Rng) -> PodFacts {
    PodFacts {
        uid: name(random, "p"),
        name: name(random, "pod"),
        daemon_set_uid: name(random, "d"),
        node: name(random, "n"),
        bound: random.bool(),
        phase: sometimes(random, 12, small, |random| random.i32(0..6)),
        ready_since: random.bool().then(|| time(random)),
        created: random.bool().then(|| time(random)),
        deleting: random.u8(..6) == 0,
        revision: name(random, "r"),
        template_generation: word(random, &["", "1", "2", "-9223372036854775808"]),
        unready_since: random.bool().then(|| time(random)),
    }
}

pub(crate) fn requirement(random: &mut Rng) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: sometimes(
            random,
            4,
            |_| "metadata.name".to_owned(),
            |random| name(random, "l"),
        ),
        operator: word(
            random,
            &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "", "Odd"],
        ),
        values: some(random, 2, |random| {
            word(random, &["a", "7", "n1", "", "-99999999999999999999"])
        }),
    }
}

fn template(random: &mut Rng) -> PodTemplateFacts {
    let term = |random: &mut Rng| NodeSelectorTerm {
        match_expressions: some(random, 2, requirement),
        match_fields: some(random, 1, requirement),
    };
    let toleration = |random: &mut Rng| Toleration {
        key: name(random, "t"),
        operator: word(random, &["", "Equal", "Exists", "Odd"]),
        value: name(random, "v"),
        effect: word(random, &["", "NoSchedule", "NoExecute", "Odd"]),
    };
    PodTemplateFacts {
        node_name: sometimes(random, 8, |random| name(random, "n"), |_| String::new()),
        node_selector: sometimes(random, 3, labels, |_| BTreeMap::default()),
        required_node_affinity: (random.u8(..3) == 0).then(|| NodeSelector {
            terms: some(random, 2, term),
        }),
        tolerations: some(random, 2, toleration),
        host_network: random.bool(),
    }
}

fn daemon_set(random: &mut Rng) -> DaemonSetFacts {
    let revision = |random: &mut Rng| RevisionFacts {
        hash: name(random, "r"),
        number: large(random),
        template: (random.u8(..10) > 0).then(|| template(random)),
    };
    DaemonSetFacts {
        namespace: name(random, "ns"),
        name: name(random, "ds"),
        uid: name(random, "d"),
        generation: large(random),
        selects_everything: random.u8(..20) == 0,
        template: (random.u8(..10) > 0).then(|| template(random)),
        update_strategy: (random.u8(..10) > 0).then(|| UpdateStrategy {
            strategy: strategy(random),
        }),
        min_ready_seconds: sometimes(random, 4, small, |random| random.i32(..60).max(0)),
        update_revision: name(random, "r"),
        template_generation: random.bool().then(|| large(random)),
        equal_revisions: some(random, 2, |random| name(random, "r")),
        labels: labels(random),
        revisions: some(random, 3, revision),
        managed_by: sometimes(random, 12, |_| "rollouts.kruise.io".to_owned(), |_| String::new()),
        is_rollout_held: random.u8(..6) == 0,
    }
}

/// A number or a percentage, or nothing.
pub(crate) fn budget(random: &mut Rng) -> Option<IntOrPercent> {
    (random.u8(..3) > 0).then(|| IntOrPercent {
        value: match random.u8(..5) {
            0 => None,
            1 | 2 => Some(Value::Count(small(random))),
            _ => Some(Value::Percent(small(random))),
        },
    })
}

fn strategy(random: &mut Rng) -> Option<Strategy> {
    match random.u8(..8) {
        0 => None,
        1 => Some(Strategy::OnDelete(OnDelete {
            max_unavailable: budget(random),
        })),
        _ => Some(Strategy::RollingUpdate(RollingUpdate {
            max_unavailable: budget(random),
            max_surge: budget(random),
        })),
    }
}
