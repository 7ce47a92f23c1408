//! Builds pods of a revision that isn't the current template's. Its template is read from the API server when the first of
//! these pods is created, so that the caches don't hold the templates of all revisions.

use std::sync::Arc;

use everynode_proto::planner::v1::Toleration;
use serde::de::Error as _;
use tokio::sync::OnceCell;

use crate::{
    apiserver::{api::Api, failure::ApiError, objects::DaemonSet},
    pods::pod::PodBuilder,
};

/// The pods of a revision of a `DaemonSet`.
#[derive(Debug)]
pub(crate) struct RevisionPods {
    object: Arc<DaemonSet>,
    /// The name of the `ControllerRevision`.
    name: String,
    /// The pods' controller-revision-hash.
    hash: String,
    added: Vec<Toleration>,
    builder: OnceCell<Arc<PodBuilder>>,
}

impl RevisionPods {
    /// Prepares the pods of the `ControllerRevision` with this name, which has this controller-revision-hash.
    pub(crate) fn new(object: Arc<DaemonSet>, name: String, hash: String, added: Vec<Toleration>) -> Self {
        Self {
            object,
            name,
            hash,
            added,
            builder: OnceCell::new(),
        }
    }

    /// The pods' controller-revision-hash.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Whether these pods would be the same as those of `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.object, &other.object)
            && (&self.name, &self.hash, &self.added) == (&other.name, &other.hash, &other.added)
    }

    /// Returns the builder of the pods.
    ///
    /// # Errors
    /// The `ControllerRevision` can't be read, isn't the `DaemonSet`'s, or holds no template.
    pub(crate) async fn builder(&self, api: &Api) -> Result<Arc<PodBuilder>, ApiError> {
        let builder = self
            .builder
            .get_or_try_init(async || self.read(api).await)
            .await?;
        Ok(builder.clone())
    }

    async fn read(&self, api: &Api) -> Result<Arc<PodBuilder>, ApiError> {
        let revision = api
            .get_revision(&self.object.metadata.namespace, &self.name)
            .await?;
        let error = |message: String| ApiError::Decode(serde_json::Error::custom(message).into());
        if revision.metadata.controlling_daemon_set() != Some(self.object.metadata.identity()) {
            let message = format!("ControllerRevision {} belongs to something else", self.name);
            return Err(error(message));
        }
        let builder = PodBuilder::of_revision(&self.object, &revision, &self.hash, &self.added);
        builder.map(Arc::new).map_err(error)
    }
}

/// Where the builder of a pod comes from.
#[derive(Debug, Clone)]
pub(crate) enum PodSource {
    /// The current template.
    Template(Arc<PodBuilder>),
    /// Another revision.
    Revision(Arc<RevisionPods>),
}

impl PodSource {
    /// Returns the builder of the pod.
    ///
    /// # Errors
    /// The template of another revision can't be read.
    pub(crate) async fn builder(&self, api: &Api) -> Result<Arc<PodBuilder>, ApiError> {
        match self {
            Self::Template(builder) => Ok(builder.clone()),
            Self::Revision(pods) => pods.builder(api).await,
        }
    }
}
