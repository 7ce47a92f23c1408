//! Compares what the manifests say about the containers with the programs' own flags, versions and services.

use std::process::Command;

use clap::Parser as _;
use everynode_executor::program::args::Args;
use everynode_planner::args::Cli;
use everynode_proto::executor::v1::executor_service_server::SERVICE_NAME as EXECUTOR;
use everynode_proto::planner::v1::planner_service_server::SERVICE_NAME as PLANNER;
use everynode_tests::programs::workspace;
use everynode_tests::toolbox::{Tool, Toolbox};
use serde_json::Value;

use super::manifests::{HOST_NETWORK_OVERLAY, documents, overlays};

/// Every container of every folder, paired with its folder.
fn containers() -> Vec<(String, Value)> {
    let kubectl = Toolbox::ensure().unwrap().path(Tool::Kubectl).unwrap();
    let mut containers = Vec::new();
    for folder in overlays() {
        let output = Command::new(&kubectl)
            .args(["kustomize", &folder])
            .current_dir(workspace())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        for object in documents(&folder, &String::from_utf8_lossy(&output.stdout)) {
            let found = object.pointer("/spec/template/spec/containers");
            let found = found.and_then(Value::as_array).into_iter().flatten();
            containers.extend(found.map(|container| (folder.clone(), container.clone())));
        }
    }
    containers
}

/// The service names in a container's gRPC probes.
fn probed_services(container: &Value) -> Vec<&str> {
    ["startupProbe", "readinessProbe", "livenessProbe"]
        .iter()
        .filter_map(|probe| container[probe]["grpc"]["service"].as_str())
        .collect()
}

#[test]
fn every_container_has_the_current_version_and_probes_its_own_service() {
    let containers = containers();
    assert!(containers.len() >= 10, "{containers:?}");
    for (folder, container) in &containers {
        let name = container["name"].as_str().unwrap();
        let image = format!("everynode-{name}:{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(container["image"], image.as_str(), "in {folder}");
        let service = if name == "planner" { PLANNER } else { EXECUTOR };
        let probed = probed_services(container);
        // Only the planner's readiness is asked for over gRPC. A gRPC probe can't reach the ports of this overlay, because
        // they listen on loopback.
        let has_grpc_probe = name == "planner" && folder != HOST_NETWORK_OVERLAY;
        assert_eq!(!probed.is_empty(), has_grpc_probe, "{name} in {folder}");
        for probed in probed {
            assert_eq!(probed, service, "{name} in {folder}");
        }
    }
}

#[test]
fn every_containers_flags_are_accepted_by_its_program() {
    for (folder, container) in containers() {
        let args: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
        let line = std::iter::once("program".to_owned()).chain(args);
        let parsed = if container["name"] == "planner" {
            Cli::try_parse_from(line).map(drop)
        } else {
            Args::try_parse_from(line).map(drop)
        };
        parsed.unwrap_or_else(|error| panic!("in {folder}: {error}"));
    }
}
