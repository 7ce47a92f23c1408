//! Problems of objects, with their places in the input.

use std::{collections::HashMap, ptr};

use everynode_proto::planner::v1::{Problem, ProblemCode};
use everynode_render::values;

use super::{
    kind::Kind,
    objects::{Object, Objects},
    place::Place,
};

/// The number of places that are kept for one name. In files of templates, several Nodes may have the same name.
const MAX_PLACES: usize = 3;

/// The places of objects, by the names that problems give them.
#[derive(Debug)]
pub(crate) struct Places<'o>(HashMap<String, Vec<&'o Place>>);

impl<'o> Places<'o> {
    /// The places of all objects.
    pub(crate) fn of(objects: &'o Objects) -> Self {
        let mut places: HashMap<String, Vec<&Place>> = HashMap::new();
        for kind in Kind::ALL {
            for (index, object) in objects.of(kind).iter().enumerate() {
                for name in object.names_in_problems(kind, index) {
                    let places = places.entry(name).or_default();
                    // Several of the names may be the same.
                    let is_known = places
                        .last()
                        .is_some_and(|last| ptr::eq(*last, &raw const object.place));
                    if !is_known && places.len() < MAX_PLACES {
                        places.push(&object.place);
                    }
                }
            }
        }
        Self(places)
    }

    /// Describes a problem, with the place of its field in the input.
    pub(crate) fn describe(&self, problem: &Problem) -> String {
        match self.0.get(&problem.object) {
            Some(places) => describe(places, problem),
            None => values::problem(problem),
        }
    }
}

/// The problem of a `DaemonSet` that can't be planned, which is the one at `index`. `message` is the planner's, which
/// begins with the object's name.
pub(crate) fn not_planned(daemon_set: &Object, index: usize, message: &str) -> Problem {
    let names = daemon_set.names_in_problems(Kind::DaemonSet, index);
    let without_name = names
        .iter()
        .find_map(|name| message.strip_prefix(name.as_str())?.strip_prefix(": "));
    Problem {
        code: ProblemCode::Malformed.into(),
        object: daemon_set.name_in_problems(Kind::DaemonSet, index),
        message: without_name.unwrap_or(message).to_owned(),
        ..Problem::default()
    }
}

/// Describes a problem of an object that is at one of these places.
pub(crate) fn describe(places: &[&Place], problem: &Problem) -> String {
    let places: Vec<_> = places
        .iter()
        .map(|place| place.field(&problem.field).to_string())
        .collect();
    format!("{}: {}", places.join(" or "), values::problem(problem))
}

#[cfg(test)]
mod tests {
    use super::{super::documents, *};

    fn objects(text: &str, are_templates: bool) -> Objects {
        let mut objects = Objects::new(are_templates);
        objects
            .add_all(documents::parse("in.yaml", text.as_bytes()).unwrap())
            .unwrap();
        objects
    }

    fn problem(object: &str, field: &str) -> Problem {
        Problem {
            object: object.to_owned(),
            field: field.to_owned(),
            message: "wrong".to_owned(),
            ..Problem::default()
        }
    }

    #[test]
    fn problems_name_the_file_and_the_line_of_the_field() {
        let objects = objects(
            "
kind: DaemonSet
metadata: {name: a}
spec:
  template:
    spec:
      tolerations:
      - {operator: Exists}
      - operator: exists
---
kind: List
items:
- kind: Node
  metadata: {name: b}
  spec:
    taints: 7
- kind: Node
",
            false,
        );
        let places = Places::of(&objects);
        for (object, field, message) in [
            (
                "daemonset default/a",
                "spec.template.spec.tolerations[1].operator",
                "in.yaml:9: daemonset default/a: spec.template.spec.tolerations[1].operator: wrong",
            ),
            (
                "daemonset a",
                "spec.selector",
                "in.yaml:4: daemonset a: spec.selector: wrong",
            ),
            ("daemonset default/a", "", "in.yaml:2: daemonset default/a: wrong"),
            (
                "node b",
                "spec.taints",
                "in.yaml:16, items[0]: node b: spec.taints: wrong",
            ),
            ("the 2nd Node", "", "in.yaml:17, items[1]: the 2nd Node: wrong"),
            ("node other", "", "node other: wrong"),
        ] {
            assert_eq!(places.describe(&problem(object, field)), message);
        }
    }

    #[test]
    fn daemonset_that_cannot_be_planned_is_named_once() {
        let objects = objects("{kind: DaemonSet, metadata: {name: a}}", false);
        let daemon_set = &objects.of(Kind::DaemonSet)[0];
        for message in [
            "daemonset a: spec: wrong",
            "daemonset default/a: spec: wrong",
            "spec: wrong",
        ] {
            let problem = not_planned(daemon_set, 0, message);
            assert_eq!(
                Places::of(&objects).describe(&problem),
                "in.yaml:1: daemonset default/a: spec: wrong"
            );
        }
    }

    #[test]
    fn problem_of_one_of_several_templates_names_all_places() {
        let objects = objects(
            "
{kind: Node, metadata: {name: b}}
---
{kind: Node, metadata: {name: b}, spec: {unschedulable: 7}}
",
            true,
        );
        assert_eq!(
            Places::of(&objects).describe(&problem("node b", "")),
            "in.yaml:2 or in.yaml:4: node b: wrong"
        );
    }
}
