//! The calls to the API server, each with a deadline.

use std::time::Duration;

use everynode_proto::facts::Pod;
use http::{
    HeaderValue,
    header::{ACCEPT, CONTENT_TYPE},
};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus},
    authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus},
};
use kube::{
    Client,
    api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions},
    client::Body,
    core::{Request, request},
};
use prost::bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    failure::ApiError,
    objects::{self, DaemonSet, Encoding, PROTOBUF_OR_JSON, Revision, Watched},
};

/// How long one call may take. The API server's own limit is a minute; a call that takes so long is better repeated.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// How a patch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// Lists are replaced.
    Merge,
    /// Lists are merged by their keys.
    Strategic,
}

/// The API server.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Api").finish_non_exhaustive()
    }
}

type Built = Result<http::Request<Vec<u8>>, request::Error>;

fn pods(namespace: &str) -> Request {
    Request::new(format!("/api/v1/namespaces/{namespace}/pods"))
}

fn daemon_sets(namespace: &str) -> Request {
    Request::new(format!("/apis/apps/v1/namespaces/{namespace}/daemonsets"))
}

fn revisions(namespace: &str) -> Request {
    Request::new(format!(
        "/apis/apps/v1/namespaces/{namespace}/controllerrevisions"
    ))
}

fn patch(request: &Request, name: &str, kind: PatchKind, body: &Value) -> Built {
    let params = PatchParams::default();
    match kind {
        PatchKind::Merge => request.patch(name, &params, &Patch::Merge(body)),
        PatchKind::Strategic => request.patch(name, &params, &Patch::Strategic(body)),
    }
}

/// Deletes only the object with this uid. Without one, whatever has the name.
fn delete_params(uid: &str) -> DeleteParams {
    let preconditions = Preconditions {
        uid: Some(uid.to_owned()),
        ..Preconditions::default()
    };
    DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    }
}

#[allow(clippy::missing_errors_doc, reason = "every call fails as ApiError says")]
#[allow(missing_docs, reason = "every call does what its name says")]
impl Api {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn send(&self, request: Built) -> Result<(Encoding, Bytes), ApiError> {
        match tokio::time::timeout(CALL_DEADLINE, self.answer(request?)).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::Unclear(format!(
                "no answer within {} s",
                CALL_DEADLINE.as_secs()
            ))),
        }
    }

    async fn answer(&self, request: http::Request<Vec<u8>>) -> Result<(Encoding, Bytes), ApiError> {
        let (head, body) = self.client.send(request.map(Body::from)).await?.into_parts();
        let body = body.collect_bytes().await?;
        if head.status.is_success() {
            return Ok((Encoding::of(&head.headers), body));
        }
        Err(ApiError::from_answer(&head, &body))
    }

    async fn object<T: Watched>(&self, request: Built) -> Result<T, ApiError> {
        let mut request = request?;
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static(T::ACCEPT));
        let (encoding, body) = self.send(Ok(request)).await?;
        objects::object(&body, encoding)
            .map_err(|error| ApiError::Unclear(format!("its answer can't be read: {error}")))
    }

    /// An object of which there is no type here, as it is.
    async fn any(&self, request: Built) -> Result<Map<String, Value>, ApiError> {
        let (_, body) = self.send(request).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ApiError::Unclear(format!("its answer can't be read: {error}")))
    }

    /// Deletes a single object. What the server says of it, it says in few words.
    async fn delete(&self, request: Built) -> Result<(), ApiError> {
        let mut request = request?;
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static(PROTOBUF_OR_JSON));
        self.send(Ok(request)).await.map(drop)
    }

    pub async fn get_node(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        let nodes = Request::new("/api/v1/nodes");
        self.any(nodes.get(name, &GetParams::default())).await
    }

    pub async fn get_namespace(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        let namespaces = Request::new("/api/v1/namespaces");
        self.any(namespaces.get(name, &GetParams::default())).await
    }

    pub async fn get_runtime_class(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        let classes = Request::new("/apis/node.k8s.io/v1/runtimeclasses");
        self.any(classes.get(name, &GetParams::default())).await
    }

    pub async fn review_token(&self, token: &str) -> Result<TokenReviewStatus, ApiError> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let review: TokenReview = self
            .review("/apis/authentication.k8s.io/v1/tokenreviews", &review)
            .await?;
        Ok(review.status.unwrap_or_default())
    }

    pub async fn review_access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, ApiError> {
        let review = SubjectAccessReview {
            spec,
            ..SubjectAccessReview::default()
        };
        let review: SubjectAccessReview = self
            .review("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review)
            .await?;
        Ok(review.status.unwrap_or_default())
    }

    /// Has the API server judge something. Nothing is stored.
    async fn review<T: Serialize + DeserializeOwned>(&self, path: &str, review: &T) -> Result<T, ApiError> {
        let body = serde_json::to_vec(review).map_err(request::Error::SerializeBody)?;
        let request = Request::new(path).create(&PostParams::default(), body);
        let (_, body) = self.send(request).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ApiError::Unclear(format!("its answer can't be read: {error}")))
    }

    pub async fn create_pod(&self, namespace: &str, body: Vec<u8>) -> Result<Pod, ApiError> {
        // The template was validated when the DaemonSet was written; the server need not look for unknown fields in every pod.
        let request = http::Request::post(format!(
            "/api/v1/namespaces/{namespace}/pods?fieldValidation=Ignore"
        ))
        .header(CONTENT_TYPE, "application/json")
        .body(body);
        self.object(request.map_err(request::Error::BuildRequest)).await
    }

    pub async fn get_pod(&self, namespace: &str, name: &str) -> Result<Pod, ApiError> {
        self.object(pods(namespace).get(name, &GetParams::default()))
            .await
    }

    pub async fn patch_pod(
        &self,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        body: &Value,
    ) -> Result<Pod, ApiError> {
        self.object(patch(&pods(namespace), name, kind, body)).await
    }

    pub async fn delete_pod(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        self.delete(pods(namespace).delete(name, &delete_params(uid)))
            .await
    }

    pub async fn get_daemon_set(&self, namespace: &str, name: &str) -> Result<DaemonSet, ApiError> {
        self.object(daemon_sets(namespace).get(name, &GetParams::default()))
            .await
    }

    pub async fn patch_daemon_set_status(
        &self,
        namespace: &str,
        name: &str,
        body: &Value,
    ) -> Result<DaemonSet, ApiError> {
        let params = PatchParams::default();
        self.object(daemon_sets(namespace).patch_subresource(
            "status",
            name,
            &params,
            &Patch::Strategic(body),
        ))
        .await
    }

    pub async fn create_revision(&self, namespace: &str, body: Vec<u8>) -> Result<Revision, ApiError> {
        self.object(revisions(namespace).create(&PostParams::default(), body))
            .await
    }

    pub async fn get_revision(&self, namespace: &str, name: &str) -> Result<Revision, ApiError> {
        self.object(revisions(namespace).get(name, &GetParams::default()))
            .await
    }

    pub async fn patch_revision(
        &self,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        body: &Value,
    ) -> Result<Revision, ApiError> {
        self.object(patch(&revisions(namespace), name, kind, body)).await
    }

    pub async fn delete_revision(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        self.delete(revisions(namespace).delete(name, &delete_params(uid)))
            .await
    }
}
