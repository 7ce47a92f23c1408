//! The rights of callers with tokens. The tests authenticate callers as the gate does, but without a connection.

use everynode_serving::serve::{Authenticator, Identity, Peer};
use http::{HeaderMap, header::AUTHORIZATION};

use super::*;
use crate::live_view::service::callers::tests::Cluster;

/// The service on top of a rig with the agent on these nodes. Callers use the token `t`.
pub(super) struct Guarded {
    pub(super) executor: Executor,
    pub(super) cluster: Cluster,
    _rig: Rig,
    _planned: FakePlannerSession,
    _leads: state::Sender<Leadership>,
}

impl Guarded {
    pub(super) async fn new(nodes: &[&str], rights: &[&str]) -> Self {
        let (rig, planned) = Rig::synced(nodes, &[]).await;
        let (leads, leadership) = state::channel(Leadership::ours("me"));
        let (cluster, api) = Cluster::start(rights);
        let tokens = Tokens::new(api.clone(), rig.metrics.clone());
        let executor = Executor {
            tokens: Some(Arc::new(tokens)),
            ..executor(&rig, &FakePlanner::default(), leadership, api)
        };
        Self {
            executor,
            cluster,
            _rig: rig,
            _planned: planned,
            _leads: leads,
        }
    }

    pub(super) async fn request<T>(&self, message: T) -> Request<T> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, "Bearer t".parse().unwrap())]);
        let peer = Peer::new(Identity::Anonymous, None);
        let tokens = self.executor.tokens.as_ref().unwrap();
        let authenticated = tokens.authenticate(&headers, Some(&peer)).await.unwrap();
        let mut request = Request::new(message);
        request.extensions_mut().insert(authenticated);
        request
    }

    async fn explain(&self, daemon_set: &str, node: &str) -> Result<ExplainResponse, Status> {
        let (daemon_set, node) = (daemon_set.to_owned(), node.to_owned());
        let request = self.request(ExplainRequest { daemon_set, node }).await;
        soon(self.executor.explain(request))
            .await
            .map(Response::into_inner)
    }

    async fn overhead(&self, node: &str) -> Result<GetNodeOverheadResponse, Status> {
        let node = node.to_owned();
        let request = self.request(GetNodeOverheadRequest { node }).await;
        soon(self.executor.get_node_overhead(request))
            .await
            .map(Response::into_inner)
    }
}

