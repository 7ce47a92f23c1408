//! Objects as `kubectl get -o json` prints them, and their conversion for requests.

use everynode_proto::facts::RawStruct;
use serde_json::{Value, json};

pub(crate) fn raw_struct(value: &Value) -> RawStruct {
    value.as_object().expect("an object").into()
}

pub(crate) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    let items: Vec<_> = items.into_iter().collect();
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
}

pub(crate) fn node(name: &str, taints: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true"
            },
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux"
            },
            "managedFields": [{
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/os": {}}}},
                "manager": "kubelet",
                "operation": "Update",
                "time": "2026-01-02T03:04:05Z"
            }],
            "name": name,
            "resourceVersion": "1234567",
            "uid": "6f4f7d4e-8a09-4a1c-9a63-1f2d3c4b5a69"
        },
        "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"], "taints": taints},
        "status": {
            "addresses": [{"address": "10.0.0.7", "type": "InternalIP"}],
            "allocatable": {"cpu": "8", "ephemeral-storage": "95491281146", "memory": "32781680Ki", "pods": "110"},
            "conditions": [{
                "lastHeartbeatTime": "2026-01-02T04:04:05Z",
                "lastTransitionTime": "2026-01-02T03:04:35Z",
                "message": "kubelet is posting ready status",
                "reason": "KubeletReady",
                "status": "True",
                "type": "Ready"
            }],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": [{"names": ["registry.k8s.io/pause:3.10"], "sizeBytes": 320_368}],
            "nodeInfo": {"architecture": "amd64", "kubeletVersion": "v1.36.3", "swap": {"capacity": 0}}
        }
    })
}

pub(crate) fn daemon_set(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "annotations": {
                "deprecated.daemonset.template.generation": "2",
                "kubectl.kubernetes.io/last-applied-configuration": "{\"apiVersion\":\"apps/v1\"}\n"
            },
            "creationTimestamp": "2026-01-02T03:00:00Z",
            "generation": 2,
            "managedFields": [{"apiVersion": "apps/v1", "manager": "kubectl", "operation": "Apply"}],
            "name": name,
            "namespace": "monitoring",
            "resourceVersion": "1234000",
            "uid": format!("{name}-uid")
        },
        "spec": {
            "minReadySeconds": 30,
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"creationTimestamp": null, "labels": {"app": name}},
                "spec": {
                    "affinity": {"nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [{
                            "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
                            "weight": 10
                        }],
                        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{
                            "matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]
                        }]}
                    }},
                    "containers": [{
                        "image": "registry.example.com/agent:1.2.3",
                        "imagePullPolicy": "IfNotPresent",
                        "name": "agent",
                        "ports": [{"containerPort": 9100, "hostPort": 9100, "protocol": "TCP"}],
                        "resources": {"limits": {"memory": "200Mi"}, "requests": {"cpu": "100m", "memory": "200Mi"}},
                        "terminationMessagePath": "/dev/termination-log"
                    }],
                    "dnsPolicy": "ClusterFirst",
                    "hostNetwork": true,
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "restartPolicy": "Always",
                    "schedulerName": "default-scheduler",
                    "securityContext": {},
                    "terminationGracePeriodSeconds": 30,
                    "tolerations": [{
                        "effect": "NoSchedule",
                        "key": "node-role.kubernetes.io/control-plane",
                        "operator": "Exists"
                    }]
                }
            },
            "updateStrategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "50%"}, "type": "RollingUpdate"}
        },
        "status": {
            "currentNumberScheduled": 1,
            "desiredNumberScheduled": 1,
            "numberAvailable": 1,
            "numberMisscheduled": 0,
            "numberReady": 1,
            "observedGeneration": 1
        }
    })
}

/// A running pod of the `DaemonSet` called `owner`.
pub(crate) fn pod(
    owner: &str,
    name: &str,
    node: &str,
    template_generation: &str,
    ready_since: &str,
) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "creationTimestamp": "2026-01-02T03:05:00Z",
            "generateName": format!("{owner}-"),
            "labels": {
                "app": owner,
                "controller-revision-hash": format!("hash-{template_generation}"),
                "pod-template-generation": template_generation
            },
            "managedFields": [{"apiVersion": "v1", "manager": "kubelet", "subresource": "status"}],
            "name": name,
            "namespace": "monitoring",
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "blockOwnerDeletion": true,
                "controller": true,
                "kind": "DaemonSet",
                "name": owner,
                "uid": format!("{owner}-uid")
            }],
            "uid": format!("{name}-uid")
        },
        "spec": {
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
            ]}}},
            "containers": [{"image": "registry.example.com/agent:1.2.3", "name": "agent"}],
            "nodeName": node,
            "priority": 0,
            "tolerations": [{
                "effect": "NoExecute",
                "key": "node.kubernetes.io/not-ready",
                "operator": "Exists"
            }]
        },
        "status": {
            "conditions": [
                {"lastProbeTime": null, "lastTransitionTime": "2026-01-02T03:05:00Z", "status": "True", "type": "Initialized"},
                {"lastProbeTime": null, "lastTransitionTime": ready_since, "status": "True", "type": "Ready"}
            ],
            "hostIP": "10.0.0.7",
            "phase": "Running",
            "qosClass": "Burstable",
            "startTime": "2026-01-02T03:05:00Z"
        }
    })
}
