//! The calls to the API server, each with a deadline, and what their failures mean.

use std::time::Duration;

use everynode_proto::facts::Pod;
use http::{
    HeaderValue,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
};
use kube::{
    Client,
    api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions},
    client::Body,
    core::{Request, Status, request},
};
use prost::bytes::Bytes;
use serde_json::Value;

use crate::watch::{
    Cause, DaemonSet, Revision,
    read::{self, Encoding, PROTOBUF_OR_JSON, Watched},
};

/// How long one call may take. The API server's own limit is a minute; a call that takes so long is better repeated.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// Why a call has not succeeded.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server has refused it for good: the same call will be refused again until something changes.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// The server has too much to do and has not carried it out.
    #[error("the API server is busy: {message}")]
    Busy {
        /// The server's words.
        message: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// There is no answer, or none that says whether it was carried out.
    #[error("the API server gave no clear answer: {0}")]
    Unclear(String),
}

impl ApiError {
    /// Whether the server would refuse the same call again: it isn't just that somebody else was faster.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_)) && !self.is_conflict()
    }

    /// Whether the server finds the object wrong as it would be.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 422)
    }

    /// Whether the object isn't there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_not_found())
    }

    /// Whether the object was changed by someone else, or is another one of the same name.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_conflict() && !status.is_already_exists())
    }

    /// Whether there is an object of that name already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_already_exists())
    }

    /// Whether the namespace is being deleted, so that nothing can be created in it.
    pub fn is_namespace_terminating(&self) -> bool {
        let Self::Refused(status) = self else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .into_iter()
            .any(|cause| cause.reason == "NamespaceTerminating")
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        Self::Unclear(Cause(&error).to_string())
    }
}

impl ApiError {
    /// What an answer that is no success means. Not every one comes from the API server itself, so its body may be
    /// any text.
    pub(crate) fn from_answer(head: &http::response::Parts, body: &Bytes) -> Self {
        let code = head.status.as_u16();
        let seconds = head
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let status = read::status(body, Encoding::of(&head.headers))
            .filter(|status| status.code == code)
            .unwrap_or_else(|| {
                Status::failure(String::from_utf8_lossy(body).trim(), "Unreadable").with_code(code)
            });
        Self::of(status, seconds.map(Duration::from_secs))
    }

    /// What a failure means that the server has described.
    pub(crate) fn of(status: Status, retry_after: Option<Duration>) -> Self {
        let code = status.code;
        let seconds = status
            .details
            .as_ref()
            .map_or(0, |details| details.retry_after_seconds);
        let retry_after = retry_after.or((seconds > 0).then(|| Duration::from_secs(seconds.into())));
        match code {
            429 | 503 => Self::Busy {
                message: status.message,
                retry_after,
            },
            // Neither credentials that have run out nor a request that took too long say anything about what was asked.
            401 | 408 => Self::Unclear(format!("{} ({code})", status.message)),
            400..500 => Self::Refused(Box::new(status)),
            _ => Self::Unclear(format!("{} ({code})", status.message)),
        }
    }
}

impl From<request::Error> for ApiError {
    fn from(error: request::Error) -> Self {
        Self::Unclear(Cause(&error).to_string())
    }
}

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
        read::object(&body, encoding)
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
        self.object(daemon_sets(namespace).patch_subresource("status", name, &params, &Patch::Merge(body)))
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