#[tokio::test(start_paused = true)]
async fn placement_is_shown_to_callers_who_may_see_the_nodes_too() {
    let rights = ["get daemonsets default/agent"];
    let guarded = Guarded::new(&["n1"], &rights).await;
    let refused = guarded.explain("default/agent", "n1").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "nodes \"n1\" is forbidden: User \"ann\" cannot get resource \"nodes\" in API group \"\" at the cluster scope"
    );
    let refused = guarded.explain("default/agent", "").await.unwrap_err();
    assert_eq!(
        refused.message(),
        "nodes is forbidden: User \"ann\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );

    let guarded = Guarded::new(&["n1"], &["get daemonsets default/agent", "get nodes n1"]).await;
    let answer = guarded.explain("default/agent", "n1").await.unwrap();
    assert_eq!(answer.placements.len(), 1);
    // The right to one node or `DaemonSet` isn't the right to all of them.
    let refused = guarded.explain("default/agent", "").await.unwrap_err();
    assert!(
        refused.message().contains("cannot list resource \"nodes\""),
        "{refused}"
    );
    let refused = guarded.explain("", "n1").await.unwrap_err();
    assert!(
        refused.message().contains("cannot list resource \"daemonsets\""),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn overhead_of_a_node_is_shown_to_callers_who_may_see_the_node_too() {
    let guarded = Guarded::new(&["n1"], &["list daemonsets"]).await;
    for node in ["n1", "missing"] {
        let refused = guarded.overhead(node).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let words = format!("nodes {node:?} is forbidden: User \"ann\" cannot get resource \"nodes\"");
        assert!(refused.message().starts_with(&words), "{refused}");
    }
    let guarded = Guarded::new(&["n1"], &["get nodes n1"]).await;
    let refused = guarded.overhead("n1").await.unwrap_err();
    assert!(
        refused.message().contains("cannot list resource \"daemonsets\""),
        "{refused}"
    );
    let guarded = Guarded::new(&["n1"], &["list daemonsets", "get nodes n2", "get nodes missing"]).await;
    let missing = guarded.overhead("missing").await.unwrap_err();
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::NotFound, "there is no node missing")
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_are_the_same_whether_or_not_something_is_there() {
    let guarded = Guarded::new(&["n1"], &["get daemonsets other/mine"]).await;
    for (daemon_set, node) in [
        ("default/agent", "n1"),
        ("default/missing", "n1"),
        ("other/mine", "n1"),
        ("other/mine", "missing"),
        ("default/agent", "missing"),
    ] {
        let refused = guarded.explain(daemon_set, node).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{daemon_set} {node}");
    }
    for name in ["agent", "missing"] {
        let (namespace, name) = ("default".to_owned(), name.to_owned());
        let list = ListDaemonSetsRequest {
            namespace: namespace.clone(),
            name: name.clone(),
        };
        let request = guarded.request(list).await;
        let refused = guarded.executor.list_daemon_sets(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let request = guarded.request(WatchPlansRequest { namespace, name }).await;
        let refused = guarded.executor.watch_plans(request).await.err().unwrap();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
}

#[tokio::test(start_paused = true)]
async fn suggestions_are_names_that_the_caller_may_list() {
    let node = "get nodes n1";
    let missing = "there is no DaemonSet other/agent";
    let suggested = "there is no DaemonSet other/agent; did you mean default/agent?";
    for (rights, words) in [
        (&["get daemonsets other/agent", node][..], missing),
        (
            &["get daemonsets other/agent", "list daemonsets other", node],
            missing,
        ),
        (
            &["get daemonsets other/agent", "list daemonsets default", node],
            missing,
        ),
        (
            &["get daemonsets other/agent", "list daemonsets", node],
            suggested,
        ),
    ] {
        let guarded = Guarded::new(&["n1"], rights).await;
        let refused = guarded.explain("other/agent", "n1").await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::NotFound, words),
            "{rights:?}"
        );
    }
    let rights = ["get daemonsets default/agnt", "list daemonsets default", node];
    let guarded = Guarded::new(&["n1"], &rights).await;
    let refused = guarded.explain("default/agnt", "n1").await.unwrap_err();
    let words = "there is no DaemonSet default/agnt; did you mean default/agent?";
    assert_eq!(refused.message(), words, "those of the namespace");
}

#[tokio::test(start_paused = true)]
async fn nodes_are_suggested_to_callers_who_may_list_them() {
    for (rights, words) in [
        (
            &["list daemonsets", "get nodes worker-3"][..],
            "there is no node worker-3",
        ),
        (
            &["list daemonsets", "get nodes worker-3", "list nodes"],
            "there is no node worker-3; did you mean worker-1?",
        ),
    ] {
        let guarded = Guarded::new(&["worker-1"], rights).await;
        let explained = guarded.explain("", "worker-3").await.unwrap_err();
        let overhead = guarded.overhead("worker-3").await.unwrap_err();
        for refused in [explained, overhead] {
            assert_eq!(
                (refused.code(), refused.message()),
                (Code::NotFound, words),
                "{rights:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cant_be_a_name_is_refused_before_anybody_is_asked() {
    let guarded = Guarded::new(&["n1"], &[]).await;
    let refused = guarded.explain("no key", "no node").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let refused = guarded.overhead("no node").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(guarded.cluster.asked(), ["token t"]);
}

#[tokio::test(start_paused = true)]
async fn service_answers_nobody_whom_the_gate_has_not_authenticated() {
    let guarded = Guarded::new(&["n1"], &["list daemonsets", "watch daemonsets"]).await;
    let executor = &guarded.executor;
    let answer = executor.get_info(guarded.request(GetInfoRequest {}).await).await;
    answer.unwrap();
    for refused in [
        executor
            .get_info(Request::new(GetInfoRequest {}))
            .await
            .unwrap_err(),
        executor
            .list_daemon_sets(Request::new(ListDaemonSetsRequest::default()))
            .await
            .unwrap_err(),
        executor
            .watch_plans(Request::new(WatchPlansRequest::default()))
            .await
            .err()
            .unwrap(),
    ] {
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}
