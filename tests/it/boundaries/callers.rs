//! Limits on callers. Callers with a junk token, or without a token, take neither slots nor the API server's time from
//! callers with a valid token. Only callers with the right to get nodes see node data.

use std::time::Instant;

use everynode_proto::executor::v1::executor_service_client::ExecutorServiceClient;
use everynode_proto::executor::v1::{
    ExplainRequest, GetInfoRequest, GetNodeOverheadRequest, ListDaemonSetsRequest, WatchPlansRequest,
};
use everynode_tests::audit::{Audit, AuditLog};
use everynode_tests::control_plane::{ControlPlane, Options};
use everynode_tests::kubectl::Kubectl;
use everynode_tests::nodes::NodeBuilder;
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::{Executor, Planner, ServiceOptions};
use everynode_tests::shared::fresh_namespace;
use futures::future::join_all;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::tls::{Certificates, connect};
use crate::world::DEADLINE;

/// The audit policy: logs the reviews that the executor requests about its callers.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create]
  resources:
  - {group: authentication.k8s.io, resources: [tokenreviews]}
  - {group: authorization.k8s.io, resources: [subjectaccessreviews]}
- level: None
";

/// An executor with one slot for calls and one for watches. Its callers need tokens.
struct Scene {
    executor: Executor,
    _planner: Planner,
    control_plane: ControlPlane,
    kubectl: Kubectl,
    namespace: String,
    audit: Audit,
    _log: AuditLog,
    certificates: Certificates,
}

impl Scene {
    async fn new() -> Self {
        Self::with_flags(&[]).await
    }

    /// A scene with additional flags for the executor.
    async fn with_flags(flags: &[&str]) -> Self {
        let log = AuditLog::new(POLICY).unwrap();
        let options = Options {
            flags: log.flags(),
            ..Options::default()
        };
        let control_plane = ControlPlane::start(options).await.unwrap();
        let client = control_plane.client().await.unwrap();
        NodeBuilder::new("node-01").create(&client).await.unwrap();
        let namespace = fresh_namespace(&client).await.unwrap();
        let certificates = Certificates::new();
        let programs = Programs::built(Profile::Dev).await.unwrap();
        let options = ServiceOptions {
            certificates: Some(certificates.planner.clone()),
            ..ServiceOptions::default()
        };
        let planner = Planner::start(&programs, options).await.unwrap();
        let limits = ["--callers=tokens", "--max-concurrent-calls=1", "--max-watches=1"];
        let flags = limits.iter().chain(flags).map(|flag| (*flag).to_owned());
        let options = ServiceOptions {
            certificates: Some(certificates.executor.clone()),
            flags: flags.collect(),
            ..ServiceOptions::default()
        };
        let kubeconfig = control_plane.kubeconfig().to_owned();
        let executor = Executor::start(&programs, &planner.url(), &kubeconfig, options).await;
        Self {
            executor: executor.unwrap(),
            _planner: planner,
            kubectl: control_plane.kubectl().unwrap().in_namespace(&namespace),
            control_plane,
            namespace,
            audit: log.read(),
            _log: log,
            certificates,
        }
    }

    async fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl.run(args).await.unwrap().trim().to_owned()
    }

    /// Creates an account with these rights, each given as verb and resource, and returns a token of it.
    async fn account(&self, name: &str, rights: &[(&str, &str)]) -> String {
        self.kubectl(&["create", "serviceaccount", name]).await;
        let account = format!("--serviceaccount={}:{name}", self.namespace);
        for (index, (verb, resource)) in rights.iter().enumerate() {
            let role = format!("{name}-{index}");
            let (verb, resource) = (format!("--verb={verb}"), format!("--resource={resource}"));
            self.kubectl(&["create", "clusterrole", &role, &verb, &resource])
                .await;
            let bound = format!("--clusterrole={role}");
            self.kubectl(&["create", "clusterrolebinding", &role, &bound, &account])
                .await;
        }
        self.kubectl(&["create", "token", name]).await
    }

    async fn client(&self) -> ExecutorServiceClient<Channel> {
        let channel = connect(&self.certificates.caller, &self.executor.url()).await;
        ExecutorServiceClient::new(channel.unwrap())
    }
}

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

