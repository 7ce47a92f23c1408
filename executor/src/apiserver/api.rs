//! Calls to the API server, each with a deadline.

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

use crate::apiserver::{
    failure::ApiError,
    names::{InvalidName, path_element},
    objects::{self, DaemonSet, Encoding, PROTOBUF_OR_JSON, Revision, Rollout, Watched},
};

/// Deadline of one call. The API server's own limit is a minute. A shorter deadline lets the executor retry sooner.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// How the server merges a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// Lists are replaced.
    Merge,
    /// Lists are merged by their keys.
    Strategic,
}

/// The API server.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Api").finish_non_exhaustive()
    }
}

type BuiltRequest = Result<http::Request<Vec<u8>>, ApiError>;
/// A builder of requests for the objects of a kind.
type ResourceRequests = Result<Request, InvalidName>;

fn namespaced(group: &str, namespace: &str, kind: &str) -> ResourceRequests {
    let namespace = path_element("namespace", namespace)?;
    Ok(Request::new(format!("{group}/namespaces/{namespace}/{kind}")))
}

fn pods(namespace: &str) -> ResourceRequests {
    namespaced("/api/v1", namespace, "pods")
}

fn daemon_sets(namespace: &str) -> ResourceRequests {
    namespaced("/apis/apps/v1", namespace, "daemonsets")
}

fn revisions(namespace: &str) -> ResourceRequests {
    namespaced("/apis/apps/v1", namespace, "controllerrevisions")
}

fn rollouts(namespace: &str) -> ResourceRequests {
    namespaced("/apis/everynode.io/v1alpha1", namespace, "daemonsetrollouts")
}

fn put_status(requests: ResourceRequests, name: &str, body: Vec<u8>) -> BuiltRequest {
    let (params, name) = (PostParams::default(), path_element("name", name)?);
    Ok(requests?.replace_subresource("status", name, &params, body)?)
}

fn get(requests: ResourceRequests, name: &str) -> BuiltRequest {
    Ok(requests?.get(path_element("name", name)?, &GetParams::default())?)
}

fn delete(requests: ResourceRequests, name: &str, uid: &str) -> BuiltRequest {
    Ok(requests?.delete(path_element("name", name)?, &delete_params(uid))?)
}

fn patch(requests: ResourceRequests, name: &str, kind: PatchKind, body: &Value) -> BuiltRequest {
    let (params, name) = (PatchParams::default(), path_element("name", name)?);
    Ok(match kind {
        PatchKind::Merge => requests?.patch(name, &params, &Patch::Merge(body)),
        PatchKind::Strategic => requests?.patch(name, &params, &Patch::Strategic(body)),
    }?)
}

/// The uid precondition makes the server delete only this object. Without it, the server would delete any object with
/// the name.
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

#[allow(
    clippy::missing_errors_doc,
    reason = "ApiError documents the failures of every call"
)]
#[allow(missing_docs, reason = "the names of the calls describe them")]
impl Api {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn send(&self, request: BuiltRequest) -> Result<(Encoding, Bytes), ApiError> {
        match tokio::time::timeout(CALL_DEADLINE, self.execute(request?)).await {
            Ok(response) => response,
            Err(_) => Err(ApiError::Timeout(CALL_DEADLINE)),
        }
    }

    async fn execute(&self, request: http::Request<Vec<u8>>) -> Result<(Encoding, Bytes), ApiError> {
        let (head, body) = self.client.send(request.map(Body::from)).await?.into_parts();
        let body = body.collect_bytes().await?;
        if head.status.is_success() {
            return Ok((Encoding::of(&head.headers), body));
        }
        Err(ApiError::from_response(&head, &body))
    }

