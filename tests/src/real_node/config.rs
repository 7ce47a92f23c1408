//! The configuration of a node's programs.

use std::path::Path;

use serde_json::{Value, json};

use super::machine::{NODE, PODS};
use super::{NAME, PAUSE};

/// The IP of the cluster's DNS Service, within the API server's range.
pub(super) const DNS: &str = "10.96.0.10";
/// The path of containerd's socket inside the machine.
pub(super) const SOCKET: &str = "/run/containerd/containerd.sock";

/// containerd's configuration, in TOML.
pub(super) fn containerd(home: &Path) -> String {
    let (root, network) = (home.join("containerd"), home.join("cni"));
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
# This plugin would create a folder in /opt.
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# Without CAP_SYS_RESOURCE, a process's OOM score can't go below containerd's.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{network}"
"#,
        root = root.display(),
        network = network.display(),
    )
}

/// The pods' network: a bridge, and port mappings for `hostPort`.
pub(super) fn network() -> Value {
    let addresses = json!({
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    json!({"cniVersion": "0.4.0", "name": "pods", "plugins": [
        {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]})
}

/// kubelet's configuration. JSON is YAML too.
pub(super) fn kubelet(home: &Path) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        // Only this machine and its pods can reach it.
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": home.join("resolv.conf"),
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "volumePluginDir": home.join("volume-plugins"),
        // Works without systemd, and with cgroups of either version.
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        // The fill level of this machine's disk says nothing about the node.
        "evictionHard": {"memory.available": "10Mi"},
        "imageGCHighThresholdPercent": 100,
    })
}

/// kubelet's flags.
pub(super) fn kubelet_flags(home: &Path, config: &Path, kubeconfig: &Path) -> Vec<String> {
    vec![
        format!("--config={}", config.display()),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--root-dir={}", home.join("kubelet").display()),
        format!("--cert-dir={}", home.join("pki").display()),
        format!("--hostname-override={NAME}"),
        format!("--node-ip={NODE}"),
    ]
}

/// kube-proxy's flags.
pub(super) fn proxy_flags(kubeconfig: &Path) -> Vec<String> {
    let mut flags = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--hostname-override={NAME}"),
        format!("--cluster-cidr={PODS}"),
    ];
    // The limit on tracked connections applies to the whole kernel, so kube-proxy must not change conntrack's settings.
    flags.extend(
        [
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        ]
        .map(str::to_owned),
    );
    flags
}

/// `CoreDNS`' configuration.
pub(super) fn corefile(kubeconfig: &Path) -> String {
    format!(
        "cluster.local {{\n    bind {NODE}\n    errors\n    ready {NODE}:8181\n    kubernetes cluster.local {{\n        \
         kubeconfig {}\n        ttl 1\n    }}\n}}\n",
        kubeconfig.display()
    )
}

/// The Service of the cluster's DNS and its endpoints. `CoreDNS` runs as a process on the node, not in a pod.
pub(super) fn dns() -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system}}
spec:
  clusterIP: {DNS}
  ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {{kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
endpoints: [{{addresses: [\"{NODE}\"], conditions: {{ready: true}}}}]
"
    )
}
