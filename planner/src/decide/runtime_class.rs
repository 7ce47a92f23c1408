//! The conditions that a `RuntimeClass` sets for the pods that name it.
//!
//! The API server adds the class's nodeSelector and tolerations to each new pod. The `DaemonSet` controller doesn't read
//! `RuntimeClass`es, so they don't change verdicts: the controller creates a pod for a node that lacks a label of the
//! class, and the pod stays pending. Mirrors the admission plugin `RuntimeClass`.

use hashbrown::HashSet;

use super::taints::Tolerations;
use crate::model::{
    LabelKey, Node, PodTemplate, Problem, Reason, ReasonCode, ReasonDetail, RuntimeClass, Text, Verdict,
    same_text,
};

/// The maximum number of contradictions between a class and a template that are problems.
const MAX_SHOWN: usize = 20;

/// The conditions that a `RuntimeClass` adds to those of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassConditions {
    name: Text,
    node_selector: Vec<(LabelKey, Text)>,
    tolerations: Tolerations,
}

/// Whether the scheduler can bind a pod of the class to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Binding {
    /// The node has every label that the class requires.
    Possible,
    /// The node lacks a label. The text is for people.
    Impossible(String),
    /// The node has some labels only if the unknown labels meet a condition.
    Depends {
        /// The unknown labels.
        labels: Vec<Text>,
        /// The condition, for people.
        condition: String,
    },
}

impl ClassConditions {
    /// The conditions of a class. `None` if it sets none.
    pub fn new(class: &RuntimeClass) -> Option<Self> {
        let conditions = Self {
            name: class.name.clone(),
            node_selector: class
                .node_selector
                .iter()
                .map(|(key, value)| (LabelKey::new(key.clone()), value.clone()))
                .collect(),
            tolerations: Tolerations::new(class.tolerations.clone()),
        };
        let has_conditions = !conditions.node_selector.is_empty() || !class.tolerations.is_empty();
        has_conditions.then_some(conditions)
    }

    /// The name of the class.
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// Adds the effect of the class to the reasons of a verdict. If a pod is created, a reason for each missing label says
    /// that the pod stays pending. If not, a hint names the taints that only the class tolerates.
    pub fn explain(&self, node: &Node, verdict: Verdict, reasons: &mut Vec<Reason>) {
        if verdict == Verdict::Run {
            reasons.extend(
                self.missing(node)
                    .map(|(key, value)| self.reason(node, key, value)),
            );
            return;
        }
        for reason in reasons {
            if let Some(ReasonDetail::Taint { taint, .. }) = &reason.detail
                && self.tolerations.tolerate(taint)
            {
                let name = &self.name;
                let hint = format!(
                    "; the RuntimeClass {name} tolerates it, but the DaemonSet controller doesn't read RuntimeClasses"
                );
                reason.message.push_str(&hint);
            }
        }
    }

    /// Whether a pod can be bound to a node whose `unknown` labels have unknown values.
    pub(crate) fn binding(&self, node: &Node, unknown: &HashSet<Text>) -> Binding {
        let is_unknown = |key: &LabelKey| unknown.contains(key.text());
        let missing = self.missing(node).find(|(key, _)| !is_unknown(key));
        if let Some((key, value)) = missing {
            return Binding::Impossible(self.consequence(node, key, value));
        }
        let open = self.node_selector.iter().filter(|(key, _)| is_unknown(key));
        let (labels, conditions): (Vec<_>, Vec<_>) = open
            .map(|(key, value)| (key.text().clone(), format!("{}={value}", key.text())))
            .unzip();
        if labels.is_empty() {
            return Binding::Possible;
        }
        Binding::Depends {
            labels,
            condition: conditions.join("; "),
        }
    }

    /// Returns the problems of a template that names this class: labels for which the nodeSelectors of the template and
    /// the class have different values.
    pub fn problems(&self, template: &PodTemplate) -> Vec<Problem> {
        let conflict = |(key, wanted): &(LabelKey, Text)| {
            let own = template.node_selector.get(key).filter(|own| *own != wanted)?;
            let (name, key) = (&self.name, key.text());
            let message = format!(
                "{key}={own} contradicts the RuntimeClass {name}, which wants {key}={wanted}, so the API server refuses \
                 every pod"
            );
            Some(Problem::invalid("spec.template.spec.nodeSelector", message))
        };
        let conflicts = self.node_selector.iter().filter_map(conflict);
        conflicts.take(MAX_SHOWN).collect()
    }

    /// Returns the labels that the class requires and the node lacks.
    fn missing(&self, node: &Node) -> impl Iterator<Item = &(LabelKey, Text)> {
        self.node_selector.iter().filter(|(key, value)| {
            let actual = node.labels.get(key);
            !actual.is_some_and(|actual| same_text(actual, value))
        })
    }

