//! Pod templates with content that is easily lost or changed on the way.

use everynode_tests::daemonsets::DaemonSetBuilder;
use serde_json::{Value, json};

/// Fields that are present but empty.
pub(crate) fn odd_fields() -> Value {
    let container = json!({
        "name": "main", "image": "example/daemon:1", "command": [], "env": [], "resources": {}, "securityContext": {},
        "volumeMounts": [], "imagePullPolicy": "Always",
    });
    let spec = json!({"containers": [container], "volumes": [], "tolerations": [], "affinity": {}, "nodeSelector": {}});
    json!({"spec": {"template": {"metadata": {"annotations": {}}, "spec": spec}}})
}

/// A `DaemonSet` whose template has content that is easily lost or changed on the way: characters that encoders escape,
/// empty and null fields, quantities in several notations, volumes of many kinds, init containers and sidecars.
pub(crate) fn rich_daemon_set(name: &str) -> DaemonSetBuilder {
    let main = json!({
        "name": "main",
        "image": "example/daemon:1",
        "command": ["sh", "-c", "if [ \"$A\" < 1 ] && true; then echo '<&>' > /dev/null; fi"],
        "args": [],
        "env": [
            {"name": "GREETING", "value": "grüße, 世界 \u{2028} \u{2029} \u{7f} \u{1f600}"},
            {"name": "EMPTY", "value": ""},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        ],
        "resources": {
            "requests": {"cpu": "0.1", "memory": "128974848", "ephemeral-storage": "1e3"},
            "limits": {"cpu": "1500m", "memory": "1Gi", "ephemeral-storage": "2000k"},
        },
        "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 53, "protocol": "UDP"}],
        "livenessProbe": {"httpGet": {"path": "/?a=1&b=2", "port": "web"}, "initialDelaySeconds": 0},
        "readinessProbe": {"exec": {"command": ["true"]}},
        "securityContext": {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}, "runAsUser": 0, "privileged": false},
        "volumeMounts": [
            {"name": "host", "mountPath": "/host", "mountPropagation": "HostToContainer", "readOnly": true},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "all", "mountPath": "/all"},
        ],
    });
    let init = json!([
        {"name": "prepare", "image": "example/init:1", "resources": {"requests": {"cpu": "1"}}},
        {"name": "sidecar", "image": "example/sidecar:1", "restartPolicy": "Always"},
    ]);
    let volumes = json!([
        {"name": "host", "hostPath": {"path": "/var/log", "type": ""}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "0.5Gi"}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "config", "configMap": {"name": "settings", "optional": true, "defaultMode": 256, "items": [{"key": "a", "path": "b"}]}},
        {"name": "secret", "secret": {"secretName": "s", "optional": true}},
        {"name": "nothing", "emptyDir": {}},
        {"name": "all", "projected": {"sources": [
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        ]}},
    ]);
    let affinity = json!({
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}},
        ]},
        "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 7, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}},
        ]},
    });
    let metadata = json!({
        "annotations": {"example.com/html": "<a href=\"/?x=1&y=2\">\u{2028}</a>", "example.com/empty": ""},
        "labels": {"tier": "", "app.kubernetes.io/part-of": "node"},
    });
    let spec = json!({
        "containers": [main],
        "initContainers": init,
        "volumes": volumes,
        "affinity": affinity,
        "nodeSelector": {},
        "securityContext": {},
        "imagePullSecrets": [{"name": "pull"}],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a.example", "b.example"]}],
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]},
        "terminationGracePeriodSeconds": 0,
        "priorityClassName": "system-node-critical",
        "hostPID": true,
        "tolerations": [
            {"operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        ],
    });
    DaemonSetBuilder::new(name).with(&json!({"spec": {"template": {"metadata": metadata, "spec": spec}}}))
}
