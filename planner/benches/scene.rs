//! Clusters to benchmark with, as wire facts: nodes with a dozen labels, `DaemonSet`s, and their pods.

#![allow(dead_code, reason = "each benchmark uses its part of it")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "numbers of nodes and of DaemonSets are small, and taken modulo what there is"
)]

use everynode_proto::planner::v1::{
    self as wire, Fact, Hello, IntOrPercent, SessionRequest, SyncComplete, fact::Fact as Kind,
    int_or_percent, update_strategy,
};
use prost_types::Timestamp;

/// The start of a scene, in seconds since the Unix epoch. All pods became ready long before.
pub(crate) const BEGIN_SECONDS: i64 = 1_700_000_000;

/// The initial revision of all pods and `DaemonSet`s.
pub(crate) const FIRST_REVISION: &str = "5d8c7b9f46";

/// The size of a cluster. All its `DaemonSet`s run on all its nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    /// The number of nodes.
    pub(crate) nodes: usize,
    /// The number of `DaemonSet`s.
    pub(crate) daemon_sets: usize,
    /// Whether the `DaemonSet`s have six node affinity terms. Only the last one matches.
    pub(crate) six_terms: bool,
    /// Whether each `DaemonSet` has a rollout policy with four stages.
    pub(crate) has_policies: bool,
}

