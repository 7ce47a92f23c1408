use std::time::Duration;

use serde_json::{Value, json};
use tonic::{Code, Request, Status};

use super::*;
use crate::testing::{Line, forbidden, on, refusal, refuse, scenario};

const TOKENS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

fn request(authorization: &str) -> Request<()> {
    let mut request = Request::new(());
    let metadata = request.metadata_mut();
    metadata.insert("authorization", authorization.parse().unwrap());
    request
}

fn known() -> Line {
    let user = json!({"username": "ann", "uid": "u", "groups": ["devs"], "extra": {"scopes": ["a"]}});
    let status = json!({"authenticated": true, "user": user});
    on("POST", TOKENS, json!({"spec": {"token": "t"}, "status": status}))
}

fn may(answer: &Value) -> Line {
    on("POST", ACCESS, json!({"spec": {}, "status": answer}))
}

fn busy() -> (u16, Value) {
    (503, refusal(503, "ServiceUnavailable", "not now"))
}

async fn admit(tokens: &Tokens, wish: Option<Wish<'_>>) -> Result<(), Status> {
    tokens.admit(&request("Bearer t"), wish).await
}

#[test]
fn a_wish_is_what_the_api_server_calls_it() {
    for (key, verb, namespace, name) in [
        ("", "list", "", ""),
        ("default/agent", "get", "default", "agent"),
        ("odd", "list", "", ""),
    ] {
        let wish = Wish::see_key(key);
        assert_eq!(
            (wish.verb, wish.namespace, wish.name),
            (verb, namespace, name),
            "{key}"
        );
    }
    assert_eq!(Wish::see("default", "").verb, "list");
    // A name in all namespaces is looked for in the list of all.
    assert_eq!(Wish::see("", "agent").verb, "list");
    assert_eq!(Wish::watch("default", "agent").verb, "watch");
}

#[tokio::test]
async fn without_a_token_it_is_said_how_to_show_one() {
    let (api, server) = scenario(Vec::new());
    let tokens = Tokens::new(api);
    for request in [
        Request::new(()),
        request("t"),
        request("Bearer "),
        request("Basic dDp0"),
    ] {
        let refused = tokens.admit(&request, None).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(
            refused.message().contains("authorization: Bearer TOKEN"),
            "{refused}"
        );
    }
    drop(tokens);
    server.await.unwrap();
}

#[tokio::test]
async fn the_api_server_judges_the_tokens_owner_by_all_that_it_has_said_of_them() {
    let asked = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {
            "user": "ann", "uid": "u", "groups": ["devs"], "extra": {"scopes": ["a"]},
            "resourceAttributes": {
                "group": "apps", "resource": "daemonsets", "verb": "get", "namespace": "default", "name": "agent",
            },
        },
    });
    let (api, server) = scenario(vec![
        known(),
        may(&json!({"allowed": true})).sent(asked),
        may(&json!({"allowed": false, "reason": "it is night"})),
        may(&json!({"allowed": false})),
    ]);
    let tokens = Tokens::new(api);
    let see = Wish::see("default", "agent");
    admit(&tokens, Some(see)).await.unwrap();
    let refused = admit(&tokens, Some(see)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "daemonsets.apps \"agent\" is forbidden: User \"ann\" cannot get resource \"daemonsets\" in API group \"apps\" \
         in the namespace \"default\": it is night"
    );
    let refused = admit(&tokens, Some(Wish::watch("", ""))).await.unwrap_err();
    assert!(
        refused
            .message()
            .ends_with("cannot watch resource \"daemonsets\" in API group \"apps\" at the cluster scope")
    );
    drop(tokens);
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_token_holds_for_ten_seconds() {
    let error = json!({"authenticated": false, "error": "it has expired"});
    let unknown = on("POST", TOKENS, json!({"spec": {"token": "t"}, "status": error}));
    let (api, server) = scenario(vec![known(), unknown, known()]);
    let tokens = Tokens::new(api);
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
async fn an_api_server_that_doesnt_answer_lets_nobody_in() {
    let (api, server) = scenario(vec![
        refuse("POST", TOKENS, busy()),
        refuse("POST", TOKENS, forbidden("not you")),
        known(),
        refuse("POST", ACCESS, busy()),
    ]);
    let tokens = Tokens::new(api);
    let refused = admit(&tokens, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let refused = admit(&tokens, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal, "{refused}");
    assert!(refused.message().contains("create tokenreviews"), "{refused}");
    let refused = admit(&tokens, Some(Wish::see("", ""))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    drop(tokens);
    server.await.unwrap();
}