    async fn object<T: Watched>(&self, request: BuiltRequest) -> Result<T, ApiError> {
        let mut request = request?;
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static(T::ACCEPT));
        let (encoding, body) = self.send(Ok(request)).await?;
        Ok(objects::object(&body, encoding)?)
    }

    /// Returns an object from the JSON that the API server sent.
    async fn json_object<T: DeserializeOwned>(&self, request: BuiltRequest) -> Result<T, ApiError> {
        let (_, body) = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::Decode(error.into()))
    }

    /// Deletes a single object. The request accepts protobuf, so that the response is short.
    async fn delete(&self, request: BuiltRequest) -> Result<(), ApiError> {
        let mut request = request?;
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static(PROTOBUF_OR_JSON));
        self.send(Ok(request)).await.map(drop)
    }

    pub(crate) async fn get_node(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        self.json_object(get(Ok(Request::new("/api/v1/nodes")), name))
            .await
    }

    pub(crate) async fn get_namespace(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        self.json_object(get(Ok(Request::new("/api/v1/namespaces")), name))
            .await
    }

    pub(crate) async fn get_runtime_class(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        let classes = Request::new("/apis/node.k8s.io/v1/runtimeclasses");
        self.json_object(get(Ok(classes), name)).await
    }

    pub(crate) async fn review_token(&self, token: &str) -> Result<TokenReviewStatus, ApiError> {
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

    pub(crate) async fn review_access(
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

    /// Creates a review, which the API server answers at once and doesn't store.
    async fn review<T: Serialize + DeserializeOwned>(&self, path: &str, review: &T) -> Result<T, ApiError> {
        let body = serde_json::to_vec(review).map_err(request::Error::SerializeBody)?;
        let request = Request::new(path).create(&PostParams::default(), body)?;
        let (_, body) = self.send(Ok(request)).await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::Decode(error.into()))
    }

    pub(crate) async fn create_pod(&self, namespace: &str, body: Vec<u8>) -> Result<Pod, ApiError> {
        // The server validated the template when the DaemonSet was written, so it doesn't need to check every pod for
        // unknown fields.
        let path = pods(namespace)?.url_path;
        let request = http::Request::post(format!("{path}?fieldValidation=Ignore"))
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(request::Error::BuildRequest)?;
        self.object(Ok(request)).await
    }

    pub(crate) async fn get_pod(&self, namespace: &str, name: &str) -> Result<Pod, ApiError> {
        self.object(get(pods(namespace), name)).await
    }

    /// Returns a pod as a type that holds more of it than the caches do.
    pub(crate) async fn get_pod_as<T: DeserializeOwned>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<T, ApiError> {
        self.json_object(get(pods(namespace), name)).await
    }

    pub(crate) async fn patch_pod(
        &self,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        body: &Value,
    ) -> Result<Pod, ApiError> {
        self.object(patch(pods(namespace), name, kind, body)).await
    }

    pub(crate) async fn delete_pod(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ApiError> {
        self.delete(delete(pods(namespace), name, uid)).await
    }

    pub(crate) async fn get_daemon_set(&self, namespace: &str, name: &str) -> Result<DaemonSet, ApiError> {
        self.object(get(daemon_sets(namespace), name)).await
    }

    pub(crate) async fn patch_daemon_set_status(
        &self,
        namespace: &str,
        name: &str,
        body: &Value,
    ) -> Result<DaemonSet, ApiError> {
        let (params, name) = (PatchParams::default(), path_element("name", name)?);
        let patch = Patch::Strategic(body);
        let request = daemon_sets(namespace)?.patch_subresource("status", name, &params, &patch)?;
        self.object(Ok(request)).await
    }

    pub(crate) async fn create_revision(&self, namespace: &str, body: Vec<u8>) -> Result<Revision, ApiError> {
        let request = revisions(namespace)?.create(&PostParams::default(), body)?;
        self.object(Ok(request)).await
    }

    pub(crate) async fn get_revision(&self, namespace: &str, name: &str) -> Result<Revision, ApiError> {
        self.object(get(revisions(namespace), name)).await
    }

    pub(crate) async fn patch_revision(
        &self,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        body: &Value,
    ) -> Result<Revision, ApiError> {
        self.object(patch(revisions(namespace), name, kind, body)).await
    }

    pub(crate) async fn delete_revision(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), ApiError> {
        self.delete(delete(revisions(namespace), name, uid)).await
    }

    pub(crate) async fn create_rollout(&self, namespace: &str, body: Vec<u8>) -> Result<Rollout, ApiError> {
        let request = rollouts(namespace)?.create(&PostParams::default(), body)?;
        self.object(Ok(request)).await
    }

    pub(crate) async fn get_rollout(&self, namespace: &str, name: &str) -> Result<Rollout, ApiError> {
        self.object(get(rollouts(namespace), name)).await
    }

    pub(crate) async fn put_rollout_status(
        &self,
        namespace: &str,
        name: &str,
        body: Vec<u8>,
    ) -> Result<Rollout, ApiError> {
        self.object(put_status(rollouts(namespace), name, body)).await
    }

    pub(crate) async fn put_policy_status(
        &self,
        namespace: &str,
        name: &str,
        body: Vec<u8>,
    ) -> Result<(), ApiError> {
        let policies = namespaced(
            "/apis/everynode.io/v1alpha1",
            namespace,
            "daemonsetrolloutpolicies",
        );
        self.send(put_status(policies, name, body)).await.map(drop)
    }

    pub(crate) async fn put_cluster_policy_status(&self, name: &str, body: Vec<u8>) -> Result<(), ApiError> {
        let policies = Request::new("/apis/everynode.io/v1alpha1/clusterdaemonsetrolloutpolicies");
        self.send(put_status(Ok(policies), name, body)).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
