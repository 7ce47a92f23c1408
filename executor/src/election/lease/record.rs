//! The content of the Lease, by client-go's rules.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use tokio::time::Instant;

use super::Settings;

/// Separates an executor's name from the suffix that makes the process unique, as in client-go. No pod's name contains
/// it.
const SEPARATOR: char = '_';

/// A name unique to this process.
pub(super) fn unique(identity: &str) -> String {
    format!("{identity}{SEPARATOR}{:016x}", fastrand::u64(..))
}

/// The executor's name, without the unique suffix.
pub(super) fn shown(holder: &str) -> &str {
    holder.rsplit_once(SEPARATOR).map_or(holder, |(name, _)| name)
}

/// The Lease's holder; empty when nobody holds it.
pub(super) fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

/// The term that began with this write of the Lease.
pub(super) fn term(lease: &Lease) -> u64 {
    let version = lease.metadata.resource_version.as_deref();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

/// A new Lease, held by `holder`.
pub(super) fn new(settings: &Settings, holder: &str) -> Lease {
    let nobodys = Lease {
        metadata: ObjectMeta {
            name: Some(settings.name.clone()),
            namespace: Some(settings.namespace.clone()),
            ..ObjectMeta::default()
        },
        spec: None,
    };
    let mut lease = taken(&nobodys, settings, holder);
    if let Some(spec) = &mut lease.spec {
        spec.lease_transitions = Some(0);
    }
    lease
}

/// The Lease, taken over by `holder`.
pub(super) fn taken(lease: &Lease, settings: &Settings, holder: &str) -> Lease {
    let spec = lease.spec.clone().unwrap_or_default();
    let transitions = spec.lease_transitions.unwrap_or_default();
    let now = now();
    let seconds = i32::try_from(settings.duration.as_secs()).unwrap_or(i32::MAX);
    Lease {
        metadata: lease.metadata.clone(),
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions.saturating_add(1)),
            ..spec
        }),
    }
}

/// The Lease, renewed by its holder.
pub(super) fn renewed(lease: &Lease) -> Lease {
    let spec = lease.spec.clone().unwrap_or_default();
    Lease {
        metadata: lease.metadata.clone(),
        spec: Some(LeaseSpec {
            renew_time: Some(now()),
            ..spec
        }),
    }
}

/// The Lease, released by its holder.
pub(super) fn released(lease: &Lease) -> Lease {
    let spec = lease.spec.clone().unwrap_or_default();
    Lease {
        metadata: lease.metadata.clone(),
        spec: Some(LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(now()),
            ..spec
        }),
    }
}

fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}

/// The Lease as a standby last observed it, and the time of its last change.
#[derive(Debug, Default)]
pub(super) struct ObservedLease(Option<Observation>);

#[derive(Debug)]
struct Observation {
    lease: Option<Lease>,
    since: Instant,
}

impl ObservedLease {
    /// Records the Lease's current content. Only a new Lease or a change to its spec counts as a renewal by its holder.
    pub(super) fn observe(&mut self, lease: Option<Lease>) {
        let same = self.0.as_ref().filter(|last| match (&last.lease, &lease) {
            (Some(last), Some(lease)) => last.metadata.uid == lease.metadata.uid && last.spec == lease.spec,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        });
        let since = same.map_or_else(Instant::now, |last| last.since);
        self.0 = Some(Observation { lease, since });
    }

    /// The Lease as last observed.
    pub(super) fn lease(&self) -> Option<&Lease> {
        self.0.as_ref().and_then(|last| last.lease.as_ref())
    }

    /// When the Lease becomes free if it doesn't change; `None` until it has been observed.
    pub(super) fn free_at(&self, us: &str) -> Option<Instant> {
        let last = self.0.as_ref()?;
        let Some(lease) = &last.lease else {
            return Some(last.since);
        };
        if ["", us].contains(&holder(lease)) {
            return Some(last.since);
        }
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let seconds = seconds
            .and_then(|seconds| seconds.try_into().ok())
            .unwrap_or_default();
        Some(last.since + Duration::from_secs(seconds))
    }
}
