mod limits;

use std::{collections::BTreeSet, time::Duration};

use everynode_serving::serve::{Authenticator, Identity, Peer};
use http::{HeaderMap, header::AUTHORIZATION};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{access::AccessRequest, *};
use crate::{
    apiserver::api::Api,
    telemetry::metrics::Metrics,
    testing::{Call, ExpectedCall, forbidden, on, refusal, refuse, scenario, server},
};

const TOKENS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// A fake API server that knows ann's token `t` and her rights.
#[derive(Debug, Clone)]
pub(in super::super) struct FakeApiServer(Arc<parking_lot::Mutex<State>>);

#[derive(Debug)]
struct State {
    tokens: BTreeSet<String>,
    /// Rights such as `get daemonsets default/agent` or `list nodes`.
    rights: BTreeSet<String>,
    is_busy: bool,
    reviews: Vec<String>,
    /// Paths of the objects that were read.
    reads: Vec<String>,
}

impl FakeApiServer {
    pub(in super::super) fn start(rights: &[&str]) -> (Self, Api) {
        let cluster = Self(Arc::new(parking_lot::Mutex::new(State {
            tokens: ["t".to_owned()].into(),
            rights: rights.iter().map(|right| (*right).to_owned()).collect(),
            is_busy: false,
            reviews: Vec::new(),
            reads: Vec::new(),
        })));
        let (client, mut server) = server();
        let fake = cluster.clone();
        tokio::spawn(async move {
            while let Some(call) = server.any_call().await {
                fake.answer(call);
            }
        });
        (cluster, Api::new(client))
    }

    fn answer(&self, call: Call) {
        let mut state = self.0.lock();
        let spec = call.body["spec"].clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if call.method == "GET" {
            state.reads.push(call.path.clone());
            let (code, body) = crate::testing::not_found();
            return call.answer_with(code, &body);
        }
        let (review, status) = if call.path == TOKENS {
            let token = text(&spec["token"]);
            let user = json!({"username": "ann"});
            let authenticated = state.tokens.contains(&token);
            let status = json!({"authenticated": authenticated, "user": user});
            (format!("token {token}"), status)
        } else {
            assert_eq!(call.path, ACCESS);
            let attributes = &spec["resourceAttributes"];
            let field = |name: &str| text(&attributes[name]);
            let object = match (field("namespace"), field("name")) {
                (namespace, name) if namespace.is_empty() => name,
                (namespace, name) if name.is_empty() => namespace,
                (namespace, name) => format!("{namespace}/{name}"),
            };
            let right = format!("{} {} {object}", field("verb"), field("resource"));
            let right = right.trim().to_owned();
            let allowed = state.rights.contains(&right);
            (right, json!({"allowed": allowed}))
        };
        state.reviews.push(review);
        if state.is_busy {
            let (code, body) = busy();
            return call.answer_with(code, &body);
        }
        call.answer(&json!({"spec": spec, "status": status}));
    }

    /// The reviews that were requested, in order.
    pub(in super::super) fn reviews(&self) -> Vec<String> {
        self.0.lock().reviews.clone()
    }

    /// The paths of the objects that were read, in order.
    pub(in super::super) fn reads(&self) -> Vec<String> {
        self.0.lock().reads.clone()
    }

    pub(in super::super) fn revoke_token(&self) {
        self.0.lock().tokens.clear();
    }

    pub(in super::super) fn revoke(&self, right: &str) {
        self.0.lock().rights.remove(right);
    }

    pub(in super::super) fn set_busy(&self, is_busy: bool) {
        self.0.lock().is_busy = is_busy;
    }
}

fn headers(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, authorization.parse().unwrap())])
}

fn tokens(api: Api) -> TokenAuthenticator {
    TokenAuthenticator::new(api, Arc::new(Metrics::default()))
}

fn valid_token() -> ExpectedCall {
    let user = json!({"username": "ann", "uid": "u", "groups": ["devs"], "extra": {"scopes": ["a"]}});
    let status = json!({"authenticated": true, "user": user});
    on("POST", TOKENS, json!({"spec": {"token": "t"}, "status": status}))
}

fn access_review(answer: &Value) -> ExpectedCall {
    on("POST", ACCESS, json!({"spec": {}, "status": answer}))
}

fn busy() -> (u16, Value) {
    (503, refusal(503, "ServiceUnavailable", "not now"))
}

async fn authenticate(
    tokens: &TokenAuthenticator,
    token: &str,
    peer: Option<&Peer>,
) -> Result<Caller, Status> {
    let headers = headers(&format!("Bearer {token}"));
    let authenticated = tokens.authenticate(&headers, peer).await?;
    Ok(authenticated.caller::<Caller>().unwrap().clone())
}

async fn admit(tokens: &TokenAuthenticator, access: Option<&AccessRequest>) -> Result<(), Status> {
    let caller = authenticate(tokens, "t", None).await?;
    match access {
        Some(access) => tokens.authorize(&caller, access).await,
        None => Ok(()),
    }
}

