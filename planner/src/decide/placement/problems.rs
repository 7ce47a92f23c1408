//! The problems of a `DaemonSet`'s conditions on nodes (contract P3, P4, P6).

use super::{ParsedTerm, Placement};
use crate::{
    decide::validation,
    model::{Problem, ProblemCode},
};

const SPEC: &str = "spec.template.spec";
const TERMS_FIELD: &str = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";

/// The maximum number of problems of the nodeSelector, and of the tolerations, that are reported.
const MAX_SHOWN: usize = 20;

impl Placement {
    /// The problems of the conditions.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.selects_everything {
            let message = if self.lacks_selector {
                "it is missing, so no pod is created; it must match the template's labels"
            } else {
                "the selector is empty and would select every pod, so no pod is created; give it labels that the \
                 template has"
            };
            problems.push(Problem {
                code: ProblemCode::SelectsEverything,
                field: "spec.selector".to_owned(),
                message: message.to_owned(),
            });
        }
        if self.required_terms.is_some() && self.terms().next().is_none() {
            problems.push(Problem::invalid(
                TERMS_FIELD,
                "must have at least one term; without terms, no node matches",
            ));
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
        let selector = self.node_selector.iter();
        let selector = selector.map(|(key, value)| (key.text().as_ref(), value.as_ref()));
        let field = format!("{SPEC}.nodeSelector");
        problems.extend(validation::labels(&field, selector).take(MAX_SHOWN));
        // The template's own tolerations come first. The added ones have no problems.
        let field = format!("{SPEC}.tolerations");
        let tolerations = validation::tolerations(&field, self.tolerations.list());
        problems.extend(tolerations.take(MAX_SHOWN));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{DaemonSet, PodTemplate, Verdict},
        testing::{daemon_set, node, toleration, with_template},
    };

    fn fields(template: PodTemplate) -> Vec<(ProblemCode, String)> {
        let problems = Placement::new(&with_template(template)).problems();
        problems
            .into_iter()
            .map(|problem| (problem.code, problem.field))
            .collect()
    }

    #[test]
    fn missing_selector_is_called_missing() {
        let placement = Placement::new(&DaemonSet {
            selects_everything: true,
            lacks_selector: true,
            ..daemon_set()
        });
        let message = "it is missing, so no pod is created; it must match the template's labels";
        let problem = placement.problems().pop().unwrap();
        assert_eq!(problem.code, ProblemCode::SelectsEverything);
        assert_eq!(problem.message, message);
        let anywhere = node("n", &[], &[]);
        assert_eq!(placement.verdict(&anywhere), Verdict::Exclude);
        assert_eq!(
            placement.explain(&anywhere)[0].message,
            "spec.selector is missing, so the DaemonSet gets no pods"
        );
    }

    #[test]
    fn p4_unknown_operator_is_a_problem_and_tolerates_nothing() {
        let template = PodTemplate {
            tolerations: vec![
                toleration(["a", "Exists", "", ""]),
                toleration(["b", "Gt", "1", ""]),
            ],
            ..PodTemplate::default()
        };
        let placement = Placement::new(&with_template(template.clone()));
        let tainted = node("n", &[], &["b=2:NoSchedule"]);
        assert_eq!(placement.verdict(&tainted), Verdict::Keep);
        let field = "spec.template.spec.tolerations[1].operator".to_owned();
        assert_eq!(fields(template), [(ProblemCode::Invalid, field)]);
    }

    #[test]
    fn p3_invalid_label_of_the_node_selector_is_a_problem() {
        let pairs = [("a/b/c", "1"), ("zone", "a"), ("disk", "a b")];
        let template = PodTemplate {
            node_selector: pairs
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect(),
            ..PodTemplate::default()
        };
        let field = "spec.template.spec.nodeSelector".to_owned();
        assert_eq!(
            fields(template),
            [
                (ProblemCode::Invalid, field.clone()),
                (ProblemCode::Invalid, field)
            ]
        );
    }

    #[test]
    fn many_problems_are_cut() {
        let template = PodTemplate {
            tolerations: (0..1_000).map(|_| toleration(["b", "no", "1", ""])).collect(),
            ..PodTemplate::default()
        };
        assert_eq!(fields(template).len(), MAX_SHOWN);
    }
}
