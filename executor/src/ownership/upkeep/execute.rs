//! Executes upkeep through the API server, and returns the written objects.

use std::sync::Arc;

use everynode_proto::facts::{self, REVISION_LABEL};
use futures::{FutureExt, StreamExt, stream};
use kube::core::request;
use serde_json::{Value, json};

use super::Work;
use crate::{
    apiserver::{
        api::{Api, PatchKind},
        failure::ApiError,
        objects::{DaemonSet, Revision},
    },
    cluster::{CachedRevision, SharedStr},
    ownership::{
        adopt::{self, Orphans, Target},
        history::{self, Step},
    },
    pods::template,
};

/// Maximum number of concurrent pod patches.
const CONCURRENT_PATCHES: usize = 8;

/// The written objects, as the server returned them.
#[derive(Debug, Default)]
pub(crate) struct WrittenObjects {
    /// The current `DaemonSet`, if it was read or written.
    pub(crate) daemon_set: Option<DaemonSet>,
    pub(crate) pods: Vec<facts::Pod>,
    /// Uids of pods that turned out to be gone.
    pub(crate) gone_pods: Vec<SharedStr>,
    /// Revisions that were created, patched or found.
    pub(crate) revisions: Vec<Revision>,
    /// Uids of revisions that are gone.
    pub(crate) deleted_revisions: Vec<SharedStr>,
    /// Objects that the server would not let the `DaemonSet` adopt or release.
    pub(crate) refused: Vec<Refusal>,
    /// Whether the `DaemonSet` is gone or being deleted, so that there is nothing left to do for it.
    pub(crate) is_gone: bool,
}

/// An object that the server would not let a `DaemonSet` adopt or release.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) uid: SharedStr,
    pub(crate) error: UpkeepError,
}

/// An error that stopped the work. Objects written before it are still returned and go into the caches.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation}")]
pub(crate) struct UpkeepError {
    /// The operation that failed.
    pub(crate) operation: String,
    pub(crate) source: ApiError,
}

trait WithOperation<T> {
    fn with_operation(self, operation: impl Into<String>) -> Result<T, UpkeepError>;
}

impl<T> WithOperation<T> for Result<T, ApiError> {
    fn with_operation(self, operation: impl Into<String>) -> Result<T, UpkeepError> {
        self.map_err(|source| UpkeepError {
            operation: operation.into(),
            source,
        })
    }
}

/// Executes a piece of work. If it fails halfway, the objects written so far are returned, too.
pub(crate) async fn execute(
    api: Api,
    daemon_set: Arc<DaemonSet>,
    work: Work,
) -> (WrittenObjects, Result<(), UpkeepError>) {
    let mut written = WrittenObjects::default();
    let mut execution = Execution {
        api: &api,
        daemon_set: &daemon_set,
        written: &mut written,
    };
    let result = match work {
        Work::Adopt(orphans) => execution.adopt(&orphans).await,
        Work::Release(unselected) => execution.release(&unselected).await,
        Work::FixHistory(step, relabel) => execution.fix_history(step, &relabel).await,
        Work::DeleteRevisions(revisions) => execution.delete_revisions(&revisions).await,
    };
    (written, result)
}

struct Execution<'a> {
    api: &'a Api,
    daemon_set: &'a DaemonSet,
    written: &'a mut WrittenObjects,
}

