//! The errors of objects that can't be read, as their authors see them.

use serde::de::DeserializeOwned;

use super::*;
use crate::facts::{
    DaemonSet, Pod,
    object::{
        checks::CheckedDaemonSet,
        demand::{NodeCapacity, RuntimeClass, SchedulingTemplate},
    },
};

/// Returns the field and the message of the error.
fn error<T: DeserializeOwned>(object: &Value) -> (String, String) {
    let Err(error) = item(object).read::<T>("") else {
        panic!("{object} was read");
    };
    (error.field, error.message)
}

/// Returns an object with a value at a path such as `spec.taints.0.key`.
fn object_with(path: &str, value: &Value) -> Value {
    path.rsplit('.').fold(value.clone(), |inner, part| match part {
        "0" => json!([inner]),
        "1" => json!([null, inner]),
        _ => json!({part: inner}),
    })
}

fn check<T: DeserializeOwned>(cases: &[(&str, Value, &str, &str)]) {
    for (path, value, field, message) in cases {
        let (found_field, found_message) = error::<T>(&object_with(path, value));
        assert_eq!(
            (found_field.as_str(), found_message.as_str()),
            (*field, *message),
            "{path}: {value}"
        );
    }
}

const NO_LIST: &str = "must be a list, found an object";
const NO_OBJECT: &str = "must be an object, found a list";

#[test]
fn list_in_a_daemon_set_is_no_object_and_an_object_is_no_list() {
    check::<DaemonSet>(&[
        (
            "spec.template.spec.tolerations",
            json!({"key": "a", "operator": "Exists"}),
            "spec.template.spec.tolerations",
            NO_LIST,
        ),
        (
            "spec.template.spec.tolerations",
            json!([["a", "Exists"]]),
            "spec.template.spec.tolerations[0]",
            NO_OBJECT,
        ),
        (
            "spec.template.spec.tolerations",
            json!([{"key": "a"}, [{"key": "a", "operator": "Exists"}]]),
            "spec.template.spec.tolerations[1]",
            NO_OBJECT,
        ),
        (
            "spec.template.spec.affinity",
            json!([]),
            "spec.template.spec.affinity",
            NO_OBJECT,
        ),
        ("spec.template.spec", json!([]), "spec.template.spec", NO_OBJECT),
        ("spec.template", json!([{}]), "spec.template", NO_OBJECT),
        (
            "spec.template.spec.nodeSelector",
            json!(["a", "b"]),
            "spec.template.spec.nodeSelector",
            NO_OBJECT,
        ),
        (
            "spec.template.spec.nodeSelector",
            json!("a=b"),
            "spec.template.spec.nodeSelector",
            "must be an object, found \"a=b\"",
        ),
        (
            "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
            json!([{"matchExpressions": []}]),
            "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
            NO_OBJECT,
        ),
        ("metadata", json!([]), "metadata", NO_OBJECT),
        (
            "metadata",
            json!("agent"),
            "metadata",
            "must be an object, found \"agent\"",
        ),
        (
            "metadata.annotations",
            json!([]),
            "metadata.annotations",
            NO_OBJECT,
        ),
        ("spec.selector", json!([]), "spec.selector", NO_OBJECT),
        ("spec.updateStrategy", json!([]), "spec.updateStrategy", NO_OBJECT),
        (
            "spec.updateStrategy",
            json!("OnDelete"),
            "spec.updateStrategy",
            "must be an object, found \"OnDelete\"",
        ),
        (
            "spec.updateStrategy.rollingUpdate",
            json!([1]),
            "spec.updateStrategy.rollingUpdate",
            NO_OBJECT,
        ),
    ]);
}

