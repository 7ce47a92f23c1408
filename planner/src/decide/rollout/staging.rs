//! Which stage of a rollout a node is in, and whether the rollout has released it (T5, T19).

use std::sync::Arc;

use hashbrown::HashMap;

use super::rules::Rule;
use crate::model::{
    Budget, Text,
    rollout::{Memory, PolicySpec, StageMemory, StageSize},
};

/// The position of a stage. The stages of the policy come first, in order. All other nodes form a last stage.
pub(crate) type StageIndex = u8;

/// The stages of a rollout, with what is remembered of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staging {
    /// `None` while no policy is known. Then only what is remembered tells which nodes have been released.
    spec: Option<Arc<PolicySpec>>,
    /// What is remembered of each stage, by its position. A stage is identified by its name, so that the policy can be
    /// edited during a rollout.
    remembered: Vec<Option<StageMemory>>,
    /// The stages that have picked each node, one bit for each. A node that has left one of them for its labels may still be
    /// in another one.
    picked: HashMap<Text, u32>,
    /// The highest limit of the hashes of released nodes.
    hash_limit: u32,
}

/// The labels and the name of a node, for stages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StagedNode<'n> {
    /// The node's name.
    pub(crate) name: &'n Text,
    /// The node's labels.
    pub(crate) labels: &'n crate::model::Labels,
    /// [`hash`] of the `DaemonSet`'s uid and the node's name.
    pub(crate) hash: u32,
}

/// Spreads nodes evenly over all numbers, in another order for each `DaemonSet`, so that not always the same nodes are
/// the first ones. FNV-1a with a final mix: short, and the same on every machine and in every version.
pub(crate) fn hash(daemon_set_uid: &str, node: &str) -> u32 {
    let bytes = daemon_set_uid.bytes().chain([0]).chain(node.bytes());
    let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    (mixed >> 32) as u32
}

impl Staging {
    /// The stages of a policy, with what is remembered of the rollout.
    pub(crate) fn new(spec: Option<Arc<PolicySpec>>, memory: &Memory) -> Self {
        let names: Vec<Text> = match &spec {
            Some(spec) => spec.stages.iter().map(|stage| stage.name.clone()).collect(),
            None => Vec::new(),
        };
        let find = |name: &Text| memory.stages.iter().find(|stage| stage.name == *name).cloned();
        let mut remembered: Vec<_> = names.iter().map(find).collect();
        remembered.push(find(&Text::from("")));
        let mut picked: HashMap<Text, u32> = HashMap::new();
        for (position, stage) in (0..).zip(&remembered) {
            for node in stage.iter().flat_map(|stage| &stage.nodes) {
                *picked.entry(node.clone()).or_default() |= bit(position);
            }
        }
        if spec.is_none() {
            for node in memory.stages.iter().flat_map(|stage| &stage.nodes) {
                picked.entry(node.clone()).or_default();
            }
        }
        let limits = memory.stages.iter().filter_map(|stage| stage.hash_limit);
        // The last stage has all nodes that are in no other, so every node has been released once it is open.
        let is_done = |stage: &StageMemory| stage.name.is_empty() || stage.done_at.is_some();
        let is_last_open = matches!(remembered.last(), Some(Some(_))) && memory.stages.iter().all(is_done);
        Self {
            spec,
            remembered,
            picked,
            hash_limit: if is_last_open {
                u32::MAX
            } else {
                limits.max().unwrap_or_default()
            },
        }
    }

    /// The number of stages, with the last one for all other nodes.
    pub(crate) fn len(&self) -> usize {
        self.remembered.len()
    }

    /// What is remembered of a stage. `None` until it has opened.
    pub(crate) fn remembered(&self, stage: StageIndex) -> Option<&StageMemory> {
        self.remembered.get(usize::from(stage))?.as_ref()
    }

    /// The first stage that isn't done. `None` if all are.
    pub(crate) fn active(&self) -> Option<StageIndex> {
        let is_done =
            |stage: &Option<StageMemory>| stage.as_ref().is_some_and(|stage| stage.done_at.is_some());
        let position = self.remembered.iter().position(|stage| !is_done(stage))?;
        StageIndex::try_from(position).ok()
    }