#[test]
fn access_request_has_the_verb_of_kubernetes() {
    for (key, verb, namespace, name) in [
        ("", "list", "", ""),
        ("default/agent", "get", "default", "agent"),
        ("odd", "list", "", ""),
    ] {
        let access = AccessRequest::daemon_set(key);
        assert_eq!(
            (access.verb, access.namespace.as_str(), access.name.as_str()),
            (verb, namespace, name),
            "{key}"
        );
    }
    assert_eq!(AccessRequest::daemon_sets("default", "").verb, "list");
    // Without a namespace, a name is searched for among all `DaemonSet`s.
    assert_eq!(AccessRequest::daemon_sets("", "agent").verb, "list");
    assert_eq!(AccessRequest::watch("default", "agent").verb, "watch");
    assert_eq!(AccessRequest::nodes(Some("n1")).verb, "get");
    assert_eq!(AccessRequest::nodes(None).verb, "list");
}

#[tokio::test]
async fn call_without_a_token_is_refused_with_instructions() {
    let (api, server) = scenario(Vec::new());
    let tokens = tokens(api);
    for headers in [
        HeaderMap::new(),
        headers("t"),
        headers("Bearer "),
        headers("Basic dDp0"),
    ] {
        let refused = tokens.authenticate(&headers, None).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(
            refused.message().contains("authorization: Bearer TOKEN"),
            "{refused}"
        );
    }
    drop(tokens);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_callers_on_the_local_port_need_no_token() {
    let (api, server) = scenario(Vec::new());
    let tokens = tokens(api);
    let local = Peer::new(Identity::Plaintext, None);
    let authenticated = tokens
        .authenticate(&HeaderMap::new(), Some(&local))
        .await
        .unwrap();
    assert_eq!(authenticated.key(), "local");
    let caller = authenticated.caller::<Caller>().unwrap();
    tokens
        .authorize(caller, &AccessRequest::nodes(None))
        .await
        .unwrap();
    let remote = Peer::new(Identity::Anonymous, None);
    let refused = tokens.authenticate(&HeaderMap::new(), Some(&remote)).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    drop(tokens);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn access_review_contains_all_attributes_of_the_user() {
    let expected = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {
            "user": "ann", "uid": "u", "groups": ["devs"], "extra": {"scopes": ["a"]},
            "resourceAttributes": {
                "group": "apps", "resource": "daemonsets", "verb": "get", "namespace": "default", "name": "agent",
            },
        },
    });
    let (api, server) = scenario(vec![
        valid_token(),
        access_review(&json!({"allowed": true})).with_body(expected),
        valid_token(),
        access_review(&json!({"allowed": false, "reason": "it is night"})),
        access_review(&json!({"allowed": false})),
    ]);
    let tokens = tokens(api);
    let see = AccessRequest::daemon_sets("default", "agent");
    admit(&tokens, Some(&see)).await.unwrap();
    tokio::time::advance(Duration::from_secs(11)).await;
    let refused = admit(&tokens, Some(&see)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "daemonsets.apps \"agent\" is forbidden: User \"ann\" cannot get resource \"daemonsets\" in API group \"apps\" \
         in the namespace \"default\": it is night"
    );
    let refused = admit(&tokens, Some(&AccessRequest::watch("", "")))
        .await
        .unwrap_err();
    assert!(
        refused
            .message()
            .ends_with("cannot watch resource \"daemonsets\" in API group \"apps\" at the cluster scope")
    );
    drop(tokens);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn token_reviews_are_cached_for_ten_seconds() {
    let error = json!({"authenticated": false, "error": "it has expired"});
    let unknown = on("POST", TOKENS, json!({"spec": {"token": "t"}, "status": error}));
    let (api, server) = scenario(vec![valid_token(), unknown, valid_token()]);
    let tokens = tokens(api);
    for _ in 0..3 {
        admit(&tokens, None).await.unwrap();
    }
    tokio::time::advance(Duration::from_secs(11)).await;
    for _ in 0..3 {
        let refused = admit(&tokens, None).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(refused.message(), "the token isn't valid: it has expired");
    }
    tokio::time::advance(Duration::from_secs(11)).await;
    admit(&tokens, None).await.unwrap();
    drop(tokens);
    server.await.unwrap();
}

#[tokio::test]
async fn callers_are_refused_while_the_api_server_does_not_answer() {
    let (api, server) = scenario(vec![
        refuse("POST", TOKENS, busy()),
        refuse("POST", TOKENS, forbidden("not you")),
        valid_token(),
        refuse("POST", ACCESS, busy()),
    ]);
    let tokens = tokens(api);
    let refused = admit(&tokens, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let refused = admit(&tokens, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal, "{refused}");
    assert!(refused.message().contains("create tokenreviews"), "{refused}");
    let refused = admit(&tokens, Some(&AccessRequest::daemon_sets("", "")))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    drop(tokens);
    server.await.unwrap();
}
