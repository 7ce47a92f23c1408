//! Tests the role of people who may use `kubectl everynode` and nothing else.

use std::path::Path;
use std::process::Stdio;

use everynode_tests::control_plane::ControlPlane;
use everynode_tests::kubectl::Kubectl;
use everynode_tests::programs::{Profile, Programs};
use tokio::process::Command;
use tokio::time::timeout;

use super::manifests::NAMESPACE;
use crate::world::DEADLINE;

/// The plugin's error output with this kubeconfig.
async fn plugin_stderr(kubectl: &Kubectl, kubeconfig: &Path) -> String {
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let output = Command::new(&programs.plugin)
        .args(["status", "--all-namespaces", "--kubeconfig"])
        .arg(kubeconfig)
        .env("KUBECTL_PATH", kubectl.program())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(DEADLINE, output)
        .await
        .expect("the plugin ends before the deadline")
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks that the API server refuses the plugin's requests without the role. With the role, the plugin gets as far as
/// the kubelet, which doesn't exist here.
pub(super) async fn check(control_plane: &ControlPlane) {
    let kubectl = control_plane.kubectl().unwrap();
    kubectl
        .run(["create", "serviceaccount", "viewer", "-n", "default"])
        .await
        .unwrap();
    let kubeconfig = control_plane.service_account_kubeconfig("default", "viewer");
    let kubeconfig = kubeconfig.await.unwrap();
    let stderr = plugin_stderr(&kubectl, &kubeconfig).await;
    assert!(stderr.contains("forbidden"), "{stderr}");
    let binding = [
        "create",
        "rolebinding",
        "viewer",
        "--clusterrole=everynode-viewer",
        "--serviceaccount=default:viewer",
        "-n",
        NAMESPACE,
    ];
    kubectl.run(binding).await.unwrap();
    let stderr = plugin_stderr(&kubectl, &kubeconfig).await;
    assert!(
        stderr.contains("port-forward") && !stderr.contains("forbidden"),
        "{stderr}"
    );
}
