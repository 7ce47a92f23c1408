//! Converts facts from the wire to the model.

use everynode_proto::{facts::raw_struct::ReadError, planner::v1 as wire};

use crate::{
    decide,
    intern::Interner,
    limits::MAX_NAME_BYTES,
    model::{
        Budget, DaemonSet, Labels, Millis, Node, Phase, Pod, PodTemplate, Requirement, Revision, Strategy,
        Taint, Term, Text, Toleration,
    },
};

/// A field of a message that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub struct FieldError {
    /// The field's path in its message.
    pub field: String,
    /// What is wrong, and what would be valid.
    pub message: String,
}

impl FieldError {
    /// An error about a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }

    /// The same error for the enclosing message: its field's path begins with `parent`.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        Self {
            field: format!("{parent}.{}", self.field),
            message: self.message,
        }
    }
}

impl From<ReadError> for FieldError {
    fn from(error: ReadError) -> Self {
        Self::new(error.field, error.message)
    }
}

pub(super) fn required<'a>(field: &str, value: &'a str) -> Result<&'a str, FieldError> {
    if value.is_empty() {
        Err(FieldError::new(field, "must not be empty"))
    } else {
        check_length(field, value)
    }
}

/// Checks a name that may be empty.
///
/// # Errors
/// The name is longer than [`MAX_NAME_BYTES`], the longest name that Kubernetes allows.
pub fn check_length<'a>(field: &str, value: &'a str) -> Result<&'a str, FieldError> {
    match value.len() {
        ..=MAX_NAME_BYTES => Ok(value),
        bytes => {
            let message = format!("must have at most {MAX_NAME_BYTES} bytes, found {bytes}");
            Err(FieldError::new(field, message))
        }
    }
}

/// Converts a time to milliseconds.
pub fn millis(time: prost_types::Timestamp) -> Millis {
    let millis = time.seconds.saturating_mul(1_000);
    Millis(millis.saturating_add(i64::from(time.nanos) / 1_000_000))
}

pub(super) fn labels(map: &std::collections::BTreeMap<String, String>, strings: &mut Interner) -> Labels {
    map.iter()
        .map(|(key, value)| (strings.text(key), strings.text(value)))
        .collect()
}

/// Converts a node.
///
/// # Errors
/// The name is empty or too long.
pub fn node(facts: &wire::NodeFacts, strings: &mut Interner) -> Result<Box<Node>, FieldError> {
    let taint = |taint: &wire::Taint| Taint {
        key: strings.text(&taint.key),
        value: strings.text(&taint.value),
        effect: strings.text(&taint.effect),
    };
    let taints = facts.taints.iter().map(taint).collect();
    Ok(Box::new(Node {
        name: strings.text(required("name", &facts.name)?),
        labels: labels(&facts.labels, strings),
        taints,
        created: facts.created.map(millis).unwrap_or_default(),
        is_ready: match facts.readiness() {
            wire::NodeReadiness::True => Some(true),
            wire::NodeReadiness::False => Some(false),
            wire::NodeReadiness::Unknown | wire::NodeReadiness::Unspecified => None,
        },
    }))
}

/// Converts a pod. Returns it with the uid of its `DaemonSet`.
///
/// # Errors
/// The uid, the name or the `DaemonSet`'s uid is empty, or one of the names is too long.
pub fn pod(facts: &wire::PodFacts, strings: &mut Interner) -> Result<(Text, Pod), FieldError> {
    let daemon_set = strings.text(required("daemon_set_uid", &facts.daemon_set_uid)?);
    // A pod's uid and name are unique, so sharing them would only cost a look-up.
    let pod = Pod {
        uid: required("uid", &facts.uid)?.into(),
        name: required("name", &facts.name)?.into(),
        node: strings.text(check_length("node", &facts.node)?),
        bound: facts.bound,
        phase: match facts.phase() {
            wire::PodPhase::Succeeded => Phase::Succeeded,
            wire::PodPhase::Failed => Phase::Failed,
            wire::PodPhase::Unspecified
            | wire::PodPhase::Pending
            | wire::PodPhase::Running
            | wire::PodPhase::Unknown => Phase::Active,
        },
        ready_since: facts.ready_since.map(millis),
        unready_since: facts.unready_since.map(millis),
        created: facts.created.map(millis).unwrap_or_default(),
        deleting: facts.deleting,
        revision: strings.text(check_length("revision", &facts.revision)?),
        template_generation: strings.text(check_length("template_generation", &facts.template_generation)?),
    };
    Ok((daemon_set, pod))
}

