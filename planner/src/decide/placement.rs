//! Whether a `DaemonSet`'s pod belongs on a node (contract P1 to P6). Mirrors `NodeShouldRunDaemonPod`.

mod problems;

use hashbrown::HashSet;

use super::{
    affinity::{Mismatch, ParsedRequirement, ParsedTerm, Terms},
    taints::{Effect, Tolerations, added_tolerations},
};
use crate::model::{
    DaemonSet, LabelKey, Node, Reason, ReasonCode, ReasonDetail, Requirement, Taint, Text, Toleration,
    Verdict, same_text,
};

/// The verdict on a node whose labels are only partly known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartialVerdict {
    /// The unknown labels don't decide whether a pod is created. If the verdict isn't `Run`, they may still decide
    /// between `Keep` and `Exclude`, but no pod is created in either case.
    Decided(Verdict),
    /// A pod belongs there only if the unknown labels meet a condition.
    Undecided {
        /// The unknown labels that the verdict depends on, sorted.
        labels: Vec<Text>,
        /// The condition, for people.
        condition: String,
    },
}

/// A `DaemonSet`'s conditions on nodes. They are parsed once, then evaluated for many nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    selects_everything: bool,
    lacks_selector: bool,
    deleting: bool,
    node_name: Option<Text>,
    node_selector: Vec<(LabelKey, Text)>,
    required_terms: Option<Terms>,
    tolerations: Tolerations,
}

impl Placement {
    /// Parses a `DaemonSet`'s conditions.
    pub fn new(daemon_set: &DaemonSet) -> Self {
        let template = &daemon_set.template;
        let mut tolerations = template.tolerations.clone();
        tolerations.extend(added_tolerations(template));
        Self {
            selects_everything: daemon_set.selects_everything,
            lacks_selector: daemon_set.lacks_selector,
            deleting: daemon_set.deleting,
            node_name: template.node_name.clone(),
            node_selector: template
                .node_selector
                .iter()
                .map(|(key, value)| (LabelKey::new(key.clone()), value.clone()))
                .collect(),
            required_terms: template.required_terms.as_deref().map(Terms::new),
            tolerations: Tolerations::new(tolerations),
        }
    }

    /// Whether a pod belongs on the node (contract P1 to P6, A4). Kubernetes documents the rules under
    /// [node affinity](https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/) and
    /// [taints and tolerations](https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/).
    pub fn verdict(&self, node: &Node) -> Verdict {
        if self.gets_no_pods() || !self.fits_name(node) || !self.fits_selector(node) || !self.fits_terms(node)
        {
            return Verdict::Exclude;
        }
        self.by_taints(node)
    }

    /// Whether the `DaemonSet` gets no pods on any node (P6, A4).
    fn gets_no_pods(&self) -> bool {
        self.selects_everything || self.deleting
    }

    fn by_taints(&self, node: &Node) -> Verdict {
        let untolerated = self.tolerations.untolerated(&node.taints);
        let worst = untolerated.map(|(_, effect)| effect).max();
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
        self.node_selector.iter().all(|label| has(node, label))
    }

