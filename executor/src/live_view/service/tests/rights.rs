//! The rights of callers with tokens. The tests authenticate callers as the server does, but without a connection.

use everynode_serving::serve::{Authenticator, Identity, Peer};
use http::{HeaderMap, header::AUTHORIZATION};

use super::*;
use crate::live_view::service::callers::tests::FakeApiServer;

/// The service on top of a rig with the agent on these nodes. Callers use the token `t`.
pub(super) struct TokenRig {
    pub(super) executor: Executor,
    pub(super) cluster: FakeApiServer,
    _rig: Rig,
    _planned: FakePlannerSession,
    _leads: state::Sender<Leadership>,
}

impl TokenRig {
    pub(super) async fn new(nodes: &[&str], rights: &[&str]) -> Self {
        Self::with_pods(nodes, &[], rights).await
    }

    async fn with_pods(nodes: &[&str], pods: &[Value], rights: &[&str]) -> Self {
        let (rig, planned) = Rig::synced(nodes, pods).await;
        let (leads, leadership) = state::channel(Leadership::ours("me"));
        let (cluster, api) = FakeApiServer::start(rights);
        let tokens = TokenAuthenticator::new(api.clone(), rig.metrics.clone());
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
async fn placement_needs_the_rights_to_the_daemon_set_and_to_the_nodes() {
    let rights = ["get daemonsets default/agent"];
    let rig = TokenRig::new(&["n1"], &rights).await;
    let refused = rig.explain("default/agent", "n1").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "nodes \"n1\" is forbidden: User \"ann\" cannot get resource \"nodes\" in API group \"\" at the cluster scope"
    );
    let refused = rig.explain("default/agent", "").await.unwrap_err();
    assert_eq!(
        refused.message(),
        "nodes is forbidden: User \"ann\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );

    let rig = TokenRig::new(&["n1"], &["get daemonsets default/agent", "get nodes n1"]).await;
    let answer = rig.explain("default/agent", "n1").await.unwrap();
    assert_eq!(answer.placements.len(), 1);
    // The right to one node or `DaemonSet` isn't the right to all of them.
    let refused = rig.explain("default/agent", "").await.unwrap_err();
    assert!(
        refused.message().contains("cannot list resource \"nodes\""),
        "{refused}"
    );
    let refused = rig.explain("", "n1").await.unwrap_err();
    assert!(
        refused.message().contains("cannot list resource \"daemonsets\""),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn reasons_of_pods_need_the_right_to_get_pods_in_their_namespace() {
    let (daemon_set, node) = ("get daemonsets default/agent", "get nodes n1");
    let read = [format!("{PODS}/p1")];
    for (rights, reads) in [
        (&[daemon_set, node][..], &[][..]),
        (&[daemon_set, node, "get pods elsewhere"], &[]),
        (&[daemon_set, node, "get pods default"], &read),
    ] {
        let rig = TokenRig::with_pods(&["n1"], &[pod_json("p1", 3)], rights).await;
        let answer = rig.explain("default/agent", "n1").await.unwrap();
        assert_eq!(answer.placements[0].pods[0].name, "p1");
        assert_eq!(rig.cluster.reads(), reads, "{rights:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn overhead_needs_the_rights_to_the_node_and_to_daemon_sets() {
    let rig = TokenRig::new(&["n1"], &["list daemonsets"]).await;
    for node in ["n1", "missing"] {
        let refused = rig.overhead(node).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let message = format!("nodes {node:?} is forbidden: User \"ann\" cannot get resource \"nodes\"");
        assert!(refused.message().starts_with(&message), "{refused}");
    }
    let rig = TokenRig::new(&["n1"], &["get nodes n1"]).await;
    let refused = rig.overhead("n1").await.unwrap_err();
    assert!(
        refused.message().contains("cannot list resource \"daemonsets\""),
        "{refused}"
    );
    let rig = TokenRig::new(&["n1"], &["list daemonsets", "get nodes n2", "get nodes missing"]).await;
    let missing = rig.overhead("missing").await.unwrap_err();
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::NotFound, "there is no node missing")
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_are_the_same_whether_or_not_something_is_there() {
    let rig = TokenRig::new(&["n1"], &["get daemonsets other/mine"]).await;
    let daemon_set = |verb: &str, name: &str| {
        format!(
            "daemonsets.apps {name:?} is forbidden: User \"ann\" cannot {verb} resource \"daemonsets\" in API group \
             \"apps\" in the namespace \"default\""
        )
    };
    let node = |name: &str| {
        format!(
            "nodes {name:?} is forbidden: User \"ann\" cannot get resource \"nodes\" in API group \"\" at the cluster \
             scope"
        )
    };
    let check = |refused: &Status, message: &str| {
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::PermissionDenied, message)
        );
    };
    for (key, node_name, message) in [
        ("default/agent", "n1", daemon_set("get", "agent")),
        ("default/missing", "n1", daemon_set("get", "missing")),
        ("default/agent", "missing", daemon_set("get", "agent")),
        ("other/mine", "n1", node("n1")),
        ("other/mine", "missing", node("missing")),
    ] {
        check(&rig.explain(key, node_name).await.unwrap_err(), &message);
    }
    for name in ["agent", "missing"] {
        let (get, watch) = (daemon_set("get", name), daemon_set("watch", name));
        let (namespace, name) = ("default".to_owned(), name.to_owned());
        let list = ListDaemonSetsRequest {
            namespace: namespace.clone(),
            name: name.clone(),
        };
        let request = rig.request(list).await;
        check(&rig.executor.list_daemon_sets(request).await.unwrap_err(), &get);
        let request = rig.request(WatchPlansRequest { namespace, name }).await;
        check(&rig.executor.watch_plans(request).await.err().unwrap(), &watch);
    }
}

#[tokio::test(start_paused = true)]
async fn suggestions_are_names_that_the_caller_may_list() {
    let node = "get nodes n1";
    let missing = "there is no DaemonSet other/agent";
    let suggested = "there is no DaemonSet other/agent; did you mean default/agent?";
    for (rights, message) in [
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
        let rig = TokenRig::new(&["n1"], rights).await;
        let refused = rig.explain("other/agent", "n1").await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::NotFound, message),
            "{rights:?}"
        );
    }
    let rights = ["get daemonsets default/agnt", "list daemonsets default", node];
    let rig = TokenRig::new(&["n1"], &rights).await;
    let refused = rig.explain("default/agnt", "n1").await.unwrap_err();
    let message = "there is no DaemonSet default/agnt; did you mean default/agent?";
    assert_eq!(
        refused.message(),
        message,
        "only names in that namespace are suggested"
    );
}

#[tokio::test(start_paused = true)]
async fn nodes_are_suggested_only_to_callers_who_may_list_nodes() {
    for (rights, message) in [
        (
            &["list daemonsets", "get nodes worker-3"][..],
            "there is no node worker-3",
        ),
        (
            &["list daemonsets", "get nodes worker-3", "list nodes"],
            "there is no node worker-3; did you mean worker-1?",
        ),
    ] {
        let rig = TokenRig::new(&["worker-1"], rights).await;
        let explained = rig.explain("", "worker-3").await.unwrap_err();
        let overhead = rig.overhead("worker-3").await.unwrap_err();
        for refused in [explained, overhead] {
            assert_eq!(
                (refused.code(), refused.message()),
                (Code::NotFound, message),
                "{rights:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_names_are_refused_before_any_review() {
    let rig = TokenRig::new(&["n1"], &[]).await;
    let refused = rig.explain("no key", "no node").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let refused = rig.overhead("no node").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(rig.cluster.reviews(), ["token t"]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_the_server_has_not_authenticated_are_refused() {
    let rig = TokenRig::new(&["n1"], &["list daemonsets", "watch daemonsets"]).await;
    let executor = &rig.executor;
    let answer = executor.get_info(rig.request(GetInfoRequest {}).await).await;
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
