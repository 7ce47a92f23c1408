//! Whether a `DaemonSet`'s pod belongs on a node (contract P1 to P6). Mirrors `NodeShouldRunDaemonPod`.

use super::{
    affinity::{ParsedTerm, Terms},
    taints::{Effect, added_tolerations, untolerated},
};
use crate::model::{
    DaemonSet, LabelKey, Node, Problem, ProblemCode, Reason, ReasonCode, Taint, Text, Toleration, Verdict,
    same,
};

const TERMS_FIELD: &str = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";

/// A `DaemonSet`'s conditions on nodes, parsed once and then asked about many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    selects_everything: bool,
    node_name: Option<Text>,
    node_selector: Vec<(LabelKey, Text)>,
    required_terms: Option<Terms>,
    tolerations: Vec<Toleration>,
}

impl Placement {
    /// Parses a `DaemonSet`'s conditions.
    pub fn new(daemon_set: &DaemonSet) -> Self {
        let template = &daemon_set.template;
        let mut tolerations = template.tolerations.clone();
        tolerations.extend(added_tolerations(template));
        Self {
            selects_everything: daemon_set.selects_everything,
            node_name: template.node_name.clone(),
            node_selector: template
                .node_selector
                .iter()
                .map(|(key, value)| (LabelKey::new(key.clone()), value.clone()))
                .collect(),
            required_terms: template.required_terms.as_deref().map(Terms::new),
            tolerations,
        }
    }

    /// What is wrong with the conditions (P3, P6).
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.selects_everything {
            problems.push(Problem {
                code: ProblemCode::SelectsEverything,
                field: "spec.selector".to_owned(),
                message: "the selector is empty and would select every pod, so no pod is created; give it labels that \
                          the template carries"
                    .to_owned(),
            });
        }
        for (index, term) in self.terms().enumerate() {
            if let ParsedTerm::Malformed(errors) = term {
                problems.extend(errors.iter().map(|error| Problem {
                    code: ProblemCode::MalformedTerm,
                    field: format!("{TERMS_FIELD}[{index}].{}", error.field),
                    message: format!("{}; the term matches no node", error.message),
                }));
            }
        }
        problems
    }

    /// Whether a pod belongs on the node.
    pub fn verdict(&self, node: &Node) -> Verdict {
        if self.selects_everything
            || !self.fits_name(node)
            || !self.fits_selector(node)
            || !self.fits_terms(node)
        {
            return Verdict::Exclude;
        }
        let worst = untolerated(&node.taints, &self.tolerations)
            .map(|(_, effect)| effect)
            .max();
        match worst {
            None => Verdict::Run,
            Some(Effect::NoSchedule) => Verdict::Keep,
            Some(Effect::NoExecute) => Verdict::Exclude,
        }
    }

    fn fits_name(&self, node: &Node) -> bool {
        self.node_name.as_ref().is_none_or(|name| *name == node.name)
    }

    fn fits_selector(&self, node: &Node) -> bool {
        self.node_selector.iter().all(|(key, value)| {
            let actual = node.labels.get(key);
            actual.is_some_and(|actual| same(actual, value))
        })
    }

    fn terms(&self) -> impl Iterator<Item = &ParsedTerm> {
        self.required_terms.iter().flat_map(Terms::iter)
    }

    fn fits_terms(&self, node: &Node) -> bool {
        self.required_terms
            .as_ref()
            .is_none_or(|terms| terms.match_node(node))
    }

    /// Everything that speaks against a pod on the node, or that all fits.
    pub fn explain(&self, node: &Node) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.selects_everything {
            reasons.push(reason(
                ReasonCode::SelectsEverything,
                "spec.selector is empty and would select every pod, so the DaemonSet gets none".to_owned(),
            ));
        }
        if let Some(name) = self.node_name.as_ref().filter(|name| **name != node.name) {
            reasons.push(reason(
                ReasonCode::NodeName,
                format!(
                    "spec.nodeName of the template is {name}, the node is {}",
                    node.name
                ),
            ));
        }
        reasons.extend(
            self.node_selector
                .iter()
                .filter_map(|(key, value)| selector_reason(node, key, value)),
        );
        if !self.fits_terms(node) {
            reasons.extend(self.term_reasons(node));
        }
        let taints = untolerated(&node.taints, &self.tolerations);
        reasons.extend(taints.map(|(taint, effect)| taint_reason(taint, effect)));
        if reasons.is_empty() {
            reasons.push(reason(
                ReasonCode::Fits,
                "the node fits the nodeSelector and the required node affinity, and every taint is tolerated"
                    .to_owned(),
            ));
        }
        reasons
    }

    fn term_reasons(&self, node: &Node) -> Vec<Reason> {
        let count = self.terms().count();
        if count == 0 {
            let message = "the required node affinity has no terms, which matches no node".to_owned();
            return vec![reason(ReasonCode::NodeAffinity, message)];
        }
        let numbered = self.terms().enumerate().flat_map(|(index, term)| {
            let text =
                move |failure| format!("required node affinity, term {} of {count}: {failure}", index + 1);
            term.failures(node).into_iter().map(text)
        });
        numbered
            .map(|message| reason(ReasonCode::NodeAffinity, message))
            .collect()
    }
}

fn reason(code: ReasonCode, message: String) -> Reason {
    Reason { code, message }
}

fn selector_reason(node: &Node, key: &LabelKey, value: &Text) -> Option<Reason> {
    let name = key.text();
    let found = match node.labels.get(key) {
        Some(actual) if actual == value => return None,
        Some(actual) => format!("the node has {name}={actual}"),
        None => format!("the node has no label {name}"),
    };
    Some(reason(
        ReasonCode::NodeSelector,
        format!("nodeSelector wants {name}={value}, {found}"),
    ))
}

fn taint_reason(taint: &Taint, effect: Effect) -> Reason {
    let Taint {
        key,
        value,
        effect: name,
    } = taint;
    let shown = if value.is_empty() {
        format!("{key}:{name}")
    } else {
        format!("{key}={value}:{name}")
    };
    let consequence = match effect {
        Effect::NoSchedule => "a pod that is there stays, none is created",
        Effect::NoExecute => "a pod that is there goes, none is created",
    };
    let message = format!(
        "taint {shown} is not tolerated ({consequence}); a toleration {{key: {key}, operator: Exists, effect: {name}}} \
         would admit it"
    );
    reason(ReasonCode::UntoleratedTaint, message)
}

#[cfg(test)]
mod tests;
