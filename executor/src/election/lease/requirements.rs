//! What an executor must know to lead.
//!
//! An executor that doesn't know rollout policies would replace pods that a policy holds back. So the leader writes the
//! capabilities that the cluster's rollouts need into the Lease, and an executor that lacks one of them doesn't take the
//! Lease, although it may have expired (T3).

use std::{collections::BTreeSet, sync::Arc};

use everynode_render::ErrorChain;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ObjectReference};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use parking_lot::Mutex;
use tracing::{debug, info, warn};

use super::Election;

/// The annotation of the Lease that names the required capabilities, separated by commas.
pub(super) const ANNOTATION: &str = "everynode.io/required-capabilities";

/// The capabilities that this executor has, and those that the cluster needs. Clones share the latter.
#[derive(Debug, Clone)]
pub(crate) struct Requirements {
    known: &'static [&'static str],
    /// `None` while the cluster's needs aren't known. Then the Lease keeps what it says.
    needed: Arc<Mutex<Option<BTreeSet<&'static str>>>>,
}

impl Requirements {
    /// The requirements of an executor that has these capabilities. The cluster's needs aren't known yet.
    pub(crate) fn new(known: &'static [&'static str]) -> Self {
        Self {
            known,
            needed: Arc::default(),
        }
    }

    /// Sets what the cluster needs.
    pub(crate) fn set(&self, needed: impl IntoIterator<Item = &'static str>) {
        *self.needed.lock() = Some(needed.into_iter().collect());
    }

    /// Forgets what the cluster needs, because this executor no longer leads.
    pub(crate) fn forget(&self) {
        *self.needed.lock() = None;
    }

    /// The capabilities that the Lease requires and this executor doesn't have.
    pub(super) fn unknown(&self, lease: &Lease) -> Vec<String> {
        let annotations = lease.metadata.annotations.as_ref();
        let required = annotations.and_then(|annotations| annotations.get(ANNOTATION));
        let names = required.map_or("", String::as_str).split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty() && !self.known.contains(name))
            .map(str::to_owned)
            .collect()
    }

    /// Writes what the cluster needs into the Lease.
    pub(super) fn write(&self, mut lease: Lease) -> Lease {
        let Some(needed) = self.needed.lock().clone() else {
            return lease;
        };
        let annotations = lease.metadata.annotations.get_or_insert_default();
        if needed.is_empty() {
            annotations.remove(ANNOTATION);
        } else {
            let names: Vec<_> = needed.into_iter().collect();
            annotations.insert(ANNOTATION.to_owned(), names.join(","));
        }
        lease
    }
}

impl Election {
    /// Checks whether this executor has what the Lease requires, and says so when that changes.
    pub(super) async fn check_requirements(&mut self, lease: Option<&Lease>) {
        let unknown = lease.map_or_else(Vec::new, |lease| self.requirements.unknown(lease));
        if unknown == self.lacks {
            return;
        }
        self.health.on_requirements_checked(unknown.is_empty());
        let capabilities = unknown.join(", ");
        self.lacks = unknown;
        if capabilities.is_empty() {
            info!("the Lease requires no unknown capability any more");
            return;
        }
        warn!(
            capabilities,
            "the Lease requires capabilities that this executor doesn't have; it doesn't lead until it is upgraded"
        );
        if let Some(lease) = lease {
            let published = self.publish_lack(lease, &capabilities);
            if tokio::time::timeout(self.settings.retry_period, published)
                .await
                .is_err()
            {
                debug!("writing an event about the Lease timed out");
            }
        }
    }

    async fn publish_lack(&self, lease: &Lease, capabilities: &str) {
        let reporter = Reporter {
            controller: "everynode-executor".to_owned(),
            instance: Some(self.identity.clone()),
        };
        let event = Event {
            type_: EventType::Warning,
            reason: "CapabilityMissing".to_owned(),
            note: Some(format!(
                "{} doesn't lead until it is upgraded: the cluster's rollouts need {capabilities}",
                self.identity
            )),
            action: "Lead".to_owned(),
            secondary: None,
        };
        let about = ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            name: lease.metadata.name.clone(),
            namespace: lease.metadata.namespace.clone(),
            uid: lease.metadata.uid.clone(),
            resource_version: lease.metadata.resource_version.clone(),
            field_path: None,
        };
        let recorder = Recorder::new(self.leases.clone().into_client(), reporter);
        if let Err(error) = recorder.publish(&event, &about).await {
            debug!(error = %ErrorChain(&error), "writing an event about the Lease failed");
        }
    }
}