#[test]
fn list_in_a_node_or_a_pod_is_no_object_and_an_object_is_no_list() {
    check::<Node>(&[
        (
            "spec.taints",
            json!([["a", "b", "NoSchedule"]]),
            "spec.taints[0]",
            NO_OBJECT,
        ),
        (
            "spec.taints",
            json!(["a=b:NoSchedule"]),
            "spec.taints[0]",
            "must be an object, found \"a=b:NoSchedule\"",
        ),
        ("spec.taints", json!({}), "spec.taints", NO_LIST),
        ("metadata.labels", json!([]), "metadata.labels", NO_OBJECT),
        (
            "metadata.ownerReferences",
            json!([["v1", "DaemonSet"]]),
            "metadata.ownerReferences[0]",
            NO_OBJECT,
        ),
    ]);
    check::<Pod>(&[
        (
            "status.conditions",
            json!("ready"),
            "status.conditions",
            "must be a list, found \"ready\"",
        ),
        (
            "status.conditions",
            json!([{}, ["Ready", "True"]]),
            "status.conditions[1]",
            NO_OBJECT,
        ),
    ]);
}

#[test]
fn text_must_be_in_quotes() {
    check::<DaemonSet>(&[
        (
            "spec.template.spec.nodeSelector.gpu",
            json!(true),
            "spec.template.spec.nodeSelector.gpu",
            "must be text in quotes, found true",
        ),
        (
            "spec.selector.matchLabels",
            json!({"app.kubernetes.io/version": 1.5}),
            "spec.selector.matchLabels[app.kubernetes.io/version]",
            "must be text in quotes, found 1.5",
        ),
        (
            "spec.template.spec.tolerations.1.value",
            json!(["a"]),
            "spec.template.spec.tolerations[1].value",
            "must be text, found a list",
        ),
        (
            "spec.updateStrategy.type",
            json!({}),
            "spec.updateStrategy.type",
            "must be text, found an object",
        ),
    ]);
    check::<Node>(&[
        (
            "metadata.name",
            json!(7),
            "metadata.name",
            "must be text in quotes, found 7",
        ),
        (
            "spec.taints.1.key",
            json!(7),
            "spec.taints[1].key",
            "must be text in quotes, found 7",
        ),
    ]);
    check::<Pod>(&[(
        "status.conditions.0.type",
        json!(false),
        "status.conditions[0].type",
        "must be text in quotes, found false",
    )]);
}

#[test]
fn numbers_and_booleans_have_no_quotes() {
    let budget = "must be a whole number or a percentage such as \"10%\"";
    check::<DaemonSet>(&[
        (
            "spec.minReadySeconds",
            json!("10"),
            "spec.minReadySeconds",
            "must be a whole number from 0 to 2147483647, without quotes; found \"10\"",
        ),
        (
            "spec.minReadySeconds",
            json!(1.5),
            "spec.minReadySeconds",
            "must be a whole number from 0 to 2147483647, found 1.5",
        ),
        (
            "spec.revisionHistoryLimit",
            json!(3_000_000_000_u32),
            "spec.revisionHistoryLimit",
            "must be a whole number from 0 to 2147483647, found 3000000000",
        ),
        (
            "metadata.generation",
            json!("two"),
            "metadata.generation",
            "must be a whole number of at most 9223372036854775807, found \"two\"",
        ),
        (
            "spec.template.spec.hostNetwork",
            json!("true"),
            "spec.template.spec.hostNetwork",
            "must be true or false, without quotes; found \"true\"",
        ),
        (
            "spec.template.spec.hostNetwork",
            json!(1),
            "spec.template.spec.hostNetwork",
            "must be true or false, found 1",
        ),
        (
            "spec.updateStrategy.rollingUpdate.maxUnavailable",
            json!(true),
            "spec.updateStrategy.rollingUpdate.maxUnavailable",
            &format!("{budget}, found true"),
        ),
        (
            "spec.updateStrategy.rollingUpdate.maxSurge",
            json!(0.5),
            "spec.updateStrategy.rollingUpdate.maxSurge",
            &format!("{budget}, found 0.5"),
        ),
        (
            "spec.updateStrategy.rollingUpdate.maxSurge",
            json!(3_000_000_000_u32),
            "spec.updateStrategy.rollingUpdate.maxSurge",
            "must be a whole number from 0 to 2147483647 or a percentage such as \"10%\", found 3000000000",
        ),
    ]);
}

