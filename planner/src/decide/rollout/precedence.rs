//! Which policy applies to a `DaemonSet` (T4). Policies are never merged.

use crate::model::{
    Labels, Strategy, Text,
    rollout::{Policy, Targets},
};

/// A `DaemonSet`, as policies select it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'d> {
    /// metadata.namespace.
    pub(crate) namespace: &'d Text,
    /// The labels of the namespace. `None` if they aren't known.
    pub(crate) namespace_labels: Option<&'d Labels>,
    /// metadata.name.
    pub(crate) name: &'d Text,
    /// metadata.labels.
    pub(crate) labels: &'d Labels,
    /// spec.updateStrategy.
    pub(crate) strategy: Strategy,
    /// Who else drives its rollouts. Empty if nobody does.
    pub(crate) managed_by: &'d Text,
}

/// Whether a policy applies to a `DaemonSet` that it names or selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// It does.
    Accepted,
    /// Another policy applies: the one with this name.
    Conflicted(Text),
    /// The strategy is `OnDelete`, and the policy doesn't name the `DaemonSet`. Selecting it is not enough, because its
    /// owner has asked that nothing be replaced.
    OnDelete,
    /// Somebody else drives its rollouts.
    ManagedByOther(Text),
    /// There is no such `DaemonSet`.
    NotFound,
}

impl Acceptance {
    /// The reason in one word, and as a sentence.
    pub fn describe(&self) -> (&'static str, String) {
        match self {
            Self::Accepted => ("Accepted", "the policy applies to the DaemonSet".to_owned()),
            Self::Conflicted(other) => (
                "Conflicted",
                format!("the policy {other} applies to the DaemonSet instead; policies aren't merged"),
            ),
            Self::OnDelete => (
                "OnDelete",
                "the DaemonSet's update strategy is OnDelete; name it in targetRefs to roll it out"
                    .to_owned(),
            ),
            Self::ManagedByOther(owner) => (
                "ManagedByOther",
                format!("{owner} drives the rollouts of the DaemonSet"),
            ),
            Self::NotFound => (
                "TargetNotFound",
                "there is no DaemonSet of this name in the namespace".to_owned(),
            ),
        }
    }
}

/// How a policy selects a `DaemonSet`. The first level on which a policy selects it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Name,
    Selector,
    Cluster,
}

/// Returns the position of the policy that applies to a `DaemonSet`, and what holds for each policy that names or selects
/// it. On the same level, the oldest policy applies, then the one with the first name, as in GEP-713 of the Gateway API.
pub(crate) fn resolve(
    candidate: &Candidate<'_>,
    policies: &[&Policy],
) -> (Option<usize>, Vec<(usize, Acceptance)>) {
    let reached = policies.iter().enumerate();
    let reached: Vec<_> = reached
        .filter_map(|(position, policy)| Some((level(candidate, policy)?, position, *policy)))
        .collect();
    if !candidate.managed_by.is_empty() {
        let refused = |(_, position, _): &(Level, usize, &Policy)| {
            (
                *position,
                Acceptance::ManagedByOther(candidate.managed_by.clone()),
            )
        };
        return (None, reached.iter().map(refused).collect());
    }
    let may_apply = |level: Level| level == Level::Name || candidate.strategy != Strategy::OnDelete;
    let applying = reached
        .iter()
        .filter(|(level, _, _)| may_apply(*level))
        .min_by_key(|(level, _, policy)| (*level, policy.created, &policy.namespace, &policy.name));
    let acceptance = |(level, position, _): &(Level, usize, &Policy)| {
        let acceptance = match applying {
            _ if !may_apply(*level) => Acceptance::OnDelete,
            Some((_, winner, policy)) if winner != position => Acceptance::Conflicted(policy.name.clone()),
            _ => Acceptance::Accepted,
        };
        (*position, acceptance)
    };
    (
        applying.map(|(_, position, _)| *position),
        reached.iter().map(acceptance).collect(),
    )
}