/// Converts a `DaemonSet`.
///
/// # Errors
/// The namespace, the name or the uid is empty, one of the names is too long, or minReadySeconds is negative.
pub fn daemon_set(facts: &wire::DaemonSetFacts, strings: &mut Interner) -> Result<DaemonSet, FieldError> {
    if facts.min_ready_seconds < 0 {
        return Err(FieldError::new("min_ready_seconds", "must not be negative"));
    }
    let template = facts
        .template
        .as_ref()
        .map(|template| pod_template(template, strings));
    let template_generation = facts
        .template_generation
        .map(|generation| strings.text(&generation.to_string()));
    let equal_revisions = facts
        .equal_revisions
        .iter()
        .map(|revision| Ok(strings.text(check_length("equal_revisions", revision)?)));
    let equal_revisions = equal_revisions.collect::<Result<_, FieldError>>()?;
    let revisions = facts.revisions.iter().map(|revision| {
        let template = revision.template.as_ref();
        Ok(Revision {
            hash: strings.text(check_length("revisions.hash", &revision.hash)?),
            number: revision.number,
            template: template
                .map(|template| pod_template(template, strings))
                .unwrap_or_default(),
        })
    });
    let revisions = revisions.collect::<Result<_, FieldError>>()?;
    Ok(DaemonSet {
        namespace: strings.text(required("namespace", &facts.namespace)?),
        name: strings.text(required("name", &facts.name)?),
        uid: strings.text(required("uid", &facts.uid)?),
        generation: facts.generation,
        selects_everything: facts.selects_everything,
        lacks_selector: false,
        deleting: false,
        template: template.unwrap_or_default(),
        strategy: strategy(facts.update_strategy.as_ref()),
        on_delete_max_unavailable: on_delete_budget(facts.update_strategy.as_ref()),
        min_ready_millis: i64::from(facts.min_ready_seconds) * 1_000,
        update_revision: strings.text(&facts.update_revision),
        template_generation,
        equal_revisions,
        labels: labels(&facts.labels, strings),
        revisions,
        managed_by: strings.text(check_length("managed_by", &facts.managed_by)?),
        is_rollout_held: facts.is_rollout_held,
    })
}

fn pod_template(facts: &wire::PodTemplateFacts, strings: &mut Interner) -> PodTemplate {
    let node_name = (!facts.node_name.is_empty()).then(|| strings.text(&facts.node_name));
    let node_selector = labels(&facts.node_selector, strings);
    let tolerations = facts.tolerations.iter();
    let tolerations = tolerations.map(|written| toleration(written, strings));
    PodTemplate {
        node_name,
        node_selector,
        tolerations: tolerations.collect(),
        required_terms: facts.required_node_affinity.as_ref().map(|selector| {
            let term = |term: &wire::NodeSelectorTerm| Term {
                expressions: requirements(&term.match_expressions, strings),
                fields: requirements(&term.match_fields, strings),
            };
            selector.terms.iter().map(term).collect()
        }),
        host_network: facts.host_network,
    }
}

/// Converts a toleration.
pub(super) fn toleration(written: &wire::Toleration, strings: &mut Interner) -> Toleration {
    Toleration {
        key: strings.text(&written.key),
        operator: strings.text(&written.operator),
        value: strings.text(&written.value),
        effect: strings.text(&written.effect),
    }
}

fn requirements(requirements: &[wire::NodeSelectorRequirement], strings: &mut Interner) -> Vec<Requirement> {
    let requirement = |requirement: &wire::NodeSelectorRequirement| Requirement {
        key: strings.text(&requirement.key),
        operator: strings.text(&requirement.operator),
        values: requirement
            .values
            .iter()
            .map(|value| strings.text(value))
            .collect(),
    };
    requirements.iter().map(requirement).collect()
}

fn strategy(strategy: Option<&wire::UpdateStrategy>) -> Strategy {
    use wire::update_strategy::Strategy as Wire;
    match strategy.and_then(|strategy| strategy.strategy) {
        Some(Wire::OnDelete(_)) => Strategy::OnDelete,
        Some(Wire::RollingUpdate(rolling)) => {
            decide::rolling_update(budget(rolling.max_unavailable), budget(rolling.max_surge))
        }
        None => decide::rolling_update(None, None),
    }
}

fn on_delete_budget(strategy: Option<&wire::UpdateStrategy>) -> Option<Budget> {
    match strategy?.strategy? {
        wire::update_strategy::Strategy::OnDelete(on_delete) => budget(on_delete.max_unavailable),
        wire::update_strategy::Strategy::RollingUpdate(_) => None,
    }
}

fn budget(value: Option<wire::IntOrPercent>) -> Option<Budget> {
    match value?.value? {
        wire::int_or_percent::Value::Count(count) => Some(Budget::Count(count)),
        wire::int_or_percent::Value::Percent(percent) => Some(Budget::Percent(percent)),
    }
}