    /// The verdict on a node whose labels with these keys are unknown. Follows the rules of [`Placement::verdict`].
    pub fn partial_verdict(&self, node: &Node, unknown: &HashSet<Text>) -> PartialVerdict {
        // Most DaemonSets don't depend on any unknown label.
        if !self.depends_on(unknown) {
            return PartialVerdict::Decided(self.verdict(node));
        }
        let is_unknown = |key: &LabelKey| unknown.contains(key.text());
        let (open, known): (Vec<_>, Vec<_>) = self.node_selector.iter().partition(|(key, _)| is_unknown(key));
        if self.gets_no_pods() || !self.fits_name(node) || !known.into_iter().all(|label| has(node, label)) {
            return PartialVerdict::Decided(Verdict::Exclude);
        }
        let Some(open_terms) = self.open_terms(node, unknown) else {
            return PartialVerdict::Decided(Verdict::Exclude);
        };
        let verdict = self.by_taints(node);
        // An untolerated taint keeps the pod away, whatever the unknown labels are.
        if verdict != Verdict::Run || (open.is_empty() && open_terms.is_empty()) {
            return PartialVerdict::Decided(verdict);
        }
        let selector_keys = open.iter().map(|(key, _)| key.text());
        let mut labels: Vec<_> = selector_keys
            .chain(open_terms.iter().flatten().map(|check| check.key()))
            .cloned()
            .collect();
        labels.sort();
        labels.dedup();
        let all_of = |checks: &Vec<&ParsedRequirement>| {
            let texts: Vec<_> = checks.iter().map(ToString::to_string).collect();
            texts.join(" and ")
        };
        let mut conditions: Vec<_> = open
            .iter()
            .map(|(key, value)| format!("{}={value}", key.text()))
            .collect();
        if !open_terms.is_empty() {
            let alternatives: Vec<_> = open_terms.iter().map(all_of).collect();
            conditions.push(alternatives.join(", or "));
        }
        PartialVerdict::Undecided {
            labels,
            condition: conditions.join("; "),
        }
    }

    /// Whether the nodeSelector or a term depends on one of these labels.
    fn depends_on(&self, unknown: &HashSet<Text>) -> bool {
        if unknown.is_empty() {
            return false;
        }
        self.node_selector
            .iter()
            .any(|(key, _)| unknown.contains(key.text()))
            || self
                .terms()
                .any(|term| term.depending_on(unknown).next().is_some())
    }

    /// For each term that may still match, the requirements that depend on unknown labels. Empty when nothing
    /// depends on them; `None` when no term can match.
    fn open_terms(&self, node: &Node, unknown: &HashSet<Text>) -> Option<Vec<Vec<&ParsedRequirement>>> {
        if self.required_terms.is_none() {
            return Some(Vec::new());
        }
        let mut open = Vec::new();
        for term in self.terms() {
            match term.may_match(node, unknown) {
                Some(true) => return Some(Vec::new()),
                Some(false) => {}
                None => open.push(term.depending_on(unknown).collect()),
            }
        }
        (!open.is_empty()).then_some(open)
    }

    fn terms(&self) -> impl Iterator<Item = &ParsedTerm> {
        self.required_terms.iter().flat_map(Terms::iter)
    }

    fn fits_terms(&self, node: &Node) -> bool {
        self.required_terms
            .as_ref()
            .is_none_or(|terms| terms.match_node(node))
    }