/// How the policy selects the `DaemonSet`. `None` if it doesn't.
fn level(candidate: &Candidate<'_>, policy: &Policy) -> Option<Level> {
    if let Some(namespace) = &policy.namespace
        && namespace != candidate.namespace
    {
        return None;
    }
    match &policy.targets {
        Targets::Names(names) => names.contains(candidate.name).then_some(Level::Name),
        Targets::Labels {
            namespaces,
            daemon_sets,
        } => {
            let is_selected = daemon_sets.selects(candidate.labels);
            if policy.namespace.is_some() {
                return is_selected.then_some(Level::Selector);
            }
            // The labels of the namespace may arrive later. Until then, only a selector of everything selects it.
            let selects_namespace = match candidate.namespace_labels {
                Some(labels) => namespaces.selects(labels),
                None => namespaces.requirements.is_empty(),
            };
            (is_selected && selects_namespace).then_some(Level::Cluster)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        Budget, LabelKey, Millis,
        rollout::{LabelCondition, LabelRequirement, LabelSelector, PolicySpec},
    };

    fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
        let requirement = |(key, value): &(&str, &str)| LabelRequirement {
            key: LabelKey::new((*key).into()),
            condition: LabelCondition::In(vec![(*value).into()]),
        };
        LabelSelector {
            requirements: pairs.iter().map(requirement).collect(),
        }
    }

    fn policy(name: &str, namespace: Option<&str>, created: i64, targets: Targets) -> Policy {
        Policy {
            uid: name.into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
            created: Millis(created),
            generation: 1,
            targets,
            spec: Ok(Arc::new(PolicySpec::default())),
        }
    }

    fn by_labels(pairs: &[(&str, &str)]) -> Targets {
        Targets::Labels {
            namespaces: selector(&[]),
            daemon_sets: selector(pairs),
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    }

    const ROLLING: Strategy = Strategy::RollingUpdate {
        max_unavailable: Budget::Count(1),
        max_surge: Budget::Count(0),
    };

    fn resolved(
        strategy: Strategy,
        managed_by: &str,
        policies: &[Policy],
    ) -> (Option<String>, Vec<Acceptance>) {
        let policies: Vec<_> = policies.iter().collect();
        let (labels, namespace_labels) = (labels(&[("app", "agent")]), labels(&[("team", "infra")]));
        let candidate = Candidate {
            namespace: &"sys".into(),
            namespace_labels: Some(&namespace_labels),
            name: &"agent".into(),
            labels: &labels,
            strategy,
            managed_by: &managed_by.into(),
        };
        let (winner, found) = resolve(&candidate, &policies);
        (
            winner.map(|position| policies[position].name.to_string()),
            found.into_iter().map(|(_, acceptance)| acceptance).collect(),
        )
    }

    #[test]
    fn name_precedes_selector_and_selector_precedes_cluster() {
        let named = policy("named", Some("sys"), 9, Targets::Names(vec!["agent".into()]));
        let selecting = policy("selecting", Some("sys"), 2, by_labels(&[("app", "agent")]));
        let cluster = policy("cluster", None, 1, by_labels(&[]));
        let conflicted = |name: &str| Acceptance::Conflicted(name.into());
        assert_eq!(
            resolved(ROLLING, "", &[cluster.clone(), selecting.clone(), named]),
            (
                Some("named".to_owned()),
                vec![conflicted("named"), conflicted("named"), Acceptance::Accepted]
            )
        );
        assert_eq!(
            resolved(ROLLING, "", &[cluster, selecting]),
            (
                Some("selecting".to_owned()),
                vec![conflicted("selecting"), Acceptance::Accepted]
            )
        );
    }

    #[test]
    fn on_the_same_level_the_oldest_policy_applies_then_the_first_name() {
        let policies = [("b", 1), ("a", 1), ("c", 0)]
            .map(|(name, created)| policy(name, Some("sys"), created, by_labels(&[])));
        assert_eq!(resolved(ROLLING, "", &policies).0.as_deref(), Some("c"));
        assert_eq!(resolved(ROLLING, "", &policies[..2]).0.as_deref(), Some("a"));
    }

    #[test]
    fn policies_of_other_namespaces_and_for_other_labels_do_not_reach() {
        let elsewhere = policy(
            "elsewhere",
            Some("other"),
            0,
            Targets::Names(vec!["agent".into()]),
        );
        let other_labels = policy("labels", Some("sys"), 0, by_labels(&[("app", "other")]));
        let other_namespaces = policy(
            "namespaces",
            None,
            0,
            Targets::Labels {
                namespaces: selector(&[("team", "other")]),
                daemon_sets: selector(&[]),
            },
        );
        assert_eq!(
            resolved(ROLLING, "", &[elsewhere, other_labels, other_namespaces]),
            (None, vec![])
        );
    }

    #[test]
    fn t4_on_delete_is_rolled_only_by_a_policy_that_names_it() {
        let named = policy("named", Some("sys"), 9, Targets::Names(vec!["agent".into()]));
        let cluster = policy("cluster", None, 1, by_labels(&[]));
        assert_eq!(
            resolved(Strategy::OnDelete, "", std::slice::from_ref(&cluster)),
            (None, vec![Acceptance::OnDelete])
        );
        assert_eq!(
            resolved(Strategy::OnDelete, "", &[cluster, named]),
            (
                Some("named".to_owned()),
                vec![Acceptance::OnDelete, Acceptance::Accepted]
            )
        );
    }

    #[test]
    fn t4_daemon_set_that_somebody_else_rolls_is_left_alone() {
        let named = policy("named", Some("sys"), 9, Targets::Names(vec!["agent".into()]));
        assert_eq!(
            resolved(ROLLING, "rollouts.kruise.io", &[named]),
            (
                None,
                vec![Acceptance::ManagedByOther("rollouts.kruise.io".into())]
            )
        );
    }
}