    /// Whether the stage is open, and every stage before it is done.
    pub(crate) fn is_open(&self, stage: StageIndex) -> bool {
        match self.active().filter(|_| Rule::StageOrder.counts()) {
            Some(active) if stage >= active => stage == active && self.remembered(stage).is_some(),
            _ => true,
        }
    }

    /// The stage that a node is in. A node that could be in several is in the first of them.
    pub(crate) fn stage_of(&self, node: StagedNode<'_>) -> StageIndex {
        let last = StageIndex::try_from(self.len().saturating_sub(1)).unwrap_or(StageIndex::MAX);
        let Some(spec) = &self.spec else { return last };
        let picked = self.picked.get(node.name).copied().unwrap_or_default();
        for (position, stage) in (0..).zip(&spec.stages) {
            if !stage.node_selector.selects(node.labels) {
                continue;
            }
            let is_in = match stage.size {
                StageSize::All => true,
                StageSize::Count(_) => picked & bit(position) != 0,
                StageSize::Percent(_) | StageSize::AllBut(_) => {
                    let limit = self.remembered(position).and_then(|stage| stage.hash_limit);
                    node.hash < limit.unwrap_or_else(|| expected_limit(stage.size))
                }
            };
            if is_in {
                return position;
            }
        }
        last
    }

    /// Whether the rollout has released a node in this stage.
    pub(crate) fn is_released(&self, node: StagedNode<'_>, stage: StageIndex) -> bool {
        match self.spec {
            Some(_) => self.is_open(stage),
            // Without its policy, a rollout is held: no further node is released, and those that were stay so.
            None => self.picked.contains_key(node.name) || node.hash < self.hash_limit,
        }
    }
}

/// The bit of a stage in [`Staging::picked`].
fn bit(stage: StageIndex) -> u32 {
    1_u32.checked_shl(u32::from(stage)).unwrap_or_default()
}

