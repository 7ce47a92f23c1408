//! Finds probable mistakes in a policy. Warnings stop no rollout.

use crate::model::{
    Text,
    rollout::{LabelSelector, PolicySpec, Stage, StageSize},
};

/// A shorter soak protects little. A node that dies is `NotReady` only after 50 s.
const SHORT_SOAK_MILLIS: i64 = 120_000;

/// The kind of a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningKind {
    /// The soak is so short that it may end before a dead node is noticed.
    ShortSoak,
    /// A domain has a single node.
    SingleNodeDomain,
    /// The stage takes no node.
    EmptyStage,
    /// Every node that the stage could take is in an earlier stage.
    StagesOverlap,
    /// The `DaemonSet` has a maxSurge and a host port.
    SurgeWithHostPort,
}

/// A warning about a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its kind.
    pub kind: WarningKind,
    /// The stage. Empty if the warning isn't about one.
    pub stage: Text,
    /// The warning with its remedy, as a sentence.
    pub message: String,
}

/// Returns the warnings that follow from the policy alone, without the nodes.
pub(crate) fn of_spec(spec: &PolicySpec) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (index, stage) in spec.stages.iter().enumerate() {
        warnings.extend(short_soak(stage));
        let mut earlier = spec.stages.iter().take(index);
        if let Some(earlier) = earlier.find(|earlier| covers(earlier, stage)) {
            let name = &stage.name;
            warnings.push(Warning {
                kind: WarningKind::StagesOverlap,
                stage: name.clone(),
                message: format!(
                    "stage {name} takes no node: stage {} already has all nodes that it could take; remove it, or let \
                     it take more",
                    earlier.name
                ),
            });
        }
    }
    warnings
}

/// The warning about a stage whose nodeSelector selects no node of the cluster.
pub(crate) fn empty_stage(name: &Text) -> Warning {
    Warning {
        kind: WarningKind::EmptyStage,
        stage: name.clone(),
        message: format!(
            "stage {name} takes no node: its nodeSelector selects no node of the cluster, so rollouts wait there for a \
             promotion; correct the selector, or label nodes"
        ),
    }
}

/// A stage that people promote may be watched for longer than it soaks, and a partition never ends.
fn short_soak(stage: &Stage) -> Option<Warning> {
    if stage.is_manual || stage.soak_millis >= SHORT_SOAK_MILLIS {
        return None;
    }
    let soak = match stage.soak_millis {
        ..=0 => "doesn't soak".to_owned(),
        millis => format!("soaks for {} s", millis.div_euclid(1_000)),
    };
    let name = &stage.name;
    Some(Warning {
        kind: WarningKind::ShortSoak,
        stage: name.clone(),
        message: format!(
            "stage {name} {soak}, which protects little: a node that dies becomes NotReady only after 50 s; let it \
             soak for at least 2m, or set promotion to Manual"
        ),
    })
}

/// Whether a stage has every node that a later one could take.
fn covers(earlier: &Stage, later: &Stage) -> bool {
    match (earlier.size, later.size) {
        (StageSize::All | StageSize::Percent(100), _) => {
            is_part(&earlier.node_selector, &later.node_selector)
        }
        // Percentages are cumulative.
        (StageSize::Percent(earlier_percent), StageSize::Percent(percent)) => {
            let selectors = [&earlier.node_selector, &later.node_selector];
            percent <= earlier_percent && selectors.iter().all(|selector| selector.requirements.is_empty())
        }
        _ => false,
    }
}

/// Whether every node that `narrow` selects is one that `wide` selects, as far as their requirements show it.
fn is_part(wide: &LabelSelector, narrow: &LabelSelector) -> bool {
    wide.requirements
        .iter()
        .all(|requirement| narrow.requirements.contains(requirement))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        LabelKey,
        rollout::{LabelCondition, LabelRequirement},
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
            soak_millis: SHORT_SOAK_MILLIS,
            is_manual: false,
            max_unavailable: None,
        }
    }

    fn found(stages: Vec<Stage>) -> Vec<(WarningKind, String)> {
        let spec = PolicySpec {
            stages,
            ..PolicySpec::default()
        };
        let warnings = of_spec(&spec).into_iter();
        warnings
            .map(|warning| (warning.kind, warning.stage.to_string()))
            .collect()
    }

    #[test]
    fn stage_that_earlier_stages_cover_is_found() {
        let overlap = |name: &str| vec![(WarningKind::StagesOverlap, name.to_owned())];
        for (stages, expected) in [
            (
                vec![
                    stage("a", None, StageSize::All),
                    stage("b", Some("x"), StageSize::Count(2)),
                ],
                overlap("b"),
            ),
            (
                vec![
                    stage("a", Some("x"), StageSize::All),
                    stage("b", Some("x"), StageSize::All),
                ],
                overlap("b"),
            ),
            (
                vec![
                    stage("a", Some("x"), StageSize::All),
                    stage("b", Some("y"), StageSize::All),
                ],
                Vec::new(),
            ),
            (
                vec![
                    stage("a", None, StageSize::Percent(50)),
                    stage("b", None, StageSize::Percent(10)),
                ],
                overlap("b"),
            ),
            (
                vec![
                    stage("a", None, StageSize::Percent(10)),
                    stage("b", None, StageSize::Percent(50)),
                ],
                Vec::new(),
            ),
        ] {
            assert_eq!(found(stages), expected);
        }
    }

    #[test]
    fn short_soak_is_found_unless_people_promote_the_stage() {
        let mut short = stage("a", None, StageSize::Count(1));
        short.soak_millis = SHORT_SOAK_MILLIS - 1;
        assert_eq!(
            found(vec![short.clone()]),
            [(WarningKind::ShortSoak, "a".to_owned())]
        );
        short.is_manual = true;
        assert!(found(vec![short]).is_empty());
    }
}
