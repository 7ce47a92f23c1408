//! What can happen to a cluster in the middle of a rollout.

use super::world::{Random, TEMPLATES, World, hash_of, policy_of};
use crate::{
    model::{
        Budget, LabelKey, Pod, Text,
        rollout::{
            Knowledge, LabelCondition, LabelRequirement, LabelSelector, Order, PolicySpec, Stage, StageSize,
            Verbs,
        },
    },
    testing::seconds,
};

/// The names of stages.
const STAGES: [&str; 4] = ["a", "b", "c", "d"];

fn random_budget(random: &mut Random) -> Option<Budget> {
    match random.below(4) {
        0 => None,
        1 => Some(Budget::Percent(1 + random.number(60))),
        _ => Some(Budget::Count(1 + random.number(3))),
    }
}

fn random_stage(random: &mut Random, name: &str) -> Stage {
    let requirement = LabelRequirement {
        key: LabelKey::new("pool".into()),
        condition: LabelCondition::In(vec!["canary".into()]),
    };
    let size = match random.below(4) {
        0 => StageSize::All,
        1 | 2 => StageSize::Count(usize::try_from(1 + random.below(3)).unwrap()),
        _ => StageSize::Percent(u32::try_from(1 + random.below(100)).unwrap()),
    };
    let is_selective = size == StageSize::All || random.one_in(2);
    Stage {
        name: name.into(),
        node_selector: LabelSelector {
            requirements: is_selective.then_some(requirement).into_iter().collect(),
        },
        size,
        topology_key: random.one_in(2).then(|| LabelKey::new("zone".into())),
        soak_millis: i64::from(random.number(3)) * 12_000,
        is_manual: random.one_in(5),
        max_unavailable: random_budget(random),
    }
}

/// A policy with some of the stages, in any order, or with a partition.
pub(super) fn random_spec(random: &mut Random) -> PolicySpec {
    let mut stages = Vec::new();
    if random.one_in(8) {
        stages.push(Stage {
            node_selector: LabelSelector::default(),
            size: StageSize::AllBut(Budget::Count(random.number(6))),
            topology_key: None,
            soak_millis: 0,
            is_manual: true,
            max_unavailable: None,
            ..random_stage(random, "partition")
        });
    } else {
        for name in STAGES {
            if random.one_in(2) {
                let at = random.below(u64::try_from(stages.len()).unwrap() + 1);
                stages.insert(usize::try_from(at).unwrap(), random_stage(random, name));
            }
        }
    }
    PolicySpec {
        paused: random.one_in(12),
        max_unavailable: random_budget(random),
        allows_unhealthy: random.one_in(6),
        unreleased_get_update: random.one_in(8),
        stages,
        order: random.one_in(2).then(|| Order {
            topology_key: LabelKey::new("zone".into()),
            max_unavailable: random_budget(random),
        }),
    }
}

/// Verbs for the rollout of this number, or left over from an earlier one.
fn random_verbs(random: &mut Random, rollout: i64) -> Verbs {
    let number = if random.one_in(3) { rollout - 1 } else { rollout };
    let mut verbs = Verbs::default();
    match random.below(8) {
        0 => verbs.paused = true,
        1 => verbs.promote_full = number,
        2 => verbs.abort = number,
        3 => (verbs.abort, verbs.retry) = (number, number),
        4 => verbs.release = (number, vec!["n00".into(), "n05".into()]),
        5 => {}
        _ => verbs.promote = Some((number, random.pick(&["", "a", "b", "c", "d", "partition"]).into())),
    }
    verbs
}

impl World {
    /// One random event.
    pub(super) fn disturb(&mut self) {
        let position = usize::try_from(self.random.below(u64::try_from(self.sets.len()).unwrap())).unwrap();
        match self.random.below(32) {
            0..=3 => {
                let seconds = i64::from(self.random.number(8));
                self.pass(seconds);
            }
            4..=9 => self.finish_actions(position, false),
            10..=14 => self.write_memory(position),
            15 => self.lose_proposal(position),
            16 | 17 => self.change_node(),
            18 => self.remove_node(),
            19 => self.kill_or_revive_node(),
            20 | 21 => self.hurt_pod(position),
            22 => {
                let template = hash_of(self.random.below(TEMPLATES));
                self.set_template(position, &template);
            }
            23 | 24 => self.change_policy(position),
            25 => self.change_knowledge(),
            26..=28 => {
                let rollout = self.sets[position]
                    .memory
                    .as_ref()
                    .map_or(0, |memory| memory.rollout);
                let verbs = random_verbs(&mut self.random, rollout);
                self.set_verbs(position, verbs);
            }
            29 if self.random.one_in(4) => self.forget(position),
            30 => {
                for position in 0..self.sets.len() {
                    self.finish_actions(position, true);
                }
                self.restart_planner();
            }
            _ => {
                let seconds = i64::from(self.random.number(40));
                self.pass(seconds);
            }
        }
    }

