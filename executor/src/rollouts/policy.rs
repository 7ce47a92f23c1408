//! Converts policies to facts.

use everynode_proto::{
    facts::{Selector, object},
    planner::v1::{
        IntOrPercent, LabelSelector as WireSelector, NodeSelectorRequirement, Promotion as WirePromotion,
        RolloutOrder, RolloutPolicyFacts, RolloutPolicySpec, RolloutStage,
        UnhealthyPodPolicy as WireUnhealthyPodPolicy, UnreleasedNodes as WireUnreleasedNodes, int_or_percent,
    },
};
use k8s_openapi::apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString};
use kube::core::Duration;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kinds::{
    ClusterDaemonSetRolloutPolicySpec, DaemonSetRolloutPolicySpec, Promotion, RolloutSpec, Stage, TargetRef,
    UnhealthyPodPolicy, UnreleasedNodes,
};
use crate::apiserver::objects::PolicyObject;

/// Converts a policy. A policy that can't be read still names its targets, if they can be read, and says what is wrong.
pub(crate) fn facts(policy: &PolicyObject, is_of_cluster: bool) -> RolloutPolicyFacts {
    let metadata = &policy.metadata;
    let raw = policy.spec.as_ref().map_or("null", |raw| raw.get());
    let mut facts = RolloutPolicyFacts {
        uid: metadata.uid.clone(),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        created: metadata
            .creation_timestamp
            .map(everynode_proto::facts::wire::timestamp),
        generation: metadata.generation,
        ..RolloutPolicyFacts::default()
    };
    let read = if is_of_cluster {
        read_of_cluster(raw, &mut facts)
    } else {
        read_namespaced(raw, &mut facts)
    };
    match read {
        Ok(spec) => facts.spec = Some(spec),
        Err(error) => {
            facts.error = error;
            read_targets(raw, is_of_cluster, &mut facts);
        }
    }
    facts
}

fn read_namespaced(raw: &str, facts: &mut RolloutPolicyFacts) -> Result<RolloutPolicySpec, String> {
    let spec: DaemonSetRolloutPolicySpec = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    let names = spec.target_refs.unwrap_or_default();
    facts.target_names = names.into_iter().map(|target| target.name).collect();
    facts.selector = spec.selector.as_ref().map(selector);
    if facts.target_names.is_empty() == facts.selector.is_none() {
        return Err("exactly one of targetRefs and selector must be set".to_owned());
    }
    rollout_spec(&spec.rollout)
}

fn read_of_cluster(raw: &str, facts: &mut RolloutPolicyFacts) -> Result<RolloutPolicySpec, String> {
    let spec: ClusterDaemonSetRolloutPolicySpec =
        serde_json::from_str(raw).map_err(|error| error.to_string())?;
    facts.selector = spec.selector.as_ref().map(selector);
    facts.namespace_selector = spec.namespace_selector.as_ref().map(selector);
    rollout_spec(&spec.rollout)
}

/// Reads the targets of a policy whose spec can't be read as a whole. A policy whose targets can't be read selects nothing:
/// it must not hold other `DaemonSet`s.
fn read_targets(raw: &str, is_of_cluster: bool, facts: &mut RolloutPolicyFacts) {
    fn field<T: DeserializeOwned>(spec: &Value, name: &str) -> Option<Result<T, ()>> {
        let value = spec.get(name).filter(|value| !value.is_null())?;
        Some(serde_json::from_value(value.clone()).map_err(|_| ()))
    }
    let spec: Value = serde_json::from_str(raw).unwrap_or_default();
    let names = field::<Vec<TargetRef>>(&spec, "targetRefs").filter(|_| !is_of_cluster);
    let daemon_sets = field::<LabelSelector>(&spec, "selector");
    let namespaces = field::<LabelSelector>(&spec, "namespaceSelector").filter(|_| is_of_cluster);
    let has_targets = is_of_cluster || names.is_some() || daemon_sets.is_some();
    let is_unreadable = matches!(names, Some(Err(())))
        || matches!(daemon_sets, Some(Err(())))
        || matches!(namespaces, Some(Err(())));
    if !spec.is_object() || !has_targets || is_unreadable {
        facts.target_names.clear();
        facts.namespace_selector = None;
        facts.selector = Some(nothing());
        return;
    }
    if let Some(Ok(names)) = names {
        facts.target_names = names.into_iter().map(|target| target.name).collect();
    }
    facts.selector = daemon_sets.and_then(Result::ok).as_ref().map(selector);
    facts.namespace_selector = namespaces.and_then(Result::ok).as_ref().map(selector);
    if facts.target_names.is_empty() && facts.selector.is_none() && !is_of_cluster {
        facts.selector = Some(nothing());
    }
}

/// A selector that selects nothing.
fn nothing() -> WireSelector {
    let [exists, missing] = ["Exists", "DoesNotExist"].map(|operator| NodeSelectorRequirement {
        key: "everynode.io/unreadable".to_owned(),
        operator: operator.to_owned(),
        values: Vec::new(),
    });
    WireSelector {
        match_expressions: vec![exists, missing],
        ..WireSelector::default()
    }
}

