//! The executor's rights in the cluster.

use everynode_tests::audit::{AuditLog, Request};
use everynode_tests::control_plane::{Component, ControlPlane, Options, client_from_kubeconfig};
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::{Executor, Planner, ServiceOptions};
use everynode_tests::shared::fresh_namespace;
use everynode_tests::terminal::Terminal;
use everynode_tests::wait::eventually;
use everynode_tests::walkthrough::Walkthrough;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::grants::{Account, BoundRole, Grant, roles_of};
use super::manifests::{NAMESPACE, apply, define_foreign_kinds};
use super::work::{Requests, Work};
use crate::tls::Certificates;
use crate::world::DEADLINE;

const EXECUTOR: Account = Account {
    namespace: NAMESPACE,
    name: "everynode-executor",
};

/// The audit policy: logs every request of the executor.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [system:serviceaccount:everynode-system:everynode-executor]
- level: None
";

/// Starts a control plane whose API server differs from the usual one in two ways. It also checks who may block the
/// deletion of an owner. And it has no streaming lists, so the executor must list what it otherwise only watches.
async fn control_plane(audit: &AuditLog) -> ControlPlane {
    let mut flags = audit.flags();
    let more = [
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
        "--feature-gates=WatchList=false",
    ];
    flags.extend(more.map(|flag| (Component::ApiServer, flag.to_owned())));
    let options = Options {
        flags,
        ..Options::default()
    };
    ControlPlane::start(options).await.unwrap()
}

/// Creates, as a dry run, a pod that blocks the deletion of a `DaemonSet`.
async fn create_blocking_pod(client: &Client, daemon_set: &Request, uid: &str) -> kube::Result<Pod> {
    let owner = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "name": daemon_set.name,
        "uid": uid,
        "blockOwnerDeletion": true,
    });
    let pod = json!({
        "metadata": {"name": "dry", "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "main", "image": "example"}]},
    });
    let pod = serde_json::from_value(pod).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), &daemon_set.namespace);
    pods.create(&dry_run, &pod).await
}

/// Checks that every granted verb is needed: without it, the API server refuses a request that the executor has made.
async fn check_every_grant(grants: &[Grant<'_>], client: &Client, requests: &[Request]) {
    for grant in grants {
        let request = requests.iter().find(|request| grant.covers(request));
        let request = request.unwrap_or_else(|| panic!("no request needs {grant}"));
        let is_allowed = EXECUTOR.is_allowed(client, request).await;
        assert!(is_allowed, "{grant} doesn't allow {request:?}");
        grant.revoke(client).await;
        let refused = eventually(DEADLINE, format!("{request:?} to be refused"), async || {
            anyhow::ensure!(
                !EXECUTOR.is_allowed(client, request).await,
                "it is allowed without {grant}"
            );
            Ok(())
        });
        refused.await.unwrap();
    }
}

/// Checks the right to block the deletion of an owner. An admission plugin asks the authorizer for this right, so it
/// never appears as a request of its own.
async fn check_finalizers_grant(
    grant: &Grant<'_>,
    client: &Client,
    executor: &Client,
    agent: &Request,
) -> Request {
    let daemon_sets: Api<DaemonSet> = Api::namespaced(client.clone(), &agent.namespace);
    let uid = daemon_sets.get(&agent.name).await.unwrap().uid().unwrap();
    create_blocking_pod(executor, agent, &uid).await.unwrap();
    grant.revoke(client).await;
    let refused = eventually(DEADLINE, "a pod with an owner to be refused", async || {
        let created = create_blocking_pod(executor, agent, &uid).await;
        match created {
            Err(kube::Error::Api(status)) if status.message.contains("blockOwnerDeletion") => Ok(()),
            other => anyhow::bail!("{other:?}"),
        }
    });
    refused.await.unwrap();
    Request {
        verb: "update".to_owned(),
        resource: "daemonsets/finalizers".to_owned(),
        ..agent.clone()
    }
}

#[tokio::test]
async fn executor_role_grants_exactly_the_verbs_that_it_uses() {
    let audit = AuditLog::new(POLICY).unwrap();
    let control_plane = control_plane(&audit).await;
    let (client, kubectl) = (
        control_plane.client().await.unwrap(),
        control_plane.kubectl().unwrap(),
    );
    Walkthrough::create_nodes(&client).await.unwrap();
    define_foreign_kinds(&kubectl).await;
    apply(&kubectl, "deploy/overlays/production").await;

    let kubeconfig = control_plane.service_account_kubeconfig(EXECUTOR.namespace, EXECUTOR.name);
    let kubeconfig = kubeconfig.await.unwrap();
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let certificates = Certificates::new();
    let options = ServiceOptions {
        certificates: Some(certificates.planner.clone()),
        ..ServiceOptions::default()
    };
    let planner = Planner::start(&programs, options).await.unwrap();
    let options = ServiceOptions {
        certificates: Some(certificates.executor.clone()),
        flags: vec![
            "--callers=tokens".to_owned(),
            "--leader-elect".to_owned(),
            format!("--leader-elect-resource-namespace={NAMESPACE}"),
        ],
        ..ServiceOptions::default()
    };
    let mut executor = Executor::start(&programs, &planner.url(), &kubeconfig, options)
        .await
        .unwrap();
    let mut requests = Requests {
        audit: audit.read(),
        user: EXECUTOR.user(),
        all: Vec::new(),
    };
    let namespace = fresh_namespace(&client).await.unwrap();
    let mut terminal = Terminal::plain(std::io::sink());
    let walk = Walkthrough::new(&control_plane, &namespace, &mut terminal)
        .await
        .unwrap();
    let walked = walk.run().await;
    walked.unwrap_or_else(|error| panic!("{error:#}\n{}", executor.log_tail(30)));
    let work = Work {
        client: client.clone(),
        kubectl: kubectl.in_namespace(&namespace),
        namespace,
        executor: &mut executor,
        caller: &certificates.caller,
        requests: &mut requests,
    };
    work.run().await;
    executor.stop().await.unwrap();
    requests.read();

    let mut requests = requests.all;
    let refused: Vec<_> = requests
        .iter()
        .filter(|request| request.is_unauthorized)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let roles = roles_of(&client, EXECUTOR).await;
    let grants: Vec<_> = roles.iter().flat_map(BoundRole::grants).collect();
    let owners = grants.iter().find(|grant| grant.is_for("daemonsets/finalizers"));
    let agent = requests
        .iter()
        .rfind(|request| request.resource == "daemonsets/status" && request.name == "agent");
    let as_executor = client_from_kubeconfig(&kubeconfig).await.unwrap();
    let update = check_finalizers_grant(owners.unwrap(), &client, &as_executor, agent.unwrap()).await;
    requests.push(update);
    for role in &roles {
        role.restore(&client).await;
    }
    check_every_grant(&grants, &client, &requests).await;
    control_plane.stop().await.unwrap();
}
