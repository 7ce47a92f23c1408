//! Reports what the API server would refuse in the objects of a request: values that no cluster accepts, and fields that
//! don't exist. Such objects still get an answer, because they come from files that no API server has read.

mod daemon_set;
mod fields;
mod known_fields;
mod shapes;

use everynode_proto::{
    facts::{self, object::checks::CheckedDaemonSet, raw_struct::Item},
    planner::v1 as wire,
};
use serde::Deserialize;

use self::{
    fields::field_problems,
    known_fields::{CLUSTER_ROLLOUT_POLICY, DAEMON_SET, NODE, ROLLOUT, ROLLOUT_POLICY, RUNTIME_CLASS},
};
use super::reader::{ReadDaemonSet, Reader, object_name};
use crate::{
    convert::FieldError,
    decide::{
        placement::Placement,
        runtime_class::ClassConditions,
        validation::{self, NameKind},
    },
    model::{Node, Problem, RuntimeClass},
};

/// The part of a `RuntimeClass` that only checks read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CheckedRuntimeClass {
    handler: Option<String>,
}

impl Reader {
    /// Reports the problems of a `DaemonSet`, except those of its placement. Returns the parts that were checked, or
    /// `None` if they can't be read.
    pub(super) fn check_daemon_set(
        &mut self,
        object: &Item,
        daemon_set: &facts::DaemonSet,
    ) -> Option<CheckedDaemonSet> {
        let name = object_name("DaemonSet", Some(&daemon_set.key()), 0);
        let of_fields = field_problems(object, &DAEMON_SET);
        let is_known = |field: &str| of_fields.iter().any(|problem| problem.field == field);
        self.report(&name, of_fields.iter().cloned());
        match self.read::<CheckedDaemonSet>(object, "DaemonSet") {
            Ok(checked) => {
                self.report(&name, daemon_set::problems(daemon_set, &checked));
                Some(checked)
            }
            Err(FieldError { field, message }) => {
                if self.may_continue() && !is_known(&field) {
                    self.report(&name, [Problem::invalid(field, message)]);
                }
                None
            }
        }
    }

    /// Reports the problems of a `DaemonSet`'s placement.
    pub(super) fn report_placement(
        &mut self,
        read: &ReadDaemonSet,
        placement: &Placement,
        class: Option<&ClassConditions>,
    ) {
        let name = object_name("DaemonSet", Some(&read.daemon_set.key()), 0);
        self.report(&name, placement.problems());
        let of_class = class.map(|class| class.problems(&read.daemon_set.template));
        self.report(&name, of_class.unwrap_or_default());
    }

    /// Reports that the overhead of a `DaemonSet`'s pods isn't known.
    pub(super) fn report_unknown_class(&mut self, daemon_set: &str, class: &str) {
        self.extend(vec![wire::Problem {
            code: wire::ProblemCode::UnknownOverhead.into(),
            object: object_name("DaemonSet", Some(daemon_set), 0),
            field: "spec.template.spec.runtimeClassName".to_owned(),
            message: format!("the RuntimeClass {class} is unknown, so its overhead counts as none"),
        }]);
    }

    /// Reports the problems of a node.
    pub(super) fn check_node(&mut self, object: &Item, node: &Node) {
        let mut problems = field_problems(object, &NODE)
            .into_iter()
            .chain(validation::name("metadata.name", &node.name, NameKind::Subdomain))
            .chain(validation::node(node))
            .peekable();
        // Nearly no node has a problem.
        if problems.peek().is_some() {
            self.report(&object_name("Node", Some(&node.name), 0), problems);
        }
    }

    /// Reports the problems of a node template. `name` names it in messages.
    pub(super) fn check_node_template(&mut self, name: &str, node: &Node) {
        self.report(name, validation::node_template(node));
    }

    /// Reports the problems of a `RuntimeClass`.
    pub(super) fn check_runtime_class(&mut self, object: &Item, class: &RuntimeClass) {
        let name = object_name("RuntimeClass", Some(&class.name), 0);
        self.report(&name, field_problems(object, &RUNTIME_CLASS));
        self.report(
            &name,
            validation::name("metadata.name", &class.name, NameKind::Subdomain),
        );
        // A handler of another type is a problem of the fields.
        if let Ok(CheckedRuntimeClass { handler }) = self.read(object, "RuntimeClass") {
            let handler = handler.unwrap_or_default();
            let problem = if handler.is_empty() {
                Some(Problem::invalid("handler", "must not be empty"))
            } else {
                validation::name("handler", &handler, NameKind::Label)
            };
            self.report(&name, problem);
        }
        let selector = validation::pairs(&class.node_selector);
        self.report(&name, validation::labels("scheduling.nodeSelector", selector));
        let tolerations = validation::tolerations("scheduling.tolerations", &class.tolerations);
        self.report(&name, tolerations);
    }

    /// Reports the problems of the fields of a rollout policy. `name` names it in messages.
    pub(super) fn check_rollout_policy(&mut self, name: &str, object: &Item, is_of_cluster: bool) {
        let kind = if is_of_cluster {
            &CLUSTER_ROLLOUT_POLICY
        } else {
            &ROLLOUT_POLICY
        };
        self.report(name, field_problems(object, kind));
    }

    /// Reports the problems of the fields of a `DaemonSetRollout`. `name` names it in messages.
    pub(super) fn check_rollout(&mut self, name: &str, object: &Item) {
        self.report(name, field_problems(object, &ROLLOUT));
    }
}