fn rollout_spec(spec: &RolloutSpec) -> Result<RolloutPolicySpec, String> {
    let mut stages = Vec::new();
    for (index, found) in spec.stages.iter().flatten().enumerate() {
        stages.push(stage(found).map_err(|error| format!("spec.stages[{index}].{error}"))?);
    }
    let in_spec = |error: String| format!("spec.{error}");
    let order = match &spec.order {
        Some(order) => Some(RolloutOrder {
            topology_key: order.topology_key.clone(),
            max_unavailable_per_domain: budget(
                "order.maxUnavailablePerDomain",
                order.max_unavailable_per_domain.as_ref(),
            )
            .map_err(in_spec)?,
        }),
        None => None,
    };
    Ok(RolloutPolicySpec {
        paused: spec.paused,
        max_unavailable: budget("maxUnavailable", spec.max_unavailable.as_ref()).map_err(in_spec)?,
        unhealthy_pod_policy: match spec.unhealthy_pod_policy {
            UnhealthyPodPolicy::IfHealthyBudget => WireUnhealthyPodPolicy::IfHealthyBudget,
            UnhealthyPodPolicy::AlwaysAllow => WireUnhealthyPodPolicy::AlwaysAllow,
        }
        .into(),
        unreleased_nodes: match spec.unreleased_nodes {
            UnreleasedNodes::Current => WireUnreleasedNodes::Current,
            UnreleasedNodes::Update => WireUnreleasedNodes::Update,
        }
        .into(),
        stages,
        partition: budget("partition", spec.partition.as_ref()).map_err(in_spec)?,
        order,
    })
}

fn stage(stage: &Stage) -> Result<RolloutStage, String> {
    let soak = match &stage.soak {
        Some(text) => Some(soak(text)?),
        None => None,
    };
    Ok(RolloutStage {
        name: stage.name.clone(),
        node_selector: stage.node_selector.as_ref().map(selector),
        nodes: budget("nodes", stage.nodes.as_ref())?,
        topology_key: stage.topology_key.clone().unwrap_or_default(),
        soak,
        promotion: match stage.promotion {
            Promotion::Automatic => WirePromotion::Automatic,
            Promotion::Manual => WirePromotion::Manual,
        }
        .into(),
        max_unavailable: budget("maxUnavailable", stage.max_unavailable.as_ref())?,
    })
}

/// Reads a duration such as 10m or 1h30m.
fn soak(text: &str) -> Result<prost_types::Duration, String> {
    let error = || format!("soak: {text:?} is not a duration such as \"10m\" or \"1h30m\"");
    let duration: Duration = text.parse().map_err(|_| error())?;
    if duration.is_negative() {
        return Err(error());
    }
    let duration = std::time::Duration::from(duration);
    Ok(prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).map_err(|_| error())?,
        nanos: i32::try_from(duration.subsec_nanos()).map_err(|_| error())?,
    })
}

fn budget(field: &str, value: Option<&IntOrString>) -> Result<Option<IntOrPercent>, String> {
    let value = match value {
        None => return Ok(None),
        Some(IntOrString::Int(count)) => int_or_percent::Value::Count(*count),
        Some(IntOrString::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
            let error = || format!("{field}: {text:?} is neither a number nor a percentage such as \"10%\"");
            int_or_percent::Value::Percent(percent.ok_or_else(error)?)
        }
    };
    Ok(Some(IntOrPercent { value: Some(value) }))
}

fn selector(selector: &LabelSelector) -> WireSelector {
    let expressions = selector.match_expressions.iter().flatten();
    WireSelector {
        match_labels: selector
            .match_labels
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect(),
        match_expressions: expressions
            .map(|expression| NodeSelectorRequirement {
                key: expression.key.clone(),
                operator: expression.operator.clone(),
                values: expression.values.clone().unwrap_or_default(),
            })
            .collect(),
    }
}

/// Whether a policy names or selects a `DaemonSet`, whatever other policies do. `namespace_labels` are those of the
/// `DaemonSet`'s namespace.
pub(crate) fn selects(
    policy: &RolloutPolicyFacts,
    namespace: &str,
    name: &str,
    labels: &object::StringMap,
    namespace_labels: &object::StringMap,
) -> bool {
    let is_of_cluster = policy.namespace.is_empty();
    if !is_of_cluster && policy.namespace != namespace {
        return false;
    }
    if !policy.target_names.is_empty() {
        return policy.target_names.iter().any(|target| target == name);
    }
    matches(policy.selector.as_ref(), labels)
        && (!is_of_cluster || matches(policy.namespace_selector.as_ref(), namespace_labels))
}

/// Whether a selector selects something with these labels. An absent one does; an invalid one doesn't.
fn matches(selector: Option<&WireSelector>, labels: &object::StringMap) -> bool {
    let Some(selector) = selector else { return true };
    let requirement = |requirement: &NodeSelectorRequirement| object::Requirement {
        key: requirement.key.clone(),
        operator: requirement.operator.clone(),
        values: requirement.values.clone(),
    };
    let selector = object::LabelSelector {
        match_labels: selector.match_labels.clone().into_iter().collect(),
        match_expressions: selector.match_expressions.iter().map(requirement).collect(),
    };
    Selector::new(&selector).is_ok_and(|selector| selector.matches(labels))
}

#[cfg(test)]
mod tests;
