use serde_json::json;

use super::*;

/// A template as people write it.
fn written() -> Value {
    json!({
        "metadata": {"labels": {"app": "agent"}},
        "spec": {
            "serviceAccountName": "agent",
            "containers": [{
                "name": "agent",
                "image": "example.com:5000/agent:1",
                "ports": [{"containerPort": 80}],
                "resources": {"requests": {"cpu": "0.1", "memory": 1024}},
                "livenessProbe": {"httpGet": {"port": 80}},
                "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "command": [],
            }],
            "volumes": [{"name": "c", "configMap": {"name": "c"}}, {"name": "h", "hostPath": {"path": "/x"}}],
            "hostNetwork": false,
        },
    })
}

/// The same template as the API server stores it.
fn stored() -> Value {
    json!({
        "$patch": "replace",
        "metadata": {"creationTimestamp": null, "labels": {"app": "agent"}},
        "spec": {
            "serviceAccount": "agent",
            "serviceAccountName": "agent",
            "containers": [{
                "name": "agent",
                "image": "example.com:5000/agent:1",
                "imagePullPolicy": "IfNotPresent",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "100m", "memory": "1Ki"}},
                "livenessProbe": {
                    "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
                },
                "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}}],
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }],
            "volumes": [
                {"name": "c", "configMap": {"name": "c", "defaultMode": 420}},
                {"name": "h", "hostPath": {"path": "/x", "type": ""}},
            ],
            "dnsPolicy": "ClusterFirst",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30,
        },
    })
}

#[test]
fn defaults_of_the_api_server_make_no_difference() {
    assert!(same_template(&written(), &stored()));
    assert!(same_template(&stored(), &written()));
    assert!(same_template(&written(), &written()));
}

#[test]
fn h2_every_other_difference_counts() {
    for (pointer, value) in [
        ("/metadata/labels/app", json!("other")),
        ("/metadata/labels/extra", json!("")),
        ("/metadata/annotations", json!({"a": ""})),
        ("/spec/nodeSelector", json!({"disk": "ssd"})),
        ("/spec/hostNetwork", json!(true)),
        ("/spec/dnsPolicy", json!("Default")),
        ("/spec/terminationGracePeriodSeconds", json!(31)),
        ("/spec/serviceAccount", json!("other")),
        ("/spec/automountServiceAccountToken", json!(false)),
        ("/spec/containers/0/image", json!("example.com:5000/agent:2")),
        ("/spec/containers/0/imagePullPolicy", json!("Always")),
        ("/spec/containers/0/restartPolicy", json!("Always")),
        ("/spec/containers/0/resources/requests/cpu", json!("200m")),
        (
            "/spec/containers/0/resources/requests/example.com~1gpu",
            json!("0"),
        ),
        ("/spec/containers/0/resources/limits", json!({"cpu": "1"})),
        ("/spec/containers/0/env/0/name", json!("OTHER")),
        ("/spec/volumes", json!([])),
    ] {
        let mut changed = stored();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/");
        changed
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .insert(key, value);
        assert!(!same_template(&written(), &changed), "{pointer}");
        assert!(!same_template(&changed, &written()), "{pointer}");
    }
    assert!(!same_template(&written(), &Value::Null));
    assert!(!same_template(&Value::Null, &stored()));
}

#[test]
fn pull_policy_depends_on_the_tag() {
    for (image, policy) in [
        ("agent", "Always"),
        ("agent:latest", "Always"),
        ("example.com:5000/agent", "Always"),
        ("example.com:5000/agent:1", "IfNotPresent"),
        ("agent@sha256:abc", "IfNotPresent"),
        ("agent:1@sha256:abc", "IfNotPresent"),
        ("agent:latest@sha256:abc", "Always"),
    ] {
        assert_eq!(pull_policy(image), policy, "{image}");
    }
}

#[test]
fn defaults_of_volumes_and_references_make_no_difference() {
    for (written, stored) in [
        (
            json!({"resourceFieldRef": {"resource": "limits.memory"}}),
            json!({"resourceFieldRef": {"resource": "limits.memory", "divisor": "0"}}),
        ),
        (
            json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}),
            json!({"ephemeral": {"volumeClaimTemplate": {
                "metadata": {"creationTimestamp": null},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {}, "volumeMode": "Filesystem"},
            }}}),
        ),
        (
            json!({"image": {"reference": "a/b:1"}}),
            json!({"image": {"reference": "a/b:1", "pullPolicy": "IfNotPresent"}}),
        ),
        (
            json!({"iscsi": {"iqn": "i"}, "azureDisk": {"diskName": "d"}}),
            json!({
                "iscsi": {"iqn": "i", "iscsiInterface": "default"},
                "azureDisk": {
                    "diskName": "d", "cachingMode": "ReadWrite", "fsType": "ext4", "kind": "Shared", "readOnly": false,
                },
            }),
        ),
        (
            json!({"serviceAccount": "a"}),
            json!({"serviceAccount": "a", "serviceAccountName": "a"}),
        ),
    ] {
        assert!(same_template(&written, &stored), "{written}");
        assert!(same_template(&stored, &written), "{written}");
    }
    for (one, other) in [
        (
            json!({"resourceFieldRef": {"divisor": "1Mi"}}),
            json!({"resourceFieldRef": {}}),
        ),
        (json!({"serviceAccount": "a"}), json!({})),
        (
            json!({"serviceAccount": "a"}),
            json!({"serviceAccount": "b", "serviceAccountName": "b"}),
        ),
    ] {
        assert!(!same_template(&one, &other), "{one}");
        assert!(!same_template(&other, &one), "{one}");
    }
}
