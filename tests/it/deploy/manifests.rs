//! The manifests as kustomize builds them.

use everynode_planner::offline::documents;
use everynode_tests::kubectl::Kubectl;
use everynode_tests::programs::workspace;
use serde_json::Value;

/// The namespace that the manifests create.
pub(super) const NAMESPACE: &str = "everynode-system";

/// The base of all overlays.
pub(super) const BASE: &str = "deploy/base";

/// The overlay whose pods use the host network.
pub(super) const HOST_NETWORK_OVERLAY: &str = "deploy/overlays/control-plane";

/// Kinds of other projects that some manifests use. The definitions here accept any content, because checking it is the
/// job of those projects' own servers.
const FOREIGN_KINDS: [(&str, &str, &str); 4] = [
    ("cert-manager.io", "Issuer", "issuers"),
    ("cert-manager.io", "Certificate", "certificates"),
    ("monitoring.coreos.com", "PodMonitor", "podmonitors"),
    ("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
];

/// All folders that can be applied. The list is read from disk, so no overlay can be forgotten.
pub(super) fn overlays() -> Vec<String> {
    let mut folders = vec![BASE.to_owned()];
    for entry in std::fs::read_dir(workspace().join("deploy/overlays")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        folders.push(format!("deploy/overlays/{name}"));
    }
    folders.sort();
    folders
}

/// The objects in the output of kustomize for a folder.
pub(super) fn documents(folder: &str, built: &str) -> Vec<Value> {
    let documents = documents::parse(folder, built.as_bytes()).unwrap().documents;
    documents.into_iter().map(|document| document.value).collect()
}

/// Defines [`FOREIGN_KINDS`] in the API server.
pub(super) async fn define_foreign_kinds(kubectl: &Kubectl) {
    let definitions = FOREIGN_KINDS.map(|(group, kind, plural)| {
        let singular = kind.to_lowercase();
        format!(
            "apiVersion: apiextensions.k8s.io/v1\n\
             kind: CustomResourceDefinition\n\
             metadata: {{name: {plural}.{group}}}\n\
             spec:\n\
             \x20 group: {group}\n\
             \x20 scope: Namespaced\n\
             \x20 names: {{kind: {kind}, plural: {plural}, singular: {singular}}}\n\
             \x20 versions:\n\
             \x20 - name: v1\n\
             \x20   served: true\n\
             \x20   storage: true\n\
             \x20   schema:\n\
             \x20     openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}\n"
        )
    });
    kubectl
        .run_with_input(["create", "-f", "-"], &definitions.join("---\n"))
        .await
        .unwrap();
    kubectl
        .run([
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ])
        .await
        .unwrap();
}

/// Applies a folder. A warning from the API server is a failure.
pub(super) async fn apply(kubectl: &Kubectl, folder: &str) {
    kubectl
        .run(["apply", "--warnings-as-errors", "-k", folder])
        .await
        .unwrap();
}