impl Execution<'_> {
    fn namespace(&self) -> &str {
        &self.daemon_set.metadata.namespace
    }

    /// Reads the `DaemonSet` again. Returns `None` when it is gone or being deleted.
    async fn reread_daemon_set(&mut self, operation: &str) -> Result<Option<DaemonSet>, UpkeepError> {
        let metadata = &self.daemon_set.metadata;
        let fresh = match self.api.get_daemon_set(&metadata.namespace, &metadata.name).await {
            Err(error) if error.is_not_found() => None,
            fresh => Some(fresh.with_operation(operation)?),
        };
        let same = |fresh: &DaemonSet| {
            fresh.metadata.uid == metadata.uid && fresh.metadata.deletion_timestamp.is_none()
        };
        let fresh = fresh.filter(same);
        self.written.is_gone = fresh.is_none();
        Ok(fresh)
    }

    /// Adopts orphans. Before that, a fresh read must show that the `DaemonSet` still exists (A1).
    async fn adopt(&mut self, orphans: &Orphans) -> Result<(), UpkeepError> {
        let Some(fresh) = self
            .reread_daemon_set("read the DaemonSet before adopting")
            .await?
        else {
            return Ok(());
        };
        self.written.daemon_set = Some(fresh);
        let daemon_set = self.daemon_set;
        self.patch_pods(&orphans.pods, "adopt pod", |target| {
            adopt::adoption_patch(daemon_set, target)
        })
        .await?;
        for target in &orphans.revisions {
            let body = adopt::adoption_patch(daemon_set, target);
            let patched = self
                .api
                .patch_revision(self.namespace(), &target.name, PatchKind::Strategic, &body)
                .await;
            match patched {
                Ok(revision) => self.written.revisions.push(revision),
                Err(error) if error.is_not_found() => self.written.deleted_revisions.push(target.uid.clone()),
                Err(error) => self.record_refusal(target, error, "adopt ControllerRevision")?,
            }
        }
        Ok(())
    }

    /// Records that the server refused one object for good, so that the work continues with the others. Any other error
    /// is returned.
    fn record_refusal(
        &mut self,
        target: &Target,
        error: ApiError,
        operation: &str,
    ) -> Result<(), UpkeepError> {
        let is_final = error.is_final();
        let error = UpkeepError {
            operation: format!("{operation} {}", target.name),
            source: error,
        };
        if !is_final {
            return Err(error);
        }
        self.written.refused.push(Refusal {
            uid: target.uid.clone(),
            error,
        });
        Ok(())
    }

    /// Turns a recorded refusal into an error, for work that must not skip any object.
    fn fail_if_refused(&mut self) -> Result<(), UpkeepError> {
        self.written
            .refused
            .drain(..)
            .next()
            .map_or(Ok(()), |refusal| Err(refusal.error))
    }

    async fn release(mut self, unselected: &[Target]) -> Result<(), UpkeepError> {
        let daemon_set = self.daemon_set;
        self.patch_pods(unselected, "release pod", |target| {
            adopt::release_patch(daemon_set, target)
        })
        .await
    }

    /// Patches pods. A pod that is gone isn't an error, and a refused pod doesn't block the others.
    async fn patch_pods(
        &mut self,
        targets: &[Target],
        operation: &str,
        body: impl Fn(&Target) -> Value,
    ) -> Result<(), UpkeepError> {
        let mut patches = Vec::with_capacity(targets.len());
        for target in targets {
            let (api, namespace, body) = (self.api, &self.daemon_set.metadata.namespace, body(target));
            let patch = async move {
                api.patch_pod(namespace, &target.name, PatchKind::Strategic, &body)
                    .await
            };
            patches.push(patch.map(move |patched| (target, patched)).boxed());
        }
        let answers: Vec<_> = stream::iter(patches)
            .buffer_unordered(CONCURRENT_PATCHES)
            .collect()
            .await;
        let mut result = Ok(());
        for (target, answer) in answers {
            match answer {
                Ok(pod) => self.written.pods.push(pod),
                Err(error) if error.is_not_found() => self.written.gone_pods.push(target.uid.clone()),
                Err(error) => result = self.record_refusal(target, error, operation).and(result),
            }
        }
        result
    }

    async fn fix_history(mut self, step: Step, relabel: &[Target]) -> Result<(), UpkeepError> {
        match step {
            Step::Label(revision) => {
                let labels = json!({REVISION_LABEL: revision.name});
                let body = json!({"metadata": {"uid": *revision.uid, "labels": labels}});
                self.patch_revision(&revision, &body, "label").await
            }
            Step::Renumber(revision, number) => {
                let body = json!({"metadata": {"uid": *revision.uid}, "revision": number});
                self.patch_revision(&revision, &body, "renumber").await
            }
            Step::Record(number) => self.record_template(number).await,
            Step::Merge { keep, duplicates } => {
                let body = |target: &Target| json!({"metadata": {"uid": *target.uid, "labels": {REVISION_LABEL: keep.hash()}}});
                self.patch_pods(relabel, "relabel pod", body).await?;
                // A pod with the label of a deleted revision would count as one with an unknown template.
                self.fail_if_refused()?;
                self.delete_revisions(&duplicates).await
            }
        }
    }

    async fn patch_revision(
        &mut self,
        revision: &CachedRevision,
        body: &Value,
        verb: &str,
    ) -> Result<(), UpkeepError> {
        let patched = self
            .api
            .patch_revision(&revision.namespace, &revision.name, PatchKind::Merge, body)
            .await;
        if matches!(&patched, Err(error) if error.is_not_found()) {
            self.written.deleted_revisions.push(revision.uid.clone());
            return Ok(());
        }
        self.written
            .revisions
            .push(patched.with_operation(format!("{verb} ControllerRevision {}", revision.name))?);
        Ok(())
    }

    async fn delete_revisions(self, revisions: &[CachedRevision]) -> Result<(), UpkeepError> {
        for revision in revisions {
            match self
                .api
                .delete_revision(&revision.namespace, &revision.name, &revision.uid)
                .await
            {
                Err(error) if !error.is_not_found() && !error.is_conflict() => {
                    return Err(error).with_operation(format!("delete ControllerRevision {}", revision.name));
                }
                Ok(()) | Err(_) => self.written.deleted_revisions.push(revision.uid.clone()),
            }
        }
        Ok(())
    }

    /// Records the template as a revision. If a revision of another template or owner has taken the name, raises the
    /// `DaemonSet`'s collisionCount, which changes the name.
    async fn record_template(mut self, number: i64) -> Result<(), UpkeepError> {
        let operation = "record the template as a ControllerRevision";
        let (name, body) = history::new_revision(self.daemon_set, number)
            .map_err(|error| ApiError::Encode(request::Error::SerializeBody(error)))
            .with_operation(operation)?;
        match self.api.create_revision(self.namespace(), body).await {
            Err(error) if error.is_already_exists() => {}
            created => {
                self.written.revisions.push(created.with_operation(operation)?);
                return Ok(());
            }
        }
        let existing = self
            .api
            .get_revision(self.namespace(), &name)
            .await
            .with_operation(operation)?;
        let is_orphan = existing.metadata.controller().is_none();
        let owner = existing.metadata.controlling_daemon_set();
        let is_own = is_orphan || owner == Some(self.daemon_set.metadata.identity());
        if !is_own || template::data_fingerprint(&existing) != template::fingerprint(self.daemon_set) {
            return self.count_collision().await;
        }
        if existing.metadata.deletion_timestamp.is_some() {
            let existing = format!("ControllerRevision {name}");
            return Err(ApiError::Terminating(existing)).with_operation(operation);
        }
        if is_orphan {
            let target = Target {
                name,
                uid: existing.metadata.uid.as_str().into(),
            };
            self.adopt(&Orphans {
                revisions: vec![target],
                ..Orphans::default()
            })
            .await?;
            return self.fail_if_refused();
        }
        self.written.revisions.push(existing);
        Ok(())
    }

    async fn count_collision(mut self) -> Result<(), UpkeepError> {
        let operation = "raise status.collisionCount, because the name of the ControllerRevision is taken";
        let metadata = &self.daemon_set.metadata;
        let Some(fresh) = self.reread_daemon_set(operation).await? else {
            return Ok(());
        };
        // If somebody else has already raised the count, reading it is enough.
        let seen = self.daemon_set.status.collision_count;
        let current = if fresh.status.collision_count == seen {
            let body = json!({
                "metadata": {"uid": metadata.uid, "resourceVersion": fresh.metadata.resource_version},
                "status": {"collisionCount": seen.unwrap_or(0).saturating_add(1)},
            });
            self.api
                .patch_daemon_set_status(&metadata.namespace, &metadata.name, &body)
                .await
                .with_operation(operation)?
        } else {
            fresh
        };
        self.written.daemon_set = Some(current);
        Ok(())
    }
}
