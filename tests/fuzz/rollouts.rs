//! Generated facts about rollout policies, rollouts and namespaces.

use std::collections::BTreeMap;

use everynode_proto::planner::v1::{
    LabelSelector, NamespaceFacts, NamespaceGone, RolloutAttempt, RolloutFacts, RolloutMemory, RolloutOrder,
    RolloutPolicyFacts, RolloutPolicyGone, RolloutPolicySpec, RolloutPromotion, RolloutRelease, RolloutStage,
    RolloutVerbs, StageMemory, fact::Fact as Kind,
};
use fastrand::Rng;
use prost_types::Duration;

use crate::requests::{budget, labels, large, name, number, requirement, small, some, sometimes, time};

/// A fact about a policy, a rollout or a namespace.
pub(crate) fn fact(random: &mut Rng) -> Kind {
    match random.u8(..14) {
        0..5 => Kind::RolloutPolicyChanged(policy(random)),
        5 => Kind::RolloutPolicyGone(RolloutPolicyGone {
            uid: name(random, "y"),
        }),
        6 => Kind::NamespaceChanged(NamespaceFacts {
            name: name(random, "ns"),
            labels: labels(random),
        }),
        7 => Kind::NamespaceGone(NamespaceGone {
            name: name(random, "ns"),
        }),
        8..12 => Kind::RolloutChanged(rollout(random)),
        _ => Kind::RolloutPolicyKnowledge(sometimes(random, 12, small, |random| random.i32(1..4))),
    }
}

fn selector(random: &mut Rng) -> LabelSelector {
    LabelSelector {
        match_labels: sometimes(random, 3, labels, |_| BTreeMap::default()),
        match_expressions: some(random, 2, requirement),
    }
}

fn policy(random: &mut Rng) -> RolloutPolicyFacts {
    RolloutPolicyFacts {
        uid: name(random, "y"),
        namespace: sometimes(random, 3, |_| String::new(), |random| name(random, "ns")),
        name: name(random, "policy"),
        created: random.bool().then(|| time(random)),
        generation: large(random),
        target_names: some(random, 2, |random| name(random, "ds")),
        selector: (random.u8(..3) == 0).then(|| selector(random)),
        namespace_selector: (random.u8(..3) == 0).then(|| selector(random)),
        spec: (random.u8(..10) > 0).then(|| spec(random)),
        error: sometimes(random, 10, |_| "odd".to_owned(), |_| String::new()),
    }
}

fn spec(random: &mut Rng) -> RolloutPolicySpec {
    RolloutPolicySpec {
        paused: random.u8(..8) == 0,
        max_unavailable: budget(random),
        unhealthy_pod_policy: sometimes(random, 12, small, |random| random.i32(0..3)),
        unreleased_nodes: sometimes(random, 12, small, |random| random.i32(0..3)),
        stages: some(random, 3, stage),
        partition: sometimes(random, 8, budget, |_| None),
        order: (random.u8(..3) == 0).then(|| RolloutOrder {
            topology_key: name(random, "l"),
            max_unavailable_per_domain: budget(random),
        }),
    }
}

fn stage(random: &mut Rng) -> RolloutStage {
    let duration = |random: &mut Rng| Duration {
        seconds: sometimes(random, 12, large, |random| random.i64(0..30)),
        nanos: sometimes(random, 12, small, |_| 0),
    };
    RolloutStage {
        name: name(random, "s"),
        node_selector: (random.u8(..3) == 0).then(|| selector(random)),
        nodes: budget(random),
        topology_key: sometimes(random, 3, |random| name(random, "l"), |_| String::new()),
        soak: random.bool().then(|| duration(random)),
        promotion: sometimes(random, 12, small, |random| random.i32(0..3)),
        max_unavailable: sometimes(random, 3, budget, |_| None),
    }
}

fn rollout(random: &mut Rng) -> RolloutFacts {
    RolloutFacts {
        daemon_set_uid: name(random, "d"),
        verbs: random.bool().then(|| verbs(random)),
        memory: (random.u8(..6) > 0).then(|| memory(random)),
    }
}

/// The number of a rollout. Few, so that verbs and memory often have the same.
fn rollout_number(random: &mut Rng) -> i64 {
    sometimes(random, 12, large, |random| random.i64(0..4))
}

fn verbs(random: &mut Rng) -> RolloutVerbs {
    RolloutVerbs {
        paused: random.u8(..6) == 0,
        promote: random.bool().then(|| RolloutPromotion {
            rollout: rollout_number(random),
            stage: name(random, "s"),
        }),
        promote_full: sometimes(random, 4, rollout_number, |_| 0),
        abort: sometimes(random, 6, rollout_number, |_| 0),
        retry: sometimes(random, 6, rollout_number, |_| 0),
        release: (random.u8(..4) == 0).then(|| RolloutRelease {
            rollout: rollout_number(random),
            nodes: some(random, 2, |random| name(random, "n")),
        }),
    }
}

fn memory(random: &mut Rng) -> RolloutMemory {
    let attempt = |random: &mut Rng| RolloutAttempt {
        rollout: rollout_number(random),
        update_revision: name(random, "r"),
        outcome: sometimes(random, 12, small, |random| random.i32(0..5)),
        ended_at: random.bool().then(|| time(random)),
    };
    RolloutMemory {
        rollout: rollout_number(random),
        daemon_set_uid: name(random, "d"),
        current_revision: name(random, "r"),
        is_current_observed: random.bool(),
        update_revision: name(random, "r"),
        started_at: random.bool().then(|| time(random)),
        state: sometimes(random, 12, small, |random| random.i32(1..6)),
        stages: some(random, 4, stage_memory),
        attempts: some(random, 12, attempt),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are enough")]
fn stage_memory(random: &mut Rng) -> StageMemory {
    StageMemory {
        name: name(random, "s"),
        opened_at: (random.u8(..8) > 0).then(|| time(random)),
        updated_at: random.bool().then(|| time(random)),
        done_at: random.bool().then(|| time(random)),
        nodes: some(random, 3, |random| name(random, "n")),
        hash_limit: random.bool().then(|| number(random) as u32),
        size: budget(random),
    }
}
