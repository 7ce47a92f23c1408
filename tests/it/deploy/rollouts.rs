//! Tests who may write rollout policies, rollouts and their statuses.

use anyhow::Result;
use everynode_tests::control_plane::ControlPlane;
use everynode_tests::kubectl::Kubectl;
use everynode_tests::wait::eventually;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::Client;
use serde_json::{Value, json};

use super::grants::Account;
use super::manifests::NAMESPACE;
use crate::world::DEADLINE;

const POLICIES: &str = "daemonsetrolloutpolicies";
const CLUSTER_POLICIES: &str = "clusterdaemonsetrolloutpolicies";
const ROLLOUTS: &str = "daemonsetrollouts";
const GROUP: &str = "everynode.io";
/// The role of people who steer rollouts.
const OPERATOR: &str = "everynode-rollout-operator";

/// An object of each kind.
const OBJECTS: &str = "\
apiVersion: everynode.io/v1alpha1
kind: DaemonSetRolloutPolicy
metadata: {name: agent}
spec: {targetRefs: [{name: agent}]}
---
apiVersion: everynode.io/v1alpha1
kind: ClusterDaemonSetRolloutPolicy
metadata: {name: agent}
spec: {}
---
apiVersion: everynode.io/v1alpha1
kind: DaemonSetRollout
metadata: {name: agent}
spec: {}
";

/// What each role allows (`true`) and doesn't allow: a verb, a group and a resource.
const RIGHTS: [(&str, &str, &str, &str, bool); 17] = [
    ("view", "get", GROUP, POLICIES, true),
    ("view", "get", GROUP, CLUSTER_POLICIES, true),
    ("view", "watch", GROUP, ROLLOUTS, true),
    ("view", "create", GROUP, POLICIES, false),
    ("view", "patch", GROUP, ROLLOUTS, false),
    ("edit", "create", GROUP, POLICIES, true),
    ("edit", "delete", GROUP, POLICIES, true),
    ("edit", "patch", GROUP, CLUSTER_POLICIES, false),
    ("edit", "patch", GROUP, ROLLOUTS, false),
    ("edit", "update", GROUP, "daemonsetrolloutpolicies/status", false),
    (OPERATOR, "get", GROUP, POLICIES, true),
    (OPERATOR, "patch", GROUP, POLICIES, false),
    (OPERATOR, "patch", GROUP, ROLLOUTS, true),
    (OPERATOR, "update", GROUP, "daemonsetrollouts/status", false),
    (OPERATOR, "get", "apps", "daemonsets", true),
    (OPERATOR, "list", "apps", "controllerrevisions", true),
    (OPERATOR, "patch", "apps", "daemonsets", false),
];

/// Checks the roles for people, and that only the executor writes statuses. The manifests have been applied.
pub(super) async fn check(control_plane: &ControlPlane) {
    let client = control_plane.client().await.unwrap();
    let kubectl = control_plane.kubectl().unwrap();
    let kinds = [POLICIES, CLUSTER_POLICIES, ROLLOUTS];
    let definitions = kinds.map(|kind| format!("crd/{kind}.{GROUP}"));
    let mut wait = vec!["wait", "--for=condition=Established", "--timeout=30s"];
    wait.extend(definitions.iter().map(String::as_str));
    kubectl.run(wait).await.unwrap();
    check_roles(&client, &kubectl).await;
    kubectl
        .run_with_input(["create", "-f", "-"], OBJECTS)
        .await
        .unwrap();
    for kind in kinds {
        check_status(&kubectl, kind).await;
    }
    kubectl
        .run_with_input(["delete", "-f", "-"], OBJECTS)
        .await
        .unwrap();
}

async fn check_roles(client: &Client, kubectl: &Kubectl) {
    let account = |role| Account {
        namespace: "default",
        name: role,
    };
    for role in ["view", "edit", OPERATOR] {
        let (name, bound) = (format!("rollouts-{role}"), format!("--clusterrole={role}"));
        let subject = format!("--serviceaccount=default:{role}");
        kubectl
            .run(["create", "clusterrolebinding", &name, &bound, &subject])
            .await
            .unwrap();
    }
    for (role, verb, group, resource, expected) in RIGHTS {
        let what = format!("{role} to have the right to {verb} {resource}: {expected}");
        let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        // A controller aggregates the rules into view and edit.
        let settled = eventually(DEADLINE, what, async || {
            let attributes = ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(plural.to_owned()),
                subresource: Some(subresource.to_owned()),
                namespace: Some("default".to_owned()),
                ..ResourceAttributes::default()
            };
            let is_allowed = account(role).may(client, attributes).await;
            anyhow::ensure!(is_allowed == expected, "it is {is_allowed}");
            Ok(())
        });
        settled.await.unwrap();
    }
}

/// Writes the status of the object of a kind as this user, or else as the administrator.
async fn write_status(kubectl: &Kubectl, kind: &str, user: Option<&str>) -> Result<String> {
    let object = kubectl.run(["get", kind, "agent", "-o", "json"]).await?;
    let mut object: Value = serde_json::from_str(&object)?;
    object["status"] = json!({"observedGeneration": 1});
    let mut replace = vec!["replace".to_owned(), "--subresource=status".to_owned()];
    replace.extend(["-f", "-"].map(str::to_owned));
    replace.extend(user.map(|user| format!("--as={user}")));
    kubectl.run_with_input(replace, &object.to_string()).await
}

async fn wait_refused(kubectl: &Kubectl, kind: &str, user: Option<&str>) {
    let what = format!("{user:?} to be refused the status of {kind}");
    let refused = eventually(DEADLINE, what, async || {
        let written = write_status(kubectl, kind, user).await;
        let refusal = written.err().map(|error| format!("{error:#}"));
        let is_by_policy = refusal
            .as_ref()
            .is_some_and(|refusal| refusal.contains("only everynode-executor writes the status"));
        anyhow::ensure!(is_by_policy, "{refusal:?}");
        Ok(())
    });
    refused.await.unwrap();
}

async fn check_status(kubectl: &Kubectl, kind: &str) {
    wait_refused(kubectl, kind, None).await;
    let executor = Account {
        namespace: NAMESPACE,
        name: "everynode-executor",
    };
    write_status(kubectl, kind, Some(&executor.user())).await.unwrap();
    // An account with the executor's name in another namespace, which somebody has given the right in that namespace.
    if kind == CLUSTER_POLICIES {
        return;
    }
    let impostor = Account {
        namespace: "default",
        name: "everynode-executor",
    };
    let resource = format!("--resource={kind}.{GROUP}/status");
    kubectl
        .run(["create", "role", kind, "--verb=update", &resource])
        .await
        .unwrap();
    let role = format!("--role={kind}");
    let subject = "--serviceaccount=default:everynode-executor";
    kubectl
        .run(["create", "rolebinding", kind, &role, subject])
        .await
        .unwrap();
    wait_refused(kubectl, kind, Some(&impostor.user())).await;
}
