//! A small cluster, its executor, and a planner that can be killed at any moment.

use std::collections::{BTreeMap, BTreeSet};

use super::{events::random_spec, model};
use crate::{
    fleet::{ActionId, Fleet, RowPlan},
    model::{
        Action, DaemonSet, LabelKey, Millis, Node, Pod, PodTemplate, Revision, Strategy, Text,
        rollout::{Knowledge, Memory, Policy, PolicySpec, State, Targets, Verbs},
    },
    testing::{NOW, daemon_set, max_surge, max_unavailable, node, pod, seconds},
};

/// The number of templates that a `DaemonSet` may get.
pub(super) const TEMPLATES: u64 = 6;
/// The time that a pod needs to become ready, in seconds.
const READY_AFTER: i64 = 4;

/// Random numbers from a seed: xorshift.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub(super) fn number(&mut self, limit: u64) -> i32 {
        i32::try_from(self.below(limit)).unwrap()
    }

    /// Whether something of this chance happens: once in so many cases.
    pub(super) fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        let count = u64::try_from(all.len()).unwrap();
        all[usize::try_from(self.below(count)).unwrap()].clone()
    }
}

/// A `DaemonSet` with its policy, its pods, and what is remembered of its rollout.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the field is a DaemonSet")]
pub(super) struct Set {
    pub(super) daemon_set: DaemonSet,
    pub(super) policy: Option<Policy>,
    pub(super) verbs: Verbs,
    pub(super) memory: Option<Memory>,
    /// The number of times that the memory has been written.
    version: u64,
    /// What the planner wants to remember, with the version that it has seen.
    proposal: Option<(u64, Memory)>,
    /// By uid.
    pub(super) pods: BTreeMap<Text, Pod>,
    /// The actions in flight.
    pub(super) pending: BTreeMap<ActionId, Action>,
}

/// The cluster, and a fleet that has received all of it.
pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) random: Random,
    /// In seconds.
    pub(super) now: i64,
    pub(super) nodes: BTreeMap<Text, Node>,
    /// Nodes whose kubelet doesn't answer.
    pub(super) dead: BTreeSet<Text>,
    pub(super) knowledge: Knowledge,
    pub(super) sets: Vec<Set>,
    created: u64,
}

/// The hash of a template. Every third one selects nodes with a fast disk only.
pub(super) fn hash_of(template: u64) -> Text {
    format!("r{template}").into()
}

/// Whether the template of this hash has a pod on the node.
pub(super) fn admits(hash: &str, node: &Node) -> bool {
    let is_narrow = hash == "r1" || hash == "r4";
    !is_narrow || node.labels.get(&LabelKey::new("disk".into())).is_some()
}

fn template(hash: &str) -> PodTemplate {
    let is_narrow = hash == "r1" || hash == "r4";
    PodTemplate {
        node_selector: is_narrow
            .then(|| ("disk".into(), "ssd".into()))
            .into_iter()
            .collect(),
        ..PodTemplate::default()
    }
}

pub(super) fn policy_of(set: usize, spec: Result<PolicySpec, Text>) -> Policy {
    Policy {
        uid: format!("policy-{set}").into(),
        namespace: Some("default".into()),
        name: format!("policy-{set}").into(),
        created: Millis::default(),
        generation: 1,
        targets: Targets::Names(vec![format!("agent-{set}").into()]),
        spec: spec.map(Into::into),
    }
}