/// A uid in the API server's format, made from a number.
pub(crate) fn uid(number: u64) -> String {
    let mix = |salt: u64| {
        let mixed = (number ^ salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    };
    let (high, low) = (mix(1), mix(2));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFF,
        low >> 52,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// The time `millis` milliseconds after the start of the scene.
pub(crate) fn time(millis: i64) -> Timestamp {
    Timestamp {
        seconds: BEGIN_SECONDS + millis / 1_000,
        nanos: (millis % 1_000 * 1_000_000) as i32,
    }
}

/// A session request with these facts.
pub(crate) fn request(sequence: u64, kinds: impl IntoIterator<Item = Kind>) -> SessionRequest {
    SessionRequest {
        sequence,
        now: Some(time(i64::try_from(sequence).unwrap_or_default())),
        hello: (sequence == 1).then(|| Hello {
            cluster: uid(1),
            identity: "bench".to_owned(),
            epoch: 1,
            protocol: 1,
            ..Hello::default()
        }),
        facts: kinds.into_iter().map(|kind| Fact { fact: Some(kind) }).collect(),
    }
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> wire::NodeSelectorRequirement {
    wire::NodeSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

/// Six terms of two or three requirements. All are evaluated, because only the last one matches.
fn six_terms() -> wire::NodeSelector {
    let term = |match_expressions| wire::NodeSelectorTerm {
        match_expressions,
        match_fields: Vec::new(),
    };
    let linux = || requirement("kubernetes.io/os", "In", &["linux"]);
    let last = vec![
        linux(),
        requirement("kubernetes.io/arch", "In", &["arm64", "amd64"]),
        requirement("example.com/generation", "Gt", &["2"]),
    ];
    let others = ["gpu", "storage", "ingress", "build", "edge"].map(|pool| {
        term(vec![
            linux(),
            requirement("example.com/pool", "In", &[pool, "all"]),
        ])
    });
    let terms = others.into_iter().chain([term(last)]).collect();
    wire::NodeSelector { terms }
}

impl Scene {
    /// A cluster of this size, without node affinity.
    pub(crate) const fn new(nodes: usize, daemon_sets: usize) -> Self {
        Self {
            nodes,
            daemon_sets,
            six_terms: false,
            has_policies: false,
        }
    }

    /// The same cluster, with a rollout policy of four stages for each `DaemonSet`.
    pub(crate) const fn with_policies(self) -> Self {
        Self {
            has_policies: true,
            ..self
        }
    }

    /// The number of pairs of `DaemonSet` and node.
    pub(crate) const fn cells(&self) -> usize {
        self.nodes * self.daemon_sets
    }

    pub(crate) fn node_name(node: usize) -> String {
        format!(
            "ip-10-{:02}-{:03}.eu-west-1.compute.internal",
            node / 250,
            node % 250
        )
    }

    /// A node. Some of its labels are unique, most are shared with other nodes.
    pub(crate) fn node(node: usize) -> wire::NodeFacts {
        let name = Self::node_name(node);
        let zone = ["eu-west-1a", "eu-west-1b", "eu-west-1c"][node % 3];
        let labels = [
            ("beta.kubernetes.io/arch", "amd64"),
            ("beta.kubernetes.io/os", "linux"),
            ("example.com/generation", "5"),
            ("example.com/pool", "general"),
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/hostname", &name),
            ("kubernetes.io/os", "linux"),
            (
                "node.kubernetes.io/instance-type",
                ["m6i.large", "m6i.xlarge"][node % 2],
            ),
            ("team", "platform"),
            ("topology.kubernetes.io/region", "eu-west-1"),
            ("topology.kubernetes.io/zone", zone),
            ("wanted", "yes"),
        ];
        wire::NodeFacts {
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            taints: Vec::new(),
            name,
            created: Some(time(-1_000_000)),
            ..Default::default()
        }
    }

    /// A node without the label that every `DaemonSet` of a session selects by.
    pub(crate) fn unwanted_node(node: usize) -> wire::NodeFacts {
        let mut facts = Self::node(node);
        facts.labels.remove("wanted");
        facts
    }

    /// A node with a taint that no `DaemonSet` tolerates.
    pub(crate) fn tainted_node(node: usize) -> wire::NodeFacts {
        let mut facts = Self::node(node);
        facts.taints.push(wire::Taint {
            key: "example.com/maintenance".to_owned(),
            value: String::new(),
            effect: "NoSchedule".to_owned(),
        });
        facts
    }

    /// The uid of a `DaemonSet`.
    pub(crate) fn daemon_set_uid(daemon_set: usize) -> String {
        uid(0xD5_0000 + daemon_set as u64)
    }

    /// A `DaemonSet` at a revision. A tenth of its pods may be unavailable.
    pub(crate) fn daemon_set(
        &self,
        daemon_set: usize,
        generation: i64,
        revision: &str,
    ) -> wire::DaemonSetFacts {
        let selector = [("wanted".to_owned(), "yes".to_owned())];
        wire::DaemonSetFacts {
            namespace: "kube-system".to_owned(),
            name: format!("agent-{daemon_set:02}"),
            uid: Self::daemon_set_uid(daemon_set),
            generation,
            template: Some(wire::PodTemplateFacts {
                node_selector: if self.six_terms {
                    [].into()
                } else {
                    selector.into()
                },
                required_node_affinity: self.six_terms.then(six_terms),
                ..Default::default()
            }),
            update_strategy: Some(wire::UpdateStrategy {
                strategy: Some(update_strategy::Strategy::RollingUpdate(
                    update_strategy::RollingUpdate {
                        max_unavailable: Some(IntOrPercent {
                            value: Some(int_or_percent::Value::Percent(10)),
                        }),
                        max_surge: None,
                    },
                )),
            }),
            update_revision: revision.to_owned(),
            ..Default::default()
        }
    }

    /// The policy of a `DaemonSet`: four stages, zone by zone.
    fn policy(daemon_set: usize) -> wire::RolloutPolicyFacts {
        let percent = |percent| {
            Some(IntOrPercent {
                value: Some(int_or_percent::Value::Percent(percent)),
            })
        };
        let stage = |(number, share): (usize, i32)| wire::RolloutStage {
            name: format!("stage-{number}"),
            nodes: percent(share),
            max_unavailable: percent(10),
            ..Default::default()
        };
        wire::RolloutPolicyFacts {
            uid: uid(0xB0_0000 + daemon_set as u64),
            namespace: "kube-system".to_owned(),
            name: format!("policy-{daemon_set:02}"),
            generation: 1,
            target_names: vec![format!("agent-{daemon_set:02}")],
            spec: Some(wire::RolloutPolicySpec {
                stages: (1..).zip([5, 20, 50, 80]).map(stage).collect(),
                order: Some(wire::RolloutOrder {
                    topology_key: "topology.kubernetes.io/zone".to_owned(),
                    max_unavailable_per_domain: None,
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// The policies, and what is remembered: every `DaemonSet` has completed its first rollout.
    fn policies(&self) -> impl Iterator<Item = Kind> + use<> {
        let count = if self.has_policies { self.daemon_sets } else { 0 };
        let knowledge = wire::RolloutPolicyKnowledge::Known.into();
        let known = (count > 0).then_some(Kind::RolloutPolicyKnowledge(knowledge));
        let policies = (0..count).map(|number| Kind::RolloutPolicyChanged(Self::policy(number)));
        let rollouts = (0..count).map(|number| {
            let memory = wire::RolloutMemory {
                daemon_set_uid: Self::daemon_set_uid(number),
                current_revision: FIRST_REVISION.to_owned(),
                update_revision: FIRST_REVISION.to_owned(),
                state: wire::RolloutState::Completed.into(),
                ..Default::default()
            };
            Self::remembered(memory)
        });
        known.into_iter().chain(policies).chain(rollouts)
    }

    /// Tells what is remembered of a rollout.
    pub(crate) fn remembered(memory: wire::RolloutMemory) -> Kind {
        Kind::RolloutChanged(wire::RolloutFacts {
            daemon_set_uid: memory.daemon_set_uid.clone(),
            verbs: None,
            memory: Some(memory),
        })
    }

    /// The pod of a cell. `life` distinguishes pods that follow each other in the same cell.
    pub(crate) fn pod(
        node: usize,
        daemon_set: usize,
        life: u64,
        revision: &str,
        ready: bool,
    ) -> wire::PodFacts {
        let number = (life << 40) | ((daemon_set as u64) << 20) | node as u64;
        let uid = uid(number);
        wire::PodFacts {
            name: format!("agent-{daemon_set:02}-{}", uid[..11].replace('-', "x")),
            uid,
            daemon_set_uid: Self::daemon_set_uid(daemon_set),
            node: Self::node_name(node),
            bound: true,
            phase: wire::PodPhase::Running.into(),
            ready_since: ready.then(|| time(-500_000)),
            created: Some(time(-900_000 + i64::try_from(life).unwrap_or_default() * 1_000)),
            revision: revision.to_owned(),
            ..Default::default()
        }
    }

    /// The pods, node by node.
    pub(crate) fn pods(&self) -> impl Iterator<Item = wire::PodFacts> {
        let Self {
            nodes, daemon_sets, ..
        } = *self;
        (0..nodes).flat_map(move |node| {
            (0..daemon_sets).map(move |daemon_set| Self::pod(node, daemon_set, 0, FIRST_REVISION, true))
        })
    }

    /// A full sync: all facts in the executor's order, in requests of up to 1,000 facts.
    pub(crate) fn sync(&self) -> impl Iterator<Item = SessionRequest> {
        let scene = *self;
        let nodes = (0..self.nodes).map(|node| Kind::NodeChanged(Self::node(node)));
        let pods = self.pods().map(Kind::PodChanged);
        let daemon_sets = (0..self.daemon_sets)
            .map(move |number| Kind::DaemonSetChanged(scene.daemon_set(number, 1, FIRST_REVISION)));
        let last = [Kind::SyncComplete(SyncComplete {})];
        let policies = self.policies();
        let mut facts = nodes.chain(pods).chain(daemon_sets).chain(policies).chain(last);
        (1..).map_while(move |sequence| {
            let batch: Vec<_> = facts.by_ref().take(1_000).collect();
            (!batch.is_empty()).then(|| request(sequence, batch))
        })
    }
}
