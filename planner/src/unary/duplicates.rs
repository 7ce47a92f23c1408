//! Objects that a request holds several times.

use everynode_proto::facts::raw_struct::Item;
use hashbrown::HashMap;

use super::reader::{DEFAULT_NAMESPACE, Reader, object_name};
use crate::{limits::MAX_NAME_BYTES, model::Problem};

/// The maximum length, in bytes, of a name with its namespace. An object with a longer one can't be read.
const MAX_KEY_BYTES: usize = 2 * MAX_NAME_BYTES + 1;

impl Reader {
    /// Keeps the last of several objects with the same name, because a cluster has only one of them, and reports it.
    /// Keeps all objects without a name and all objects of another kind. They can't be read and become problems.
    pub(super) fn last_of_each_name(&mut self, kind: &str, objects: Vec<Item>) -> Vec<Item> {
        let names: Vec<_> = objects.iter().map(|object| key(kind, object)).collect();
        let mut counts = HashMap::<&str, usize>::with_capacity(names.len());
        for name in names.iter().flatten() {
            *counts.entry(name).or_default() += 1;
        }
        if counts.values().all(|count| *count == 1) {
            return objects;
        }
        let mut left = counts.clone();
        let mut kept = Vec::with_capacity(objects.len());
        for (object, name) in objects.into_iter().zip(&names) {
            if let Some(name) = name.as_deref()
                && let (Some(count), Some(left)) = (counts.get(name), left.get_mut(name))
            {
                *left -= 1;
                if *left > 0 {
                    continue;
                }
                if *count > 1 {
                    let message =
                        format!("the request has {count} objects of this kind and name; the last one counts");
                    let name = object_name(kind, Some(name), 0);
                    self.report(&name, [Problem::invalid("metadata.name", message)]);
                }
            }
            kept.push(object);
        }
        kept
    }
}

/// Returns what identifies an object of this kind in a cluster: its name, and the namespace of a `DaemonSet`.
fn key(kind: &str, object: &Item) -> Option<String> {
    if object.kind().is_some_and(|other| other != kind) {
        return None;
    }
    let name = object.name().filter(|name| name.len() <= MAX_KEY_BYTES)?;
    if kind == "DaemonSet" && !name.contains('/') {
        return Some(format!("{DEFAULT_NAMESPACE}/{name}"));
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use everynode_proto::facts::{RawStruct, raw_struct};
    use everynode_serving::serve::Work;
    use serde_json::{Value, json};

    use super::*;

    /// The kept objects, by their number, and the problems.
    fn kept(kind: &str, objects: &[Value]) -> (Vec<u64>, Vec<String>) {
        let raw = objects.iter().enumerate().map(|(number, object)| {
            let mut object = object.as_object().unwrap().clone();
            object.insert("number".to_owned(), json!(number));
            RawStruct::from(&object)
        });
        let mut reader = Reader::new(&Work::unbounded());
        let kept = reader.last_of_each_name(kind, raw_struct::expand(raw.collect()));
        let number = |object: &Item| {
            let kind = object.kind().unwrap_or_default();
            object.read::<Value>(kind).unwrap()["number"].as_u64().unwrap()
        };
        let problems = reader.into_problems().into_iter();
        let problems = problems.map(|problem| format!("{}: {}", problem.object, problem.message));
        (kept.iter().map(number).collect(), problems.collect())
    }

    fn named(name: &str) -> Value {
        json!({"metadata": {"name": name}})
    }

    #[test]
    fn last_object_of_a_name_counts() {
        let objects = ["a", "b", "a", "c", "a"].map(named);
        let message = "the request has 3 objects of this kind and name; the last one counts";
        assert_eq!(
            kept("Node", &objects),
            (vec![1, 3, 4], vec![format!("node a: {message}")])
        );
        assert_eq!(kept("Node", &objects[..2]), (vec![0, 1], Vec::new()));
    }

    #[test]
    fn daemon_sets_of_other_namespaces_are_other_objects() {
        let objects = [
            named("a"),
            json!({"metadata": {"name": "a", "namespace": "default"}}),
            json!({"metadata": {"name": "a", "namespace": "other"}}),
        ];
        let message = "the request has 2 objects of this kind and name; the last one counts";
        assert_eq!(
            kept("DaemonSet", &objects),
            (vec![1, 2], vec![format!("daemonset default/a: {message}")])
        );
    }

    #[test]
    fn objects_without_a_name_and_of_other_kinds_are_kept() {
        let pod = json!({"kind": "Pod", "metadata": {"name": "a"}});
        let objects = [json!({}), json!({}), named("a"), pod];
        assert_eq!(kept("Node", &objects), (vec![0, 1, 2, 3], Vec::new()));
    }
}