impl World {
    /// A cluster in which every node has its pods, and every `DaemonSet` a policy.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut world = Self {
            fleet: Fleet::default(),
            now: NOW,
            nodes: BTreeMap::new(),
            dead: BTreeSet::new(),
            knowledge: Knowledge::Known,
            sets: Vec::new(),
            created: 0,
            random: Random::new(seed + 1_000_000),
        };
        for number in 0..3 + random.below(10) {
            let name = format!("n{number:02}");
            let node = world.some_node(&name, 0);
            world.nodes.insert(node.name.clone(), node);
        }
        for number in 0..=random.below(3) {
            let number = usize::try_from(number).unwrap();
            let strategy = match random.below(4) {
                0 => Strategy::OnDelete,
                1 => max_surge(1 + random.number(2)),
                _ => max_unavailable(1 + random.number(3)),
            };
            let daemon_set = DaemonSet {
                name: format!("agent-{number}").into(),
                uid: format!("agent-{number}-uid").into(),
                strategy,
                update_revision: hash_of(0),
                revisions: (0..=TEMPLATES)
                    .map(|template_number| Revision {
                        hash: hash_of(template_number),
                        number: i64::try_from(template_number).unwrap(),
                        template: template(&hash_of(template_number)),
                    })
                    .collect(),
                ..daemon_set()
            };
            let memory = Memory {
                current: hash_of(0),
                update: hash_of(0),
                ..Memory::default()
            };
            let mut pods = BTreeMap::new();
            for name in world.nodes.keys() {
                let pod = Pod {
                    revision: hash_of(0),
                    ..pod(&format!("first-{number}-{name}"), name)
                };
                pods.insert(pod.uid.clone(), pod);
            }
            let spec = random_spec(&mut random);
            world.sets.push(Set {
                daemon_set,
                policy: Some(policy_of(number, Ok(spec))),
                verbs: Verbs::default(),
                memory: Some(memory),
                version: 0,
                proposal: None,
                pods,
                pending: BTreeMap::new(),
            });
        }
        world.restart_planner();
        world
    }

    /// A node with random labels.
    pub(super) fn some_node(&mut self, name: &str, created: i64) -> Node {
        let mut labels = Vec::new();
        labels.extend(
            self.random
                .pick(&[None, Some("zone=a"), Some("zone=b"), Some("zone=c")]),
        );
        labels.extend(self.random.pick(&[None, Some("pool=canary"), Some("pool=other")]));
        labels.extend((!self.random.one_in(3)).then_some("disk=ssd"));
        labels.extend(
            self.random
                .one_in(12)
                .then_some("hold.everynode.io/default.agent-0=yes"),
        );
        Node {
            created: seconds(created),
            ..node(name, &labels, &[])
        }
    }

    /// A new planner receives all facts. It has nothing else of the one before.
    pub(super) fn restart_planner(&mut self) {
        self.fleet = Fleet::default();
        self.fleet.policies_mut().set_knowledge(self.knowledge);
        for node in self.nodes.values() {
            self.fleet.node_changed(node.clone());
        }
        for set in &mut self.sets {
            set.pending.clear();
            set.proposal = None;
            let uid = &set.daemon_set.uid;
            for pod in set.pods.values() {
                self.fleet.pod_changed(uid, pod.clone());
            }
            self.fleet.daemon_set_changed(set.daemon_set.clone());
            let policies = self.fleet.policies_mut();
            policies.set_rollout(uid, set.verbs.clone(), set.memory.clone());
            if let Some(policy) = &set.policy {
                policies.set(policy.clone());
            }
        }
    }

    /// Plans, and checks what the planner has planned and what it keeps.
    pub(super) fn plan(&mut self) -> Result<(), String> {
        for plan in self.fleet.plan(seconds(self.now)) {
            let position = self.sets.iter().position(|set| set.daemon_set.uid == plan.uid);
            let position = position.ok_or("a plan for a DaemonSet that isn't there")?;
            model::check(self, position, &plan).map_err(|error| {
                format!(
                    "{error}\n{plan:#?}\n{:#?}\n{:#?}",
                    self.sets[position], self.nodes
                )
            })?;
            self.take(position, plan);
        }
        for row in self.fleet.rows.iter() {
            let [kept, found] = row.ledgers(&self.fleet.nodes, &self.fleet.pods, seconds(self.now));
            if kept != found {
                return Err(format!("the ledger differs from a new one: {kept:?} {found:?}"));
            }
        }
        Ok(())
    }

    fn take(&mut self, position: usize, plan: RowPlan) {
        let set = &mut self.sets[position];
        set.pending.extend(plan.actions);
        if let Some(report) = plan.report.rollout {
            let is_new = set.memory.as_ref() != Some(&report.memory);
            set.proposal = is_new.then_some((set.version, report.memory));
        }
    }

    /// Writes what the planner wants to remember, unless something else has been written since it has decided.
    pub(super) fn write_memory(&mut self, position: usize) {
        let set = &mut self.sets[position];
        if let Some((version, memory)) = set.proposal.take()
            && version == set.version
        {
            set.version += 1;
            set.memory = Some(memory);
            self.tell_rollout(position);
        }
    }

    /// Loses what the planner wants to remember.
    pub(super) fn lose_proposal(&mut self, position: usize) {
        self.sets[position].proposal = None;
    }

    /// Reports the verbs and the memory of a rollout.
    pub(super) fn tell_rollout(&mut self, position: usize) {
        let set = &self.sets[position];
        let (uid, verbs, memory) = (set.daemon_set.uid.clone(), set.verbs.clone(), set.memory.clone());
        self.fleet.policies_mut().set_rollout(&uid, verbs, memory);
    }

    /// Deletes what is remembered, as a person might who deletes a `DaemonSetRollout`.
    pub(super) fn forget(&mut self, position: usize) {
        let set = &mut self.sets[position];
        (set.memory, set.proposal) = (None, None);
        set.version += 1;
        self.tell_rollout(position);
    }

    /// Ends an action in flight: it has its effect, or the API server has refused it.
    pub(super) fn finish_action(&mut self, position: usize, id: ActionId, has_effect: bool) {
        let Some(action) = self.sets[position].pending.remove(&id) else {
            return;
        };
        if has_effect {
            self.carry_out(position, &action);
        }
        self.fleet.action_done(id);
    }

    fn carry_out(&mut self, position: usize, action: &Action) {
        match action {
            Action::Create { node, revision, .. } => {
                if !self.nodes.contains_key(node) {
                    return;
                }
                self.created += 1;
                let pod = Pod {
                    ready_since: None,
                    created: seconds(self.now),
                    revision: revision.clone(),
                    ..pod(&format!("p{}", self.created), node)
                };
                self.set_pod(position, pod);
            }
            Action::Delete { uid, .. } => {
                let Some(pod) = self.sets[position].pods.get(uid).cloned() else {
                    return;
                };
                let is_slow = self.dead.contains(&pod.node) || self.random.one_in(2);
                if is_slow {
                    self.set_pod(
                        position,
                        Pod {
                            deleting: true,
                            ..pod
                        },
                    );
                } else {
                    self.remove_pod(position, uid);
                }
            }
        }
    }

    pub(super) fn set_pod(&mut self, position: usize, pod: Pod) {
        let set = &mut self.sets[position];
        self.fleet.pod_changed(&set.daemon_set.uid, pod.clone());
        set.pods.insert(pod.uid.clone(), pod);
    }

    pub(super) fn remove_pod(&mut self, position: usize, uid: &Text) {
        self.sets[position].pods.remove(uid);
        self.fleet.pod_gone(uid);
    }

    /// Lets time pass: pods become ready, and terminating ones end.
    pub(super) fn pass(&mut self, for_seconds: i64) {
        self.now += for_seconds;
        let now = seconds(self.now);
        for position in 0..self.sets.len() {
            let mut pods: Vec<_> = self.sets[position].pods.values().cloned().collect();
            pods.retain(|pod| !self.dead.contains(&pod.node));
            for pod in pods {
                if pod.deleting {
                    self.remove_pod(position, &pod.uid);
                } else if pod.ready_since.is_none() && pod.created.plus(READY_AFTER * 1_000) <= now {
                    let pod = Pod {
                        ready_since: Some(now),
                        unready_since: None,
                        ..pod
                    };
                    self.set_pod(position, pod);
                }
            }
        }
    }

    /// Gives a `DaemonSet` a template.
    pub(super) fn set_template(&mut self, position: usize, hash: &Text) {
        let daemon_set = &mut self.sets[position].daemon_set;
        if daemon_set.update_revision != *hash {
            daemon_set.update_revision = hash.clone();
            daemon_set.template = template(hash);
            daemon_set.generation += 1;
            self.fleet.daemon_set_changed(daemon_set.clone());
        }
    }

    /// Whether every rollout has ended, and every node has the pod that it should. Under `OnDelete`, an old pod that appears
    /// after the end stays: a creation may have been in flight, or a label may have held it.
    pub(super) fn is_at_rest(&self) -> bool {
        self.sets.iter().all(|set| {
            let update = &set.daemon_set.update_revision;
            let is_completed = set
                .memory
                .as_ref()
                .is_some_and(|memory| memory.state == State::Completed && memory.update == *update);
            let is_left = set.daemon_set.strategy == Strategy::OnDelete;
            let has_its_pods = self.nodes.values().all(|node| {
                let mut pods = set.pods.values().filter(|pod| pod.node == node.name);
                if !admits(update, node) {
                    return pods.next().is_none();
                }
                pods.next()
                    .is_some_and(|pod| pod.ready_since.is_some() && (pod.revision == *update || is_left))
                    && pods.next().is_none()
            });
            is_completed && has_its_pods && set.pending.is_empty()
        })
    }
}