    /// All reasons against a pod on the node, or the one reason `Fits`. They agree with [`Placement::verdict`].
    pub fn explain(&self, node: &Node) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.deleting {
            reasons.push(Reason {
                code: ReasonCode::BeingDeleted,
                message: "the DaemonSet is being deleted, so it gets no pods; the garbage collector deletes or orphans \
                          those that it has"
                    .to_owned(),
                condition: "a DaemonSet that isn't being deleted".to_owned(),
                detail: None,
            });
        }
        if self.selects_everything {
            let message = if self.lacks_selector {
                "spec.selector is missing, so the DaemonSet gets no pods"
            } else {
                "spec.selector is empty and would select every pod, so the DaemonSet gets none"
            };
            reasons.push(Reason {
                code: ReasonCode::SelectsEverything,
                message: message.to_owned(),
                condition: "a selector that isn't empty".to_owned(),
                detail: None,
            });
        }
        if let Some(name) = self.node_name.as_ref().filter(|name| **name != node.name) {
            reasons.push(Reason {
                code: ReasonCode::NodeName,
                message: format!(
                    "spec.nodeName of the template is {name}, the node is {}",
                    node.name
                ),
                condition: format!("spec.nodeName {name}"),
                detail: None,
            });
        }
        reasons.extend(
            self.node_selector
                .iter()
                .filter_map(|(key, value)| selector_reason(node, key, value)),
        );
        if !self.fits_terms(node) {
            reasons.extend(self.term_reasons(node));
        }
        let verdict = self.verdict(node);
        let taints = self.tolerations.untolerated(&node.taints);
        reasons.extend(taints.map(|(taint, effect)| taint_reason(taint, effect, verdict)));
        if reasons.is_empty() {
            reasons.push(Reason {
                code: ReasonCode::Fits,
                message: "the node fits the nodeSelector and the required node affinity, and every taint is tolerated"
                    .to_owned(),
                condition: String::new(),
                detail: None,
            });
        }
        reasons
    }

    fn term_reasons(&self, node: &Node) -> Vec<Reason> {
        let count = self.terms().count();
        if count == 0 {
            return vec![Reason {
                code: ReasonCode::NodeAffinity,
                message: "the required node affinity has no terms, which matches no node".to_owned(),
                condition: "a required node affinity with terms".to_owned(),
                detail: None,
            }];
        }
        let of_term = |(index, term): (usize, &ParsedTerm)| {
            let number = index + 1;
            let prefix = format!("required node affinity, term {number} of {count}");
            let reason = move |mismatch: Mismatch| Reason {
                code: ReasonCode::NodeAffinity,
                message: format!("{prefix}: {}", mismatch.message),
                condition: format!("{prefix}: {}", mismatch.condition),
                detail: mismatch
                    .requirement
                    .map(|(requirement, actual)| ReasonDetail::Requirement {
                        term: number,
                        requirement,
                        actual,
                    }),
            };
            term.mismatches(node).into_iter().map(reason)
        };
        self.terms().enumerate().flat_map(of_term).collect()
    }
}

/// Whether the node has the label.
fn has(node: &Node, (key, value): &(LabelKey, Text)) -> bool {
    let actual = node.labels.get(key);
    actual.is_some_and(|actual| same_text(actual, value))
}

fn selector_reason(node: &Node, key: &LabelKey, value: &Text) -> Option<Reason> {
    let name = key.text();
    let actual = node.labels.get(key);
    let found = match actual {
        Some(actual) if actual == value => return None,
        Some(actual) => format!("the node has {name}={actual}"),
        None => format!("the node has no label {name}"),
    };
    let requirement = Requirement {
        key: name.clone(),
        operator: "In".into(),
        values: vec![value.clone()],
    };
    Some(Reason {
        code: ReasonCode::NodeSelector,
        message: format!("nodeSelector wants {name}={value}, {found}"),
        condition: format!("nodeSelector {name}={value}"),
        detail: Some(ReasonDetail::Requirement {
            term: 0,
            requirement,
            actual: actual.cloned(),
        }),
    })
}

fn taint_reason(taint: &Taint, effect: Effect, verdict: Verdict) -> Reason {
    let Taint {
        key,
        value,
        effect: name,
    } = taint;
    let shown = if value.is_empty() {
        format!("taint {key}:{name}")
    } else {
        format!("taint {key}={value}:{name}")
    };
    let consequence = match (effect, verdict) {
        // Another reason has an existing pod deleted.
        (Effect::NoSchedule, Verdict::Exclude) => "no pod is created",
        (Effect::NoSchedule, _) => "an existing pod stays, none is created",
        (Effect::NoExecute, _) => "an existing pod is deleted, none is created",
    };
    let admitted_by = Toleration {
        key: key.clone(),
        operator: "Exists".into(),
        value: Text::default(),
        effect: name.clone(),
    };
    Reason {
        code: ReasonCode::UntoleratedTaint,
        message: format!(
            "{shown} is not tolerated ({consequence}); a toleration {{key: {key}, operator: Exists, effect: {name}}} \
             would admit it"
        ),
        condition: shown,
        detail: Some(ReasonDetail::Taint {
            taint: taint.clone(),
            admitted_by,
        }),
    }
}

#[cfg(test)]
mod tests;
