use std::{fs, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::*;

/// The environment variable that makes the test write the files.
const UPDATE: &str = "EVERYNODE_UPDATE_CRDS";

fn definitions() -> [CustomResourceDefinition; 3] {
    [
        DaemonSetRolloutPolicy::crd(),
        ClusterDaemonSetRolloutPolicy::crd(),
        DaemonSetRollout::crd(),
    ]
}

#[test]
fn committed_definitions_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/base/crds");
    for definition in definitions() {
        assert_eq!(definition.spec.group, GROUP);
        let text = serde_saphyr::to_string(&definition).unwrap();
        let note = "# Generated from executor/src/rollouts/kinds.rs; a test there compares them.\n";
        let text = format!("{note}{text}");
        let file = folder.join(format!("{}.yaml", definition.spec.names.plural));
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&file, &text).unwrap();
        }
        let committed = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == text,
            "{} is stale; update it with {UPDATE}=1 cargo test -p everynode-executor --lib definitions",
            file.display()
        );
    }
}
