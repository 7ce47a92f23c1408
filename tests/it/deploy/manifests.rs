//! The manifests as kustomize puts them together.

use everynode_planner::offline::documents;
use everynode_tests::kubectl::Kubectl;
use everynode_tests::programs::workspace;
use serde_json::Value;

/// The namespace that they make.
pub(super) const NAMESPACE: &str = "everynode-system";

/// What everything else is made from.
pub(super) const BASE: &str = "deploy/base";

/// Kinds of other projects that some of them have objects of. Nothing is said of what those may hold: that is for those projects'
/// own servers to check.
const FOREIGN_KINDS: [(&str, &str, &str); 4] = [
    ("cert-manager.io", "Issuer", "issuers"),
    ("cert-manager.io", "Certificate", "certificates"),
    ("monitoring.coreos.com", "PodMonitor", "podmonitors"),
    ("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
];

/// The folders that can be applied, without any that was forgotten here.
pub(super) fn overlays() -> Vec<String> {
    let mut folders = vec![BASE.to_owned()];
    for entry in std::fs::read_dir(workspace().join("deploy/overlays")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        folders.push(format!("deploy/overlays/{name}"));
    }
    folders.sort();
    folders
}

/// The objects of a folder, of what kustomize makes of it.
pub(super) fn documents(folder: &str, built: &str) -> Vec<Value> {
    let documents = documents::parse(folder, built).unwrap();
    documents.into_iter().map(|document| document.value).collect()
}

/// Has the API server know [`FOREIGN_KINDS`].
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

/// Applies a folder. A warning of the API server is a failure.
pub(super) async fn apply(kubectl: &Kubectl, folder: &str) {
    kubectl
        .run(["apply", "--warnings-as-errors", "-k", folder])
        .await
        .unwrap();
}