#[tokio::test]
async fn junk_tokens_cause_few_token_reviews_and_take_no_slot() {
    let mut scene = Scene::new().await;
    let token = scene.account("reader", &[("list", "daemonsets.apps")]).await;
    let mut reader = scene.client().await;
    let list = || with_token(&token, ListDaemonSetsRequest::default());
    reader.list_daemon_sets(list()).await.unwrap();
    scene.audit.read().unwrap();

    let began = Instant::now();
    let mut callers = Vec::new();
    for caller in 0..20 {
        let mut client = scene.client().await;
        callers.push(async move {
            let mut refused = Vec::new();
            for number in 0..50 {
                let junk = format!("junk-{caller}-{number}");
                refused.push(
                    client
                        .get_info(with_token(&junk, GetInfoRequest {}))
                        .await
                        .unwrap_err(),
                );
                refused.push(client.get_info(GetInfoRequest {}).await.unwrap_err());
                let watch = client.watch_plans(WatchPlansRequest::default()).await;
                refused.push(watch.err().unwrap());
            }
            refused
        });
    }
    let reading = async {
        for _ in 0..50 {
            reader.list_daemon_sets(list()).await.unwrap();
        }
    };
    let (callers, ()) = tokio::join!(join_all(callers), reading);
    let elapsed = began.elapsed();
    let refused: Vec<Status> = callers.into_iter().flatten().collect();
    assert_eq!(refused.len(), 3_000);
    let count_of = |code| refused.iter().filter(|status| status.code() == code).count();
    assert_eq!(
        count_of(Code::Unauthenticated) + count_of(Code::ResourceExhausted),
        3_000
    );
    assert!(
        count_of(Code::Unauthenticated) >= 2_000,
        "every call without a token is refused as unauthenticated"
    );

    let logged = scene.audit.read().unwrap();
    let reviews = logged.iter().filter(|request| request.resource == "tokenreviews");
    // All callers share one address, which is allowed 10 reviews at once and then 5 per second. The rest are the
    // reader's own reviews.
    let max_reviews = 10 + 5 * (elapsed.as_secs() + 1) + elapsed.as_secs() / 10 + 2;
    let count = reviews.count() as u64;
    assert!(count <= max_reviews, "{count} token reviews in {elapsed:?}");
    scene.control_plane.stop().await.unwrap();
}

#[tokio::test]
async fn only_callers_who_may_get_nodes_see_node_data() {
    let scene = Scene::new().await;
    let rights = [("list", "daemonsets.apps"), ("get", "daemonsets.apps")];
    let reader = scene.account("reader", &rights).await;
    let all = [rights[0], rights[1], ("get", "nodes")];
    let operator = scene.account("operator", &all).await;
    let mut client = scene.client().await;
    for node in ["node-01", "missing"] {
        let node = node.to_owned();
        let daemon_set = String::new();
        let explain = ExplainRequest {
            daemon_set,
            node: node.clone(),
        };
        let explained = client.explain(with_token(&reader, explain)).await.unwrap_err();
        let overhead = GetNodeOverheadRequest { node: node.clone() };
        let overhead = client
            .get_node_overhead(with_token(&reader, overhead))
            .await
            .unwrap_err();
        let user = format!("system:serviceaccount:{}:reader", scene.namespace);
        // The message that kubectl would show.
        let message = format!(
            "nodes {node:?} is forbidden: User {user:?} cannot get resource \"nodes\" in API group \"\" at the cluster scope"
        );
        for refused in [explained, overhead] {
            assert_eq!(
                (refused.code(), refused.message()),
                (Code::PermissionDenied, message.as_str())
            );
        }
    }
    let overhead = |node: &str| GetNodeOverheadRequest {
        node: node.to_owned(),
    };
    let known = client
        .get_node_overhead(with_token(&operator, overhead("node-01")))
        .await;
    known.unwrap();
    let missing = client
        .get_node_overhead(with_token(&operator, overhead("node-02")))
        .await;
    let missing = missing.unwrap_err();
    // Without the right to list nodes, the answer suggests no other node.
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::NotFound, "there is no node node-02")
    );
    scene.control_plane.stop().await.unwrap();
}

#[tokio::test]
async fn watch_ends_after_its_maximum_duration_and_frees_its_slot() {
    let scene = Scene::with_flags(&["--max-watch-duration=1s"]).await;
    let token = scene.account("watcher", &[("watch", "daemonsets.apps")]).await;
    let mut client = scene.client().await;
    for _ in 0..3 {
        // There is only one slot for watches.
        let watch = with_token(&token, WatchPlansRequest::default());
        let mut events = client.watch_plans(watch).await.unwrap().into_inner();
        let end = timeout(DEADLINE, async {
            loop {
                if let Err(end) = events.message().await {
                    break end;
                }
            }
        });
        let end = end.await.unwrap();
        assert_eq!(end.code(), Code::Unavailable);
        let info = end.get_details_error_info().unwrap();
        assert_eq!(info.reason, "WATCH_LASTED", "{end}");
    }
    scene.control_plane.stop().await.unwrap();
}
