//! Converts rollout policies and the labels of namespaces from the wire.

use std::sync::Arc;

use everynode_proto::planner::v1 as wire;

use super::{
    super::from_wire::{FieldError, check_length, labels, millis, required},
    at_most,
};
use crate::{
    intern::Interner,
    model::{
        Budget, LabelKey, Text,
        rollout::{
            Knowledge, LabelCondition, LabelRequirement, LabelSelector, MAX_PICKED, MAX_STAGES, Order,
            Policy, PolicySpec, Stage, StageSize, Targets,
        },
    },
};

/// The most names of `DaemonSet`s in one policy.
const MAX_TARGETS: usize = 16;
/// The name of the stage that a partition becomes.
const PARTITION: &str = "partition";

/// Converts a policy. A mistake in the spec doesn't lose the policy, because it holds the rollouts that it applies to.
///
/// # Errors
/// The uid or the name is empty or too long, or its targets can't be read.
pub fn policy(facts: &wire::RolloutPolicyFacts, strings: &mut Interner) -> Result<Policy, FieldError> {
    let namespace = check_length("namespace", &facts.namespace)?;
    let targets = if facts.target_names.is_empty() {
        let selector =
            |field: &str, selector: Option<&wire::LabelSelector>, strings: &mut Interner| match selector {
                Some(selector) => label_selector(field, selector, strings),
                None => Ok(LabelSelector::default()),
            };
        Targets::Labels {
            namespaces: selector("namespace_selector", facts.namespace_selector.as_ref(), strings)?,
            daemon_sets: selector("selector", facts.selector.as_ref(), strings)?,
        }
    } else {
        at_most("target_names", facts.target_names.len(), MAX_TARGETS)?;
        let names = facts.target_names.iter();
        let names = names.map(|name| Ok(strings.text(required("target_names", name)?)));
        Targets::Names(names.collect::<Result<_, FieldError>>()?)
    };
    let spec = match &facts.spec {
        Some(spec) => policy_spec(spec, strings)
            .map(Arc::new)
            .map_err(|error| Text::from(error.to_string())),
        None => Err(Text::from(facts.error.as_str())),
    };
    Ok(Policy {
        uid: strings.text(required("uid", &facts.uid)?),
        namespace: (!namespace.is_empty()).then(|| strings.text(namespace)),
        name: strings.text(required("name", &facts.name)?),
        created: facts.created.map(millis).unwrap_or_default(),
        generation: facts.generation,
        targets,
        spec,
    })
}

pub(in crate::convert) fn policy_spec(
    spec: &wire::RolloutPolicySpec,
    strings: &mut Interner,
) -> Result<PolicySpec, FieldError> {
    at_most("stages", spec.stages.len(), MAX_STAGES)?;
    let mut stages: Vec<Stage> = Vec::with_capacity(spec.stages.len());
    for (index, found) in spec.stages.iter().enumerate() {
        let found = stage(found, strings).map_err(|error| error.within(&format!("stages[{index}]")))?;
        if stages.iter().any(|other| other.name == found.name) {
            let message = format!("must be unique, but another stage is called {} too", found.name);
            return Err(FieldError::new(format!("stages[{index}].name"), message));
        }
        stages.push(found);
    }
    if let Some(partition) = spec.partition {
        if !stages.is_empty() {
            return Err(FieldError::new(
                "partition",
                "must not be set together with stages",
            ));
        }
        stages.extend(budget("partition", Some(partition))?.map(|kept| Stage {
            name: PARTITION.into(),
            node_selector: LabelSelector::default(),
            size: StageSize::AllBut(kept),
            topology_key: None,
            soak_millis: 0,
            is_manual: true,
            max_unavailable: None,
        }));
    }
    let order = match &spec.order {
        Some(order) => Some(Order {
            topology_key: LabelKey::new(strings.text(required("order.topology_key", &order.topology_key)?)),
            max_unavailable: budget(
                "order.max_unavailable_per_domain",
                order.max_unavailable_per_domain,
            )?,
        }),
        None => None,
    };
    Ok(PolicySpec {
        paused: spec.paused,
        max_unavailable: budget("max_unavailable", spec.max_unavailable)?,
        allows_unhealthy: spec.unhealthy_pod_policy() == wire::UnhealthyPodPolicy::AlwaysAllow,
        unreleased_get_update: spec.unreleased_nodes() == wire::UnreleasedNodes::Update,
        stages,
        order,
    })
}