    fn reason(&self, node: &Node, key: &LabelKey, value: &Text) -> Reason {
        Reason {
            code: ReasonCode::RuntimeClass,
            message: self.consequence(node, key, value),
            condition: format!("RuntimeClass {}: {}={value}", self.name, key.text()),
            detail: None,
        }
    }

    fn consequence(&self, node: &Node, key: &LabelKey, value: &Text) -> String {
        let (class, name) = (&self.name, key.text());
        let found = match node.labels.get(key) {
            Some(actual) => format!("the node has {name}={actual}"),
            None => format!("the node has no label {name}"),
        };
        format!("the pod stays pending: its RuntimeClass {class} wants {name}={value}, {found}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::placement::Placement,
        model::Resources,
        testing::{node, toleration, with_template},
    };

    fn conditions(labels: &[&str], tolerations: &[[&str; 4]]) -> Option<ClassConditions> {
        ClassConditions::new(&RuntimeClass {
            name: "kata".into(),
            overhead: Resources::default(),
            node_selector: node("any", labels, &[]).labels,
            tolerations: tolerations.iter().map(|of| toleration(*of)).collect(),
        })
    }

    fn unknown(labels: &[&str]) -> HashSet<Text> {
        labels.iter().copied().map(Text::from).collect()
    }

    #[test]
    fn class_without_scheduling_has_no_conditions() {
        assert_eq!(conditions(&[], &[]), None);
        assert!(conditions(&["a=1"], &[]).is_some());
        assert!(conditions(&[], &[["a", "Exists", "", ""]]).is_some());
    }

    #[test]
    fn pod_is_bound_only_to_nodes_with_the_labels_of_its_class() {
        let class = conditions(&["runtime=kata", "zone=a"], &[]).unwrap();
        let binding = |labels: &[&str], open: &[&str]| class.binding(&node("n", labels, &[]), &unknown(open));
        assert_eq!(binding(&["runtime=kata", "zone=a"], &[]), Binding::Possible);
        assert_eq!(
            binding(&["runtime=runc", "zone=a"], &[]),
            Binding::Impossible(
                "the pod stays pending: its RuntimeClass kata wants runtime=kata, the node has runtime=runc"
                    .to_owned()
            )
        );
        assert_eq!(
            binding(&["runtime=kata"], &["runtime"]),
            Binding::Impossible(
                "the pod stays pending: its RuntimeClass kata wants zone=a, the node has no label zone"
                    .to_owned()
            )
        );
        assert_eq!(
            binding(&[], &["runtime", "zone"]),
            Binding::Depends {
                labels: vec!["runtime".into(), "zone".into()],
                condition: "runtime=kata; zone=a".to_owned(),
            }
        );
    }

    #[test]
    fn reasons_say_that_a_pod_stays_pending_and_which_taints_the_class_tolerates() {
        let class = conditions(&["runtime=kata"], &[["kata", "Exists", "", ""]]).unwrap();
        let placement = Placement::new(&with_template(PodTemplate::default()));
        let reasons = |node: &Node| {
            let mut reasons = placement.explain(node);
            class.explain(node, placement.verdict(node), &mut reasons);
            let text = |reason: Reason| (reason.code, reason.condition, reason.message);
            reasons.into_iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&node("n", &["runtime=kata"], &[])).len(), 1);
        let pending = reasons(&node("n", &[], &[]));
        let [(fits, _, _), (code, condition, _)] = pending.as_slice() else {
            panic!("two reasons were expected: {pending:?}")
        };
        assert_eq!((*fits, *code), (ReasonCode::Fits, ReasonCode::RuntimeClass));
        assert_eq!(condition, "RuntimeClass kata: runtime=kata");
        let kept = reasons(&node("n", &[], &["kata=yes:NoSchedule"]));
        let [(code, _, message)] = kept.as_slice() else {
            panic!("one reason was expected: {kept:?}")
        };
        assert_eq!(*code, ReasonCode::UntoleratedTaint);
        assert!(
            message.ends_with(
                "; the RuntimeClass kata tolerates it, but the DaemonSet controller doesn't read RuntimeClasses"
            ),
            "{message}"
        );
    }

    #[test]
    fn node_selector_that_contradicts_the_class_is_a_problem() {
        let class = conditions(&["runtime=kata"], &[]).unwrap();
        let problems = |labels: &[&str]| {
            class.problems(&PodTemplate {
                node_selector: node("any", labels, &[]).labels,
                ..PodTemplate::default()
            })
        };
        assert_eq!(problems(&["runtime=kata", "zone=a"]), []);
        let found = problems(&["runtime=runc"]);
        let [problem] = found.as_slice() else {
            panic!("one problem was expected: {found:?}")
        };
        assert_eq!(problem.field, "spec.template.spec.nodeSelector");
        assert!(
            problem
                .message
                .contains("runtime=runc contradicts the RuntimeClass kata")
        );
    }
}
