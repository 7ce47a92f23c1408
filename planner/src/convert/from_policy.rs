//! Converts rollout policies, as Kubernetes objects, to the model. Sessions get policies as facts from the executor.

use everynode_proto::{
    facts::{
        object::{
            self,
            policy::{RolloutOrder, RolloutPolicy, RolloutPolicySpec, RolloutStage},
        },
        wire::timestamp,
    },
    planner::v1 as wire,
};

use super::{FieldError, rollout};
use crate::{
    decide::validation::{self, NameKind},
    intern::Interner,
    model::rollout::Policy,
};

/// Nanoseconds of the units of a duration.
const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a policy. `namespace` is that of a `DaemonSetRolloutPolicy`, and `None` for a policy of the cluster. A policy that
/// was never in a cluster has no uid, so the caller provides one.
///
/// # Errors
/// A field has a value that the schema of the kind refuses. The path is that in the object.
pub fn rollout_policy(
    policy: &RolloutPolicy,
    namespace: Option<&str>,
    uid: &str,
    strings: &mut Interner,
) -> Result<Policy, FieldError> {
    let spec = &policy.spec;
    let is_named = spec.target_refs.is_some();
    if namespace.is_some() && is_named == spec.selector.is_some() {
        return Err(FieldError::new(
            "spec",
            "must have exactly one of targetRefs and selector",
        ));
    }
    if namespace.is_none() && is_named {
        return Err(FieldError::new(
            "spec.targetRefs",
            "must not be set in a ClusterDaemonSetRolloutPolicy; use selector",
        ));
    }
    let target_names = spec.target_refs.iter().flatten();
    let target_names: Vec<_> = target_names.map(|target| target.name.clone()).collect();
    if is_named && target_names.is_empty() {
        return Err(FieldError::new("spec.targetRefs", "must not be empty"));
    }
    let rollout_spec = rollout_spec(spec).map_err(|error| error.within("spec"))?;
    rollout::policy_spec(&rollout_spec, strings).map_err(in_object)?;
    let facts = wire::RolloutPolicyFacts {
        uid: uid.to_owned(),
        namespace: namespace.unwrap_or_default().to_owned(),
        name: policy.metadata.name.clone(),
        created: policy.metadata.creation_timestamp.map(timestamp),
        generation: policy.metadata.generation,
        target_names,
        selector: spec.selector.as_ref().map(label_selector),
        namespace_selector: spec.namespace_selector.as_ref().map(label_selector),
        spec: Some(rollout_spec),
        error: String::new(),
    };
    rollout::policy(&facts, strings).map_err(in_object)
}

/// Replaces the field of a fact's error with the path of that field in the object.
fn in_object(error: FieldError) -> FieldError {
    let FieldError { field, message } = error;
    let path = match field.as_str() {
        "uid" | "name" | "namespace" => format!("metadata.{field}"),
        "target_names" => "spec.targetRefs".to_owned(),
        field => format!("spec.{}", camel_case(field)),
    };
    FieldError::new(path, message)
}

/// Converts the names of a path from the wire's notation to that of Kubernetes, such as `max_unavailable` to
/// `maxUnavailable`.
pub(super) fn camel_case(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut follows_underscore = false;
    for character in path.chars() {
        match character {
            '_' => follows_underscore = true,
            _ if std::mem::take(&mut follows_underscore) => text.extend(character.to_uppercase()),
            _ => text.push(character),
        }
    }
    text
}

fn rollout_spec(spec: &RolloutPolicySpec) -> Result<wire::RolloutPolicySpec, FieldError> {
    let stages = spec
        .stages
        .iter()
        .enumerate()
        .map(|(index, found)| stage(found).map_err(|error| error.within(&format!("stages[{index}]"))));
    let unhealthy_pod_policy = match spec.unhealthy_pod_policy.as_str() {
        "" | "IfHealthyBudget" => wire::UnhealthyPodPolicy::IfHealthyBudget,
        "AlwaysAllow" => wire::UnhealthyPodPolicy::AlwaysAllow,
        other => {
            return Err(not_one_of(
                "unhealthyPodPolicy",
                "IfHealthyBudget or AlwaysAllow",
                other,
            ));
        }
    };
    let unreleased_nodes = match spec.unreleased_nodes.as_str() {
        "" | "Current" => wire::UnreleasedNodes::Current,
        "Update" => wire::UnreleasedNodes::Update,
        other => return Err(not_one_of("unreleasedNodes", "Current or Update", other)),
    };
    Ok(wire::RolloutPolicySpec {
        paused: spec.paused,
        max_unavailable: int_or_percent("maxUnavailable", spec.max_unavailable.as_ref())?,
        unhealthy_pod_policy: unhealthy_pod_policy.into(),
        unreleased_nodes: unreleased_nodes.into(),
        stages: stages.collect::<Result<_, FieldError>>()?,
        partition: int_or_percent("partition", spec.partition.as_ref())?,
        order: match &spec.order {
            Some(order) => Some(self::order(order).map_err(|error| error.within("order"))?),
            None => None,
        },
    })
}

