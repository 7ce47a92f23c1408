use serde_json::json;

use super::*;
use crate::offline::documents;

fn objects(values: &Value) -> Objects {
    let mut objects = Objects::default();
    let contents = documents::parse("file", values.to_string().as_bytes()).unwrap();
    objects.add_all(contents).unwrap();
    objects
}

fn object(value: &Value) -> Object {
    let mut value = value.clone();
    value["kind"] = "Node".into();
    objects(&value).of(Kind::Node)[0].clone()
}

#[test]
fn every_daemonset_is_planned_with_all_nodes_and_pods() {
    let objects = objects(&json!([
        {"kind": "DaemonSet", "metadata": {"name": "x"}},
        {"kind": "DaemonSet", "metadata": {"name": "z"}},
        {"kind": "Node", "metadata": {"name": "a"}},
        {"kind": "Pod", "metadata": {"name": "p"}},
    ]));
    let args = PlanArgs {
        update_revision: Some("r1".to_owned()),
        ..plan_args()
    };
    let requests: Vec<_> = plans(&objects, &args).unwrap().collect();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!((request.nodes.len(), request.pods.len()), (1, 1));
        assert_eq!(request.update_revision.as_deref(), Some("r1"));
    }
    let error = plans(&Objects::default(), &args).err().unwrap();
    assert!(
        error.to_string().starts_with("the input has no DaemonSet; "),
        "{error}"
    );
}

fn plan_args() -> PlanArgs {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: PlanArgs,
    }

    let command: Command = clap::Parser::parse_from(["plan", "-f", "-"]);
    command.args
}

#[test]
fn capacity_is_allocatable_or_else_the_whole_capacity() {
    let four = [("cpu".to_owned(), "4".to_owned())].into();
    let node = object(&json!({"status": {"capacity": {"cpu": 4}}}));
    assert_eq!(capacity(&node), four);
    let node = object(&json!({"status": {"allocatable": {"cpu": "4"}, "capacity": {"cpu": "8"}}}));
    assert_eq!(capacity(&node), four);
    let node = object(&json!({"status": {"allocatable": {}, "capacity": {"cpu": "4"}}}));
    assert_eq!(capacity(&node), four);
    assert!(capacity(&object(&json!({}))).is_empty());
    let node = object(&json!({"status": {"allocatable": {}, "capacity": {"cpu": " 50m\n"}}}));
    assert_eq!(capacity(&node), [("cpu".to_owned(), "50m".to_owned())].into());
    let node = object(&json!({"status": {"allocatable": {"cpu": null}}}));
    assert_eq!(capacity(&node), [("cpu".to_owned(), "0".to_owned())].into());
}

#[test]
fn missing_objects_are_reported_with_a_remedy() {
    let message = |objects: &Value| explain(&self::objects(objects)).unwrap_err().to_string();
    assert!(message(&json!([])).contains("no DaemonSet"));
    assert_eq!(
        message(&json!([{"kind": "DaemonSet"}])),
        "the input has no Node; `kubectl get nodes -o json` prints those of a cluster"
    );
    let old = json!([{"kind": "DaemonSet", "apiVersion": "extensions/v1beta1", "metadata": {"name": "a"}}]);
    assert_eq!(
        message(&old),
        "the input has no DaemonSet that API servers accept"
    );
}