#[test]
fn toleration_seconds_must_be_a_number() {
    let field = "spec.template.spec.tolerations[0].tolerationSeconds";
    check::<CheckedDaemonSet>(&[(
        "spec.template.spec.tolerations.0.tolerationSeconds",
        json!("300"),
        field,
        "must be a whole number of at most 9223372036854775807, without quotes; found \"300\"",
    )]);
    for seconds in [json!(-1), json!(300), json!(300.0), Value::Null] {
        let object = object_with("spec.template.spec.tolerations.0.tolerationSeconds", &seconds);
        assert!(item(&object).read::<CheckedDaemonSet>("").is_ok(), "{seconds}");
    }
}

#[test]
fn list_in_a_runtime_class_is_no_object_and_an_object_is_no_list() {
    check::<RuntimeClass>(&[
        ("scheduling", json!([]), "scheduling", NO_OBJECT),
        (
            "scheduling.nodeSelector",
            json!(["a"]),
            "scheduling.nodeSelector",
            NO_OBJECT,
        ),
        (
            "scheduling.tolerations",
            json!({"key": "a"}),
            "scheduling.tolerations",
            NO_LIST,
        ),
        ("overhead.podFixed", json!([]), "overhead.podFixed", NO_OBJECT),
    ]);
}

#[test]
fn ports_quantities_and_times_say_what_is_valid() {
    let port = "must be a whole number from 1 to 65535";
    let quantity = "must be a quantity such as 100m or 1Gi";
    let time = "must be a time such as 2026-01-31T12:00:00Z";
    check::<SchedulingTemplate>(&[
        (
            "spec.containers.0.ports.1.hostPort",
            json!("8080"),
            "spec.containers[0].ports[1].hostPort",
            &format!("{port}, without quotes; found \"8080\""),
        ),
        (
            "spec.containers.0.ports.0.hostPort",
            json!(70_000),
            "spec.containers[0].ports[0].hostPort",
            &format!("{port}, found 70000"),
        ),
        (
            "spec.initContainers.0.ports.0.containerPort",
            json!(-1),
            "spec.initContainers[0].ports[0].containerPort",
            &format!("{port}, found -1"),
        ),
        (
            "spec.containers.0.resources.requests",
            json!({"nvidia.com/gpu": true}),
            "spec.containers[0].resources.requests[nvidia.com/gpu]",
            &format!("{quantity}, found true"),
        ),
        (
            "spec.containers.0.resources.limits.cpu",
            json!({"value": 1}),
            "spec.containers[0].resources.limits.cpu",
            &format!("{quantity}, found an object"),
        ),
        (
            "spec.overhead",
            json!([]),
            "spec.overhead",
            "must be an object, found a list",
        ),
    ]);
    check::<NodeCapacity>(&[(
        "status.allocatable.cpu",
        json!([4]),
        "status.allocatable.cpu",
        &format!("{quantity}, found a list"),
    )]);
    check::<Pod>(&[
        (
            "metadata.creationTimestamp",
            json!("yesterday"),
            "metadata.creationTimestamp",
            &format!("{time}, found \"yesterday\""),
        ),
        (
            "metadata.deletionTimestamp",
            json!(""),
            "metadata.deletionTimestamp",
            &format!("{time}, found \"\""),
        ),
        (
            "metadata.deletionTimestamp",
            json!(1_700_000_000),
            "metadata.deletionTimestamp",
            &format!("{time}, found 1700000000"),
        ),
        (
            "status.conditions",
            json!([{"type": "Ready", "status": "True", "lastTransitionTime": "now"}]),
            "status.conditions[0]",
            &format!("lastTransitionTime {time}, found \"now\""),
        ),
    ]);
}

#[test]
fn field_that_is_given_twice_is_named() {
    let once = raw_struct(&json!({"spec": {"taints": []}}));
    let twice = RawStruct {
        fields: [once.fields.clone(), once.fields].concat(),
    };
    let error = expand(vec![twice])[0].read::<Node>("Node").unwrap_err();
    assert_eq!(error.message, "has the field spec twice");
}