fn stage(stage: &wire::RolloutStage, strings: &mut Interner) -> Result<Stage, FieldError> {
    let size = match budget("nodes", stage.nodes)? {
        None => StageSize::All,
        Some(Budget::Percent(percent)) => StageSize::Percent(u32::try_from(percent).unwrap_or(0)),
        Some(Budget::Count(count)) => {
            let count = usize::try_from(count).unwrap_or(0);
            if !(1..=MAX_PICKED).contains(&count) {
                let message = format!("must be from 1 to {MAX_PICKED}, or a percentage; found {count}");
                return Err(FieldError::new("nodes", message));
            }
            StageSize::Count(count)
        }
    };
    let node_selector = match &stage.node_selector {
        Some(selector) => label_selector("node_selector", selector, strings)?,
        None => LabelSelector::default(),
    };
    let topology_key = check_length("topology_key", &stage.topology_key)?;
    let soak = stage.soak.unwrap_or_default();
    let soak_millis = soak
        .seconds
        .saturating_mul(1_000)
        .saturating_add(i64::from(soak.nanos) / 1_000_000);
    if soak_millis < 0 {
        return Err(FieldError::new("soak", "must not be negative"));
    }
    Ok(Stage {
        name: strings.text(required("name", &stage.name)?),
        node_selector,
        size,
        topology_key: (!topology_key.is_empty()).then(|| LabelKey::new(strings.text(topology_key))),
        soak_millis,
        is_manual: stage.promotion() == wire::Promotion::Manual,
        max_unavailable: budget("max_unavailable", stage.max_unavailable)?,
    })
}

fn label_selector(
    field: &str,
    selector: &wire::LabelSelector,
    strings: &mut Interner,
) -> Result<LabelSelector, FieldError> {
    let mut requirements = Vec::new();
    for (key, value) in &selector.match_labels {
        requirements.push(LabelRequirement {
            key: LabelKey::new(strings.text(key)),
            condition: LabelCondition::In(vec![strings.text(value)]),
        });
    }
    for (index, expression) in selector.match_expressions.iter().enumerate() {
        let values = expression
            .values
            .iter()
            .map(|value| strings.text(value))
            .collect();
        let condition = match expression.operator.as_str() {
            "In" => LabelCondition::In(values),
            "NotIn" => LabelCondition::NotIn(values),
            "Exists" => LabelCondition::Exists,
            "DoesNotExist" => LabelCondition::DoesNotExist,
            other => {
                let message = format!("must be In, NotIn, Exists or DoesNotExist, found {other:?}");
                return Err(FieldError::new(
                    format!("{field}.match_expressions[{index}].operator"),
                    message,
                ));
            }
        };
        requirements.push(LabelRequirement {
            key: LabelKey::new(strings.text(&expression.key)),
            condition,
        });
    }
    Ok(LabelSelector { requirements })
}

fn budget(field: &str, budget: Option<wire::IntOrPercent>) -> Result<Option<Budget>, FieldError> {
    use wire::int_or_percent::Value;
    let budget = match budget.and_then(|budget| budget.value) {
        None => return Ok(None),
        Some(Value::Count(count)) => Budget::Count(count),
        Some(Value::Percent(percent)) => Budget::Percent(percent),
    };
    match budget {
        Budget::Count(..0) | Budget::Percent(..0) => Err(FieldError::new(field, "must not be negative")),
        Budget::Percent(101..) => Err(FieldError::new(field, "must not be more than 100%")),
        _ => Ok(Some(budget)),
    }
}

/// Converts whether the policies are known.
pub fn knowledge(knowledge: wire::RolloutPolicyKnowledge) -> Knowledge {
    match knowledge {
        wire::RolloutPolicyKnowledge::Known => Knowledge::Known,
        wire::RolloutPolicyKnowledge::Absent => Knowledge::Absent,
        // A value of a later version is no reason to replace anything.
        wire::RolloutPolicyKnowledge::Unknown | wire::RolloutPolicyKnowledge::Unspecified => {
            Knowledge::Unknown
        }
    }
}

/// Converts a namespace. Returns its name and its labels.
///
/// # Errors
/// The name is empty or too long.
pub fn namespace(
    facts: &wire::NamespaceFacts,
    strings: &mut Interner,
) -> Result<(Text, crate::model::Labels), FieldError> {
    let name = strings.text(required("name", &facts.name)?);
    Ok((name, labels(&facts.labels, strings)))
}