    pub(super) fn set_verbs(&mut self, position: usize, verbs: Verbs) {
        self.sets[position].verbs = verbs;
        self.tell_rollout(position);
    }

    /// Ends some of the actions in flight, or all of them. Now and then the API server refuses one, or an outcome is
    /// reported twice.
    pub(super) fn finish_actions(&mut self, position: usize, all: bool) {
        let ids: Vec<_> = self.sets[position].pending.keys().copied().collect();
        for id in ids {
            if all || !self.random.one_in(3) {
                let has_effect = !self.random.one_in(10);
                self.finish_action(position, id, has_effect);
                if self.random.one_in(10) {
                    self.fleet.action_done(id);
                }
            }
        }
    }

    /// A node joins, or gets other labels. A node of the same name may be another one.
    fn change_node(&mut self) {
        let name = format!("n{:02}", self.random.below(12));
        let before = self.nodes.get(name.as_str()).map(|node| node.created.0 / 1_000);
        let created = before.filter(|_| !self.random.one_in(6)).unwrap_or(self.now);
        let node = self.some_node(&name, created);
        self.nodes.insert(node.name.clone(), node.clone());
        self.fleet.node_changed(node);
    }

    fn remove_node(&mut self) {
        if self.nodes.len() <= 3 {
            return;
        }
        let names: Vec<_> = self.nodes.keys().cloned().collect();
        let name = self.random.pick(&names);
        self.nodes.remove(&name);
        self.dead.remove(&name);
        self.fleet.node_gone(&name);
        for position in 0..self.sets.len() {
            let pods = self.sets[position].pods.values();
            let uids: Vec<_> = pods
                .filter(|pod| pod.node == name)
                .map(|pod| pod.uid.clone())
                .collect();
            for uid in uids {
                self.remove_pod(position, &uid);
            }
        }
    }

    /// A node dies with all its pods, or comes back.
    fn kill_or_revive_node(&mut self) {
        let names: Vec<_> = self.nodes.keys().cloned().collect();
        let name = self.random.pick(&names);
        if self.dead.remove(&name) {
            return;
        }
        self.dead.insert(name.clone());
        for position in 0..self.sets.len() {
            let pods: Vec<_> = self.sets[position].pods.values().cloned().collect();
            for pod in pods.into_iter().filter(|pod| pod.node == name) {
                self.make_unready(position, pod);
            }
        }
    }

    fn make_unready(&mut self, position: usize, pod: Pod) {
        let was_ready = pod.ready_since.is_some();
        let pod = Pod {
            ready_since: None,
            unready_since: if was_ready {
                Some(seconds(self.now))
            } else {
                pod.unready_since
            },
            ..pod
        };
        self.set_pod(position, pod);
    }

    /// A pod becomes unready, or somebody deletes it.
    fn hurt_pod(&mut self, position: usize) {
        let uids: Vec<Text> = self.sets[position].pods.keys().cloned().collect();
        if uids.is_empty() {
            return;
        }
        let uid = self.random.pick(&uids);
        if self.random.one_in(2) {
            self.remove_pod(position, &uid);
        } else if let Some(pod) = self.sets[position].pods.get(&uid).cloned() {
            self.make_unready(position, pod);
        }
    }

    fn change_policy(&mut self, position: usize) {
        let policy = match self.random.below(8) {
            0 => None,
            1 => Some(policy_of(position, Err("it has a mistake".into()))),
            _ => Some(policy_of(position, Ok(random_spec(&mut self.random)))),
        };
        self.set_policy(position, policy);
    }

    pub(super) fn set_policy(&mut self, position: usize, policy: Option<crate::model::rollout::Policy>) {
        match &policy {
            Some(policy) => self.fleet.policies_mut().set(policy.clone()),
            None => self.fleet.policies_mut().remove(&format!("policy-{position}")),
        }
        self.sets[position].policy = policy;
    }

    fn change_knowledge(&mut self) {
        let all = [
            Knowledge::Known,
            Knowledge::Known,
            Knowledge::Unknown,
            Knowledge::Absent,
        ];
        let knowledge = self.random.pick(&all);
        self.set_knowledge(knowledge);
    }

    pub(super) fn set_knowledge(&mut self, knowledge: Knowledge) {
        self.knowledge = knowledge;
        self.fleet.policies_mut().set_knowledge(knowledge);
    }
}
