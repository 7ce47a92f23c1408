//! Converts the slim Kubernetes types to facts.

use prost_types::Timestamp as WireTimestamp;

use super::{
    DaemonSet, Node, Pod, PodTemplate, REVISION_LABEL, TEMPLATE_GENERATION_ANNOTATION,
    TEMPLATE_GENERATION_LABEL, object,
};
use crate::planner::v1::{
    DaemonSetFacts, IntOrPercent, NodeFacts, NodeReadiness, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, PodFacts, PodPhase, PodTemplateFacts, Problem, ProblemCode, Taint, Toleration,
    UpdateStrategy, int_or_percent, update_strategy,
};

/// Converts a time to the wire's timestamp type.
pub fn timestamp(time: jiff::Timestamp) -> WireTimestamp {
    WireTimestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

impl Node {
    /// Converts the node to its facts.
    pub fn into_facts(self) -> NodeFacts {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let taint = |object::Taint { key, value, effect }| Taint { key, value, effect };
        NodeFacts {
            name: metadata.name,
            labels: metadata.labels,
            taints: spec.taints.into_iter().map(taint).collect(),
            created: metadata.creation_timestamp.map(timestamp),
            readiness: status.readiness().into(),
            lifecycle_conditions: status.lifecycle_conditions(),
        }
    }
}

impl object::NodeHealth {
    /// The status of the condition Ready.
    fn readiness(&self) -> NodeReadiness {
        let mut conditions = self.conditions.iter();
        let ready = conditions.find(|condition| condition.r#type == object::READY);
        match ready.map(|ready| ready.status.as_str()) {
            None => NodeReadiness::Unspecified,
            Some("True") => NodeReadiness::True,
            Some("False") => NodeReadiness::False,
            Some(_) => NodeReadiness::Unknown,
        }
    }

    /// The conditions of the node's lifecycle that are True, sorted.
    fn lifecycle_conditions(&self) -> Vec<String> {
        let holds = |kind: &&str| {
            let mut conditions = self.conditions.iter();
            conditions.any(|condition| condition.r#type == *kind && condition.status == "True")
        };
        object::LIFECYCLE_CONDITIONS
            .into_iter()
            .filter(holds)
            .map(str::to_owned)
            .collect()
    }
}

impl Pod {
    /// Returns the pod's facts if a `DaemonSet` controls it.
    pub fn facts(&self) -> Option<PodFacts> {
        let owner = self.metadata.controller().filter(|owner| owner.is_daemon_set())?;
        let label = |key| self.metadata.labels.get(key).cloned().unwrap_or_default();
        Some(PodFacts {
            uid: self.metadata.uid.clone(),
            name: self.metadata.name.clone(),
            daemon_set_uid: owner.uid.clone(),
            node: self.target_node().unwrap_or_default().to_owned(),
            bound: !self.spec.node_name.is_empty(),
            phase: phase(&self.status.phase).into(),
            ready_since: self.ready_since().map(timestamp),
            unready_since: self.unready_since().map(timestamp),
            created: self.metadata.creation_timestamp.map(timestamp),
            deleting: self.metadata.deletion_timestamp.is_some(),
            revision: label(REVISION_LABEL),
            template_generation: label(TEMPLATE_GENERATION_LABEL),
        })
    }

    /// Returns the node that the pod is for: the node that it is bound to, or else the node that its required affinity
    /// names with the field metadata.name. Mirrors `GetTargetNodeName`.
    pub fn target_node(&self) -> Option<&str> {
        if !self.spec.node_name.is_empty() {
            return Some(&self.spec.node_name);
        }
        let terms = &self.spec.affinity.as_ref()?.required()?.node_selector_terms;
        let fields = terms.iter().flat_map(|term| &term.match_fields);
        let named = fields
            .into_iter()
            .find(|field| field.key == "metadata.name" && field.operator == "In")?;
        match named.values.as_slice() {
            [node] => Some(node),
            _ => None,
        }
    }

    /// Returns the time when the pod became unready. `None` if it is ready, and if it never was.
    pub fn unready_since(&self) -> Option<jiff::Timestamp> {
        let mut conditions = self.status.conditions.iter();
        let ready = conditions.find(|condition| condition.r#type == "Ready")?;
        ready.last_transition_time.filter(|_| ready.status != "True")
    }

    /// Returns the time when the pod became ready, or `None` if it isn't ready. If the condition has no time, returns
    /// the pod's creation time.
    pub fn ready_since(&self) -> Option<jiff::Timestamp> {
        let ready = self
            .status
            .conditions
            .iter()
            .find(|condition| condition.r#type == "Ready")?;
        (ready.status == "True").then_some(())?;
        Some(
            ready
                .last_transition_time
                .or(self.metadata.creation_timestamp)
                .unwrap_or_default(),
        )
    }
}

fn phase(phase: &str) -> PodPhase {
    match phase {
        "Pending" | "" => PodPhase::Pending,
        "Running" => PodPhase::Running,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        _ => PodPhase::Unknown,
    }
}

impl<T> DaemonSet<T> {
    /// Returns the `DaemonSet`'s facts and the problems found in it. `update_revision` is the controller-revision-hash
    /// of the template.
    pub fn facts(&self, template: &PodTemplate, update_revision: &str) -> (DaemonSetFacts, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut problem = |field: &str, message: String| {
            problems.push(Problem {
                code: ProblemCode::Invalid.into(),
                object: format!("daemonset {}", self.key()),
                field: field.to_owned(),
                message,
            });
        };
        let generation = self.metadata.annotations.get(TEMPLATE_GENERATION_ANNOTATION);
        let facts = DaemonSetFacts {
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
            generation: self.metadata.generation,
            selects_everything: self.spec.selector.is_empty(),
            template: Some(template.facts()),
            update_strategy: Some(self.spec.update_strategy.facts(&mut problem)),
            min_ready_seconds: self.spec.min_ready_seconds,
            update_revision: update_revision.to_owned(),
            template_generation: generation.and_then(|text| text.parse().ok()),
            equal_revisions: Vec::new(),
            labels: self.metadata.labels.clone(),
            revisions: Vec::new(),
            managed_by: String::new(),
            is_rollout_held: false,
        };
        (facts, problems)
    }
}

impl PodTemplate {
    /// Returns the parts of the template that placement reads.
    pub fn facts(&self) -> PodTemplateFacts {
        let spec = &self.spec;
        PodTemplateFacts {
            node_name: spec.node_name.clone(),
            node_selector: spec.node_selector.clone(),
            required_node_affinity: spec
                .affinity
                .as_ref()
                .and_then(object::Affinity::required)
                .map(node_selector),
            tolerations: spec.tolerations.iter().map(object::Toleration::facts).collect(),
            host_network: spec.host_network,
        }
    }
}

impl object::Toleration {
    /// Returns the toleration as a fact.
    pub fn facts(&self) -> Toleration {
        let Self {
            key,
            operator,
            value,
            effect,
        } = self.clone();
        Toleration {
            key,
            operator,
            value,
            effect,
        }
    }
}

fn node_selector(selector: &object::NodeSelector) -> NodeSelector {
    let requirement = |requirement: &object::Requirement| NodeSelectorRequirement {
        key: requirement.key.clone(),
        operator: requirement.operator.clone(),
        values: requirement.values.clone(),
    };
    let term = |term: &object::NodeSelectorTerm| NodeSelectorTerm {
        match_expressions: term.match_expressions.iter().map(requirement).collect(),
        match_fields: term.match_fields.iter().map(requirement).collect(),
    };
    NodeSelector {
        terms: selector.node_selector_terms.iter().map(term).collect(),
    }
}

impl object::UpdateStrategy {
    fn facts(&self, problem: &mut impl FnMut(&str, String)) -> UpdateStrategy {
        let rolling = self.rolling_update.clone().unwrap_or_default();
        let strategy = if self.r#type == "OnDelete" {
            // Nobody but a rollout policy reads the budget, so an odd one is no problem.
            update_strategy::Strategy::OnDelete(update_strategy::OnDelete {
                max_unavailable: rolling
                    .max_unavailable
                    .and_then(|value| int_or_percent(value).ok()),
            })
        } else {
            let mut budget = |field: &str, value: Option<object::IntOrString>| {
                int_or_percent(value?)
                    .map_err(|message| {
                        problem(&format!("spec.updateStrategy.rollingUpdate.{field}"), message);
                    })
                    .ok()
            };
            update_strategy::Strategy::RollingUpdate(update_strategy::RollingUpdate {
                max_unavailable: budget("maxUnavailable", rolling.max_unavailable),
                max_surge: budget("maxSurge", rolling.max_surge),
            })
        };
        UpdateStrategy {
            strategy: Some(strategy),
        }
    }
}

fn int_or_percent(value: object::IntOrString) -> Result<IntOrPercent, String> {
    let value = match value {
        object::IntOrString::Int(count) => int_or_percent::Value::Count(count),
        object::IntOrString::String(text) => {
            let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
            let error =
                || format!("{text:?} is neither a number nor a percentage such as \"10%\"; it is ignored");
            int_or_percent::Value::Percent(percent.ok_or_else(error)?)
        }
    };
    Ok(IntOrPercent { value: Some(value) })
}

#[cfg(test)]
mod tests;