fn stage(stage: &RolloutStage) -> Result<wire::RolloutStage, FieldError> {
    let promotion = match stage.promotion.as_str() {
        "" | "Automatic" => wire::Promotion::Automatic,
        "Manual" => wire::Promotion::Manual,
        other => return Err(not_one_of("promotion", "Automatic or Manual", other)),
    };
    if let Some(problem) = validation::name("name", &stage.name, NameKind::Label) {
        return Err(FieldError::new("name", problem.message));
    }
    Ok(wire::RolloutStage {
        name: stage.name.clone(),
        node_selector: stage.node_selector.as_ref().map(label_selector),
        nodes: int_or_percent("nodes", stage.nodes.as_ref())?,
        topology_key: stage.topology_key.clone(),
        soak: match stage.soak.as_str() {
            "" => None,
            soak => Some(duration("soak", soak)?),
        },
        promotion: promotion.into(),
        max_unavailable: int_or_percent("maxUnavailable", stage.max_unavailable.as_ref())?,
    })
}

fn order(order: &RolloutOrder) -> Result<wire::RolloutOrder, FieldError> {
    Ok(wire::RolloutOrder {
        topology_key: order.topology_key.clone(),
        max_unavailable_per_domain: int_or_percent(
            "maxUnavailablePerDomain",
            order.max_unavailable_per_domain.as_ref(),
        )?,
    })
}

fn not_one_of(field: &str, allowed: &str, found: &str) -> FieldError {
    FieldError::new(field, format!("must be {allowed}, found {found:?}"))
}

fn label_selector(selector: &object::LabelSelector) -> wire::LabelSelector {
    let expression = |expression: &object::Requirement| wire::NodeSelectorRequirement {
        key: expression.key.clone(),
        operator: expression.operator.clone(),
        values: expression.values.clone(),
    };
    wire::LabelSelector {
        match_labels: selector.match_labels.clone(),
        match_expressions: selector.match_expressions.iter().map(expression).collect(),
    }
}

fn int_or_percent(
    field: &str,
    value: Option<&object::IntOrString>,
) -> Result<Option<wire::IntOrPercent>, FieldError> {
    use wire::int_or_percent::Value;
    let value = match value {
        None => return Ok(None),
        Some(object::IntOrString::Int(count)) => Value::Count(*count),
        Some(object::IntOrString::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
            let error = || {
                let message = format!("must be a number or a percentage such as \"10%\", found {text:?}");
                FieldError::new(field, message)
            };
            Value::Percent(percent.ok_or_else(error)?)
        }
    };
    Ok(Some(wire::IntOrPercent { value: Some(value) }))
}

/// Reads a duration as Go writes it, such as `1h30m`. The API server reads it in the same way.
fn duration(field: &str, text: &str) -> Result<prost_types::Duration, FieldError> {
    let nanos = parse_duration(text).filter(|nanos| i64::try_from(*nanos).is_ok());
    let nanos = nanos.ok_or_else(|| {
        FieldError::new(
            field,
            format!("must be a duration such as 10m or 1h30m, found {text:?}"),
        )
    })?;
    Ok(prost_types::Duration {
        seconds: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos % 1_000_000_000).unwrap_or(0),
    })
}

/// Returns the nanoseconds of a duration such as `1.5h` or `1m30s`. `None` if it isn't one, or is negative or too long.
fn parse_duration(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut nanos = 0_u64;
    loop {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let (unit, nanos_of_unit) = UNITS.iter().find(|(unit, _)| {
            // The m of ms is no unit of its own.
            let next = after.strip_prefix(unit).and_then(|next| next.chars().next());
            after.starts_with(unit) && next.is_none_or(|next| next.is_ascii_digit() || next == '.')
        })?;
        nanos = nanos.checked_add(nanos_of(number, *nanos_of_unit)?)?;
        rest = after.strip_prefix(unit)?;
        if rest.is_empty() {
            return Some(nanos);
        }
    }
}

