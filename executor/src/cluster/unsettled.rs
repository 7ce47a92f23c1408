//! `DaemonSet`s whose history has a new revision that upkeep hasn't processed yet.
//!
//! The creator of a revision may still be working with it: if upkeep deleted a duplicate at once, its creator couldn't
//! read it. So a new revision alone starts no upkeep (mirrors addHistory of kube-controller-manager). Upkeep starts
//! with the next event for which kube-controller-manager would sync the `DaemonSet`: a change of the `DaemonSet`, of
//! one of its pods or of a node. If there is no such event, a heartbeat starts upkeep after some seconds.

use std::{collections::HashMap, time::Duration};

use everynode_proto::facts::Identity;
use tokio::time::Instant;

use super::{Cluster, SharedStr};

/// How long a new revision waits for upkeep if nothing else happens.
const SETTLES_AFTER: Duration = Duration::from_secs(5);

/// The `DaemonSet`s, by uid, and when their first new revision appeared. Nearly always, there are none.
#[derive(Debug, Default)]
pub(super) struct UnsettledHistories(HashMap<SharedStr, Instant>);

impl Cluster {
    /// Records that the history of a `DaemonSet` has a new revision.
    pub(super) fn unsettle_history(&mut self, uid: &SharedStr) {
        let since = self.unsettled.0.entry(uid.clone());
        since.or_insert_with(Instant::now);
    }

    /// Records that upkeep has processed the history of a `DaemonSet`, or that the `DaemonSet` is gone.
    pub(crate) fn settle_history(&mut self, uid: &str) {
        self.unsettled.0.remove(uid);
    }

    /// Marks a `DaemonSet` for upkeep if its history is unsettled, because something has happened to it.
    pub(super) fn touch_unsettled(&mut self, daemon_set: Identity<'_>) {
        let unsettled = self.unsettled.0.get_key_value(daemon_set.uid);
        let is_known = |uid: &str| {
            self.daemon_set(uid)
                .is_some_and(|entry| entry.owner().identity() == daemon_set)
        };
        if let Some((uid, _)) = unsettled.filter(|(uid, _)| is_known(uid)) {
            self.touched.upkeep.insert(uid.clone());
        }
    }

    /// Marks all `DaemonSet`s with an unsettled history for upkeep, because a node has changed.
    pub(super) fn touch_all_unsettled(&mut self) {
        self.touched.upkeep.extend(self.unsettled.0.keys().cloned());
    }

    /// The `DaemonSet`s whose history has been unsettled for too long.
    pub(crate) fn overdue_histories(&self, now: Instant) -> Vec<SharedStr> {
        let since = self.unsettled.0.iter();
        since
            .filter(|(_, since)| now.duration_since(**since) >= SETTLES_AFTER)
            .map(|(uid, _)| uid.clone())
            .collect()
    }
}