/// An estimate of a stage's hash limit until the stage opens: as if hashes were spread evenly.
pub(crate) fn expected_limit(size: StageSize) -> u32 {
    let percent = match size {
        StageSize::Percent(percent) => percent.min(100),
        StageSize::AllBut(Budget::Percent(percent)) => {
            100 - u32::try_from(percent.clamp(0, 100)).unwrap_or(0)
        }
        StageSize::All | StageSize::Count(_) | StageSize::AllBut(Budget::Count(_)) => 100,
    };
    let limit = u64::from(u32::MAX) * u64::from(percent) / 100;
    u32::try_from(limit).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{
        LabelKey, Labels, Millis,
        rollout::{LabelCondition, LabelRequirement, LabelSelector, Stage},
    };

    fn stage(name: &str, pool: Option<&str>, size: StageSize) -> Stage {
        let requirement = |pool: &str| LabelRequirement {
            key: LabelKey::new("pool".into()),
            condition: LabelCondition::In(vec![pool.into()]),
        };
        Stage {
            name: name.into(),
            node_selector: LabelSelector {
                requirements: pool.map(requirement).into_iter().collect(),
            },
            size,
            topology_key: None,
            soak_millis: 0,
            is_manual: false,
            max_unavailable: None,
        }
    }

    fn spec(stages: Vec<Stage>) -> Arc<PolicySpec> {
        Arc::new(PolicySpec {
            stages,
            ..PolicySpec::default()
        })
    }

    fn opened(name: &str, is_done: bool) -> StageMemory {
        StageMemory {
            name: name.into(),
            done_at: is_done.then_some(Millis(1)),
            ..StageMemory::default()
        }
    }

    fn memory(stages: Vec<StageMemory>) -> Memory {
        Memory {
            stages,
            ..Memory::default()
        }
    }

    fn labels(pool: &str) -> Labels {
        [("pool".into(), pool.into())].into_iter().collect()
    }

    #[test]
    fn node_is_in_the_first_stage_that_takes_it() {
        let spec = spec(vec![
            stage("canary", Some("canary"), StageSize::All),
            stage("few", None, StageSize::Count(2)),
            stage("half", None, StageSize::Percent(50)),
        ]);
        let few = StageMemory {
            nodes: vec!["b".into()],
            ..opened("few", false)
        };
        let half = StageMemory {
            hash_limit: Some(10),
            ..opened("half", false)
        };
        let staging = Staging::new(Some(spec), &memory(vec![opened("canary", true), few, half]));
        for (name, pool, hash, expected) in [
            ("a", "canary", 99, 0),
            ("b", "canary", 99, 0),
            ("b", "other", 99, 1),
            ("a", "other", 9, 2),
            ("a", "other", 10, 3),
        ] {
            let (name, labels) = (Text::from(name), labels(pool));
            let node = StagedNode {
                name: &name,
                labels: &labels,
                hash,
            };
            assert_eq!(staging.stage_of(node), expected, "{name} {pool} {hash}");
        }
    }

    #[test]
    fn node_that_an_earlier_stage_picked_and_lost_is_in_the_stage_that_picked_it_later() {
        let spec = spec(vec![
            stage("first", Some("canary"), StageSize::Count(1)),
            stage("second", None, StageSize::Count(1)),
        ]);
        let picks = |name: &str| StageMemory {
            nodes: vec!["a".into()],
            ..opened(name, true)
        };
        let staging = Staging::new(Some(spec), &memory(vec![picks("first"), picks("second")]));
        let name = Text::from("a");
        for (pool, expected) in [("canary", 0), ("other", 1)] {
            let labels = labels(pool);
            let node = StagedNode {
                name: &name,
                labels: &labels,
                hash: 0,
            };
            assert_eq!(staging.stage_of(node), expected, "{pool}");
        }
    }

    #[test]
    fn stage_is_open_only_if_all_stages_before_it_are_done() {
        let stages = || vec![stage("a", None, StageSize::All), stage("b", None, StageSize::All)];
        let open = |memory: &Memory, stages: Vec<Stage>| {
            let staging = Staging::new(Some(spec(stages)), memory);
            (0..=2).map(|stage| staging.is_open(stage)).collect::<Vec<_>>()
        };
        assert_eq!(open(&memory(vec![]), stages()), [false, false, false]);
        assert_eq!(
            open(&memory(vec![opened("a", false)]), stages()),
            [true, false, false]
        );
        let second = memory(vec![opened("a", true), opened("b", false)]);
        assert_eq!(open(&second, stages()), [true, true, false]);
        let all = memory(vec![opened("a", true), opened("b", true), opened("", true)]);
        assert_eq!(open(&all, stages()), [true, true, true]);
        // A new first stage has to open before the others go on.
        let mut edited = stages();
        edited.insert(0, stage("new", None, StageSize::All));
        assert_eq!(open(&second, edited), [false, false, false]);
    }

    #[test]
    fn without_a_policy_the_released_nodes_stay_released() {
        let few = StageMemory {
            nodes: vec!["a".into()],
            ..opened("few", true)
        };
        let half = StageMemory {
            hash_limit: Some(10),
            ..opened("half", false)
        };
        let staging = Staging::new(None, &memory(vec![few, half]));
        let labels = labels("any");
        for (name, hash, expected) in [("a", 99, true), ("b", 9, true), ("b", 10, false)] {
            let name = Text::from(name);
            let node = StagedNode {
                name: &name,
                labels: &labels,
                hash,
            };
            assert_eq!(
                staging.is_released(node, staging.stage_of(node)),
                expected,
                "{name} {hash}"
            );
        }
    }

    proptest! {
        #[test]
        fn hashes_spread_nodes_evenly(uid in "[a-f0-9]{8}", percent in 5_u32..95) {
            let limit = expected_limit(StageSize::Percent(percent));
            let below = (0..2_000).filter(|number| hash(&uid, &format!("ip-10-0-0-{number}")) < limit).count();
            let expected = percent as usize * 20;
            prop_assert!(below.abs_diff(expected) < 120, "{below} of 2000 are below {percent} %");
        }
    }

    #[test]
    fn hash_stays_the_same_in_every_version() {
        assert_ne!(hash("a", "bc"), hash("ab", "c"));
        assert_eq!(hash("uid", "node-1"), hash("uid", "node-1"));
    }
}