/// Multiplies a decimal number with a unit.
fn nanos_of(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| match text {
        "" => Some(0),
        text => text.parse::<u64>().ok(),
    };
    let mut nanos = digits(whole)?.checked_mul(unit)?;
    let mut of_digit = unit;
    for character in fraction.chars() {
        of_digit /= 10;
        let digit = u64::from(character.to_digit(10)?);
        nanos = nanos.checked_add(digit.checked_mul(of_digit)?)?;
    }
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::{
        Budget,
        rollout::{StageSize, Targets},
    };

    fn read(namespace: Option<&str>, spec: &Value) -> Result<Policy, String> {
        let object = json!({"metadata": {"name": "policy"}, "spec": spec});
        let policy: RolloutPolicy = serde_json::from_value(object).map_err(|error| error.to_string())?;
        rollout_policy(&policy, namespace, "uid", &mut Interner::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn policy_is_read_with_its_stages_and_its_order() {
        let policy = read(
            Some("sys"),
            &json!({
                "targetRefs": [{"name": "agent"}],
                "maxUnavailable": "10%",
                "stages": [
                    {"name": "canary", "nodes": 2, "soak": "10m"},
                    {"name": "half", "nodes": "50%", "promotion": "Manual", "maxUnavailable": 3},
                ],
                "order": {"topologyKey": "zone", "maxUnavailablePerDomain": "20%"},
            }),
        );
        let policy = policy.unwrap();
        assert_eq!(policy.namespace.as_deref(), Some("sys"));
        assert_eq!(policy.targets, Targets::Names(vec!["agent".into()]));
        let spec = policy.spec.unwrap();
        assert_eq!(spec.max_unavailable, Some(Budget::Percent(10)));
        let [canary, half] = &spec.stages[..] else {
            panic!("{:?}", spec.stages);
        };
        assert_eq!((canary.size, canary.soak_millis), (StageSize::Count(2), 600_000));
        assert!(half.is_manual && !canary.is_manual);
        assert_eq!(half.max_unavailable, Some(Budget::Count(3)));
        let order = spec.order.clone().unwrap();
        assert_eq!(&**order.topology_key.text(), "zone");
        assert_eq!(order.max_unavailable, Some(Budget::Percent(20)));
    }

    #[test]
    fn errors_name_the_field_of_the_object() {
        let with = |stage: Value| json!({"targetRefs": [{"name": "agent"}], "stages": [stage]});
        for (namespace, spec, expected) in [
            (
                Some("sys"),
                json!({}),
                "spec must have exactly one of targetRefs and selector",
            ),
            (
                None,
                json!({"targetRefs": [{"name": "agent"}]}),
                "spec.targetRefs must not be set in a ClusterDaemonSetRolloutPolicy; use selector",
            ),
            (
                Some("sys"),
                json!({"targetRefs": []}),
                "spec.targetRefs must not be empty",
            ),
            (
                Some("sys"),
                with(json!({"name": "a", "soak": "10 minutes"})),
                "spec.stages[0].soak must be a duration such as 10m or 1h30m, found \"10 minutes\"",
            ),
            (
                Some("sys"),
                with(json!({"name": "a", "nodes": "ten"})),
                "spec.stages[0].nodes must be a number or a percentage such as \"10%\", found \"ten\"",
            ),
            (
                Some("sys"),
                with(json!({"name": "a", "maxUnavailable": "120%"})),
                "spec.stages[0].maxUnavailable must not be more than 100%",
            ),
            (
                Some("sys"),
                with(json!({"name": "a", "soak": "-5m"})),
                "spec.stages[0].soak must be a duration such as 10m or 1h30m, found \"-5m\"",
            ),
            (
                Some("sys"),
                with(json!({"name": "a", "nodes": 51})),
                "spec.stages[0].nodes must be from 1 to 50, or a percentage; found 51",
            ),
            (
                Some("sys"),
                json!({"selector": {}, "stages": [{"name": "a"}, {"name": "a"}]}),
                "spec.stages[1].name must be unique, but another stage is called a too",
            ),
            (
                Some("sys"),
                json!({"selector": {}, "stages": [{"name": "a"}], "partition": "40%"}),
                "spec.partition must not be set together with stages",
            ),
            (
                Some("sys"),
                json!({"selector": {}, "stages": (0..17).map(|n| json!({"name": format!("s{n}")})).collect::<Vec<_>>()}),
                "spec.stages must have at most 16 elements, found 17",
            ),
            (
                Some("sys"),
                with(json!({"name": "a", "promotion": "manual"})),
                "spec.stages[0].promotion must be Automatic or Manual, found \"manual\"",
            ),
        ] {
            assert_eq!(read(namespace, &spec).unwrap_err(), expected);
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, seconds) in [
            ("0", 0),
            ("10m", 600),
            ("1h30m", 5_400),
            ("1.5h", 5_400),
            ("1m.5m", 90),
            ("2000ms", 2),
        ] {
            assert_eq!(parse_duration(text), Some(seconds * 1_000_000_000), "{text}");
        }
        for text in [
            "",
            "10",
            "m",
            ".m",
            "-5m",
            "5 m",
            "5d",
            "10mm",
            "99999999999h",
            "1h30",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
