//! What the planner has yet to be told.
//!
//! Only the names of what changed are kept; the facts are read from the caches when there is room to send them. So a
//! slow planner costs no memory, and of many changes to one object it hears the last.

use std::time::SystemTime;

use everynode_proto::planner::v1::{
    ActionDone, ActionOutcome, DaemonSetFacts, DaemonSetGone, Fact, NodeGone, PodGone, SessionRequest,
    SyncComplete, fact::Fact as Kind,
};
use indexmap::IndexSet;

use crate::cluster::{Cluster, Text, Touched};

/// The facts that are due.
#[derive(Debug, Default)]
pub struct Outbox {
    nodes: IndexSet<Text>,
    pods: IndexSet<Text>,
    daemon_sets: IndexSet<Text>,
    done: Vec<ActionDone>,
    sync: Sync,
    time_has_passed: bool,
    sequence: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sync {
    #[default]
    NotDue,
    Due,
    Said,
}

/// A `DaemonSet` as the outbox finds it.
#[derive(Debug)]
pub enum Announcement {
    /// It can be told.
    Facts(Box<DaemonSetFacts>),
    /// Something is still to be put in order; what the planner was told before stays true until then.
    NotYet,
    /// It is gone, or being deleted.
    Gone,
}

impl Outbox {
    /// A stream has begun, whose first request had this sequence: everything is to be told again.
    pub fn restart(&mut self, sequence: u64) {
        *self = Self {
            sequence,
            sync: Sync::Due,
            ..Self::default()
        };
    }

    /// Things have changed.
    pub fn add(&mut self, touched: &mut Touched) {
        self.nodes.append(&mut touched.nodes);
        self.pods.append(&mut touched.pods);
        self.daemon_sets.append(&mut touched.daemon_sets);
    }

    /// A `DaemonSet` can be told, or told anew.
    pub fn add_daemon_set(&mut self, uid: Text) {
        self.daemon_sets.insert(uid);
    }

    /// An action has ended.
    pub fn add_done(&mut self, action_id: u64, outcome: ActionOutcome) {
        self.done.push(ActionDone {
            action_id,
            outcome: outcome.into(),
        });
    }

    /// The planner asked to be told when this much time would have passed.
    pub fn add_time(&mut self) {
        self.time_has_passed = true;
    }

    /// How many ends of actions the planner has yet to read.
    pub fn outcomes(&self) -> usize {
        self.done.len()
    }

    /// How many facts are due.
    pub fn len(&self) -> usize {
        self.nodes.len() + self.pods.len() + self.daemon_sets.len() + self.done.len()
    }

    /// Whether no fact is due.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the planner has been told everything at least once.
    pub fn is_synced(&self) -> bool {
        self.sync == Sync::Said
    }

    /// Whether there is something to say.
    pub fn is_due(&self, may_complete: bool) -> bool {
        !self.is_empty() || self.time_has_passed || (self.sync == Sync::Due && may_complete)
    }

    /// The next request, with at most `limit` facts; `None` when there is nothing to say. A full sync is complete only
    /// when `may_complete`.
    ///
    /// Pods go before `DaemonSet`s, so that the planner never decides on a `DaemonSet` while it is missing pods of it,
    /// and the ends of actions go last, when what they changed has been told. Of a pod that no known `DaemonSet` controls the planner
    /// hears only if it knows the pod: that it is gone.
    pub fn next_request(
        &mut self,
        cluster: &mut Cluster,
        announce: impl Fn(&Cluster, &Text) -> Announcement,
        limit: usize,
        may_complete: bool,
    ) -> Option<SessionRequest> {
        let mut facts = Vec::new();
        for name in take(&mut self.nodes, limit) {
            facts.push(match cluster.node(&name) {
                Some(node) => Kind::NodeChanged(node.clone()),
                None => Kind::NodeGone(NodeGone {
                    name: name.to_string(),
                }),
            });
        }
        for uid in take(&mut self.pods, limit - facts.len()) {
            let told = cluster.pod_facts(&uid);
            let is_there = cluster.pods().get(&uid).is_some();
            let was_announced = cluster.pods_mut().announce(&uid, told.is_some());
            facts.extend(match told {
                Some(pod) => Some(Kind::PodChanged(pod)),
                None if is_there && !was_announced => None,
                None => Some(Kind::PodGone(PodGone { uid: uid.to_string() })),
            });
        }
        for uid in take(&mut self.daemon_sets, limit - facts.len()) {
            match announce(cluster, &uid) {
                Announcement::Facts(daemon_set) => facts.push(Kind::DaemonSetChanged(*daemon_set)),
                Announcement::Gone => facts.push(Kind::DaemonSetGone(DaemonSetGone { uid: uid.to_string() })),
                Announcement::NotYet => {}
            }
        }
        let room = self.done.len().min(limit - facts.len());
        facts.extend(self.done.drain(..room).map(Kind::ActionDone));
        if self.sync == Sync::Due && may_complete && facts.len() < limit {
            facts.push(Kind::SyncComplete(SyncComplete {}));
            self.sync = Sync::Said;
        }
        if facts.is_empty() && !std::mem::take(&mut self.time_has_passed) {
            return None;
        }
        self.time_has_passed = false;
        self.sequence += 1;
        let facts = facts.into_iter().map(|fact| Fact { fact: Some(fact) }).collect();
        Some(SessionRequest {
            sequence: self.sequence,
            now: Some(SystemTime::now().into()),
            hello: None,
            facts,
        })
    }
}

/// Takes the first so many.
fn take(due: &mut IndexSet<Text>, limit: usize) -> Vec<Text> {
    due.drain(..due.len().min(limit)).collect()
}

#[cfg(test)]
mod tests;
