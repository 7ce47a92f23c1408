//! Facts that the planner has yet to be sent.
//!
//! The outbox keeps only the names of what has changed. It reads the facts from the caches when there is room to send
//! them. So a slow planner costs no memory, and of many changes to one object it hears only the last.
//!
//! Requests are limited by their number of facts and by their bytes. An object that is too large for any request is
//! left out, and all others are still sent: one tenant's object must not cut the planner off from everybody else's.

mod size;

use std::{collections::HashSet, time::SystemTime};

use everynode_proto::planner::v1::{
    ActionDone, ActionOutcome, DaemonSetFacts, DaemonSetGone, NodeGone, PodGone, SessionRequest,
    fact::Fact as Kind,
};
use indexmap::IndexSet;

use self::size::Filling;
pub use self::size::{RequestLimits, TooLarge};
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
    /// Objects that are too large to be sent.
    too_large: HashSet<Object>,
}

/// An object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Object {
    /// The node with this name.
    Node(Text),
    /// The pod with this uid.
    Pod(Text),
    /// The `DaemonSet` with this uid.
    DaemonSet(Text),
}

/// The next request, and the objects left out of it.
#[derive(Debug, Default)]
pub struct Next {
    /// The next request; `None` when there is nothing to send.
    pub request: Option<SessionRequest>,
    /// Objects that are left out of it because they fit into no request.
    pub too_large: Vec<TooLarge>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sync {
    #[default]
    NotDue,
    Due,
    Said,
}

/// The state in which the outbox finds a `DaemonSet`.
#[derive(Debug)]
pub enum Announcement {
    /// It can be sent.
    Facts(Box<DaemonSetFacts>),
    /// Something still has to be put in order. Until then, what the planner was told before stays true.
    NotYet,
    /// It is gone, or being deleted.
    Gone,
}

impl Outbox {
    /// Starts over for a new session whose first request had this sequence: everything has to be sent again.
    pub fn restart(&mut self, sequence: u64) {
        *self = Self {
            sequence,
            sync: Sync::Due,
            ..Self::default()
        };
    }

    /// Queues what has changed.
    pub fn add(&mut self, touched: &mut Touched) {
        self.nodes.append(&mut touched.nodes);
        self.pods.append(&mut touched.pods);
        self.daemon_sets.append(&mut touched.daemon_sets);
    }

    /// Queues a `DaemonSet` that can be sent, for the first time or again.
    pub fn add_daemon_set(&mut self, uid: Text) {
        self.daemon_sets.insert(uid);
    }

    /// Queues the end of an action.
    pub fn add_done(&mut self, action_id: u64, outcome: ActionOutcome) {
        self.done.push(ActionDone {
            action_id,
            outcome: outcome.into(),
        });
    }

    /// Makes a request with the time due, even without facts. The planner asked to be told when this much time has
    /// passed.
    pub fn add_time(&mut self) {
        self.time_has_passed = true;
    }

    /// Number of ends of actions that the planner has yet to read.
    pub fn outcomes(&self) -> usize {
        self.done.len()
    }

    /// Number of facts that are due.
    pub fn len(&self) -> usize {
        self.nodes.len() + self.pods.len() + self.daemon_sets.len() + self.done.len()
    }

    /// Whether no fact is due.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether everything has been sent to the planner at least once.
    pub fn is_synced(&self) -> bool {
        self.sync == Sync::Said
    }

    /// Whether there is something to send.
    pub fn is_due(&self, may_complete: bool) -> bool {
        !self.is_empty() || self.time_has_passed || (self.sync == Sync::Due && may_complete)
    }

    /// Number of existing objects that are too large to be sent: nodes, pods and `DaemonSet`s.
    pub fn count_too_large(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        let [nodes, pods, daemon_sets] = &mut counts;
        for object in &self.too_large {
            match object {
                Object::Node(_) => *nodes += 1,
                Object::Pod(_) => *pods += 1,
                Object::DaemonSet(_) => *daemon_sets += 1,
            }
        }
        counts
    }

    /// Builds the next request within these limits. A full sync completes only when `may_complete`.
    ///
    /// Pods go before `DaemonSet`s, so that the planner never decides on a `DaemonSet` while it is missing some of
    /// its pods. The ends of actions go last, after what the actions changed. For a pod that no known `DaemonSet`
    /// controls, the planner hears only that the pod is gone, and only if it knows the pod.
    pub fn next_request(
        &mut self,
        cluster: &mut Cluster,
        announce: impl Fn(&Cluster, &Text) -> Announcement,
        limits: RequestLimits,
        may_complete: bool,
    ) -> Next {
        let mut filling = Filling::new(limits, &mut self.too_large);
        filling.take(&mut self.nodes, Object::Node, |name| {
            Some(match cluster.node(name) {
                Some(node) => Kind::NodeChanged(node.clone()),
                None => Kind::NodeGone(NodeGone {
                    name: name.to_string(),
                }),
            })
        });
        let known = &*cluster;
        let pods = filling.take(&mut self.pods, Object::Pod, |uid| match known.pod_facts(uid) {
            Some(pod) => Some(Kind::PodChanged(pod)),
            None if known.pods().get(uid).is_some() && !known.pods().is_announced(uid) => None,
            None => Some(Kind::PodGone(PodGone { uid: uid.to_string() })),
        });
        filling.take(&mut self.daemon_sets, Object::DaemonSet, |uid| {
            match announce(known, uid) {
                Announcement::Facts(daemon_set) => Some(Kind::DaemonSetChanged(*daemon_set)),
                Announcement::Gone => Some(Kind::DaemonSetGone(DaemonSetGone { uid: uid.to_string() })),
                Announcement::NotYet => None,
            }
        });
        filling.take_done(&mut self.done);
        if self.sync == Sync::Due && may_complete && filling.complete() {
            self.sync = Sync::Said;
        }
        let Filling { facts, too_large, .. } = filling;
        for uid in &pods {
            let is_told = cluster.pod_facts(uid).is_some();
            cluster.pods_mut().announce(uid, is_told);
        }
        if facts.is_empty() && !std::mem::take(&mut self.time_has_passed) {
            return Next {
                request: None,
                too_large,
            };
        }
        self.time_has_passed = false;
        self.sequence += 1;
        let request = SessionRequest {
            sequence: self.sequence,
            now: Some(SystemTime::now().into()),
            hello: None,
            facts,
        };
        Next {
            request: Some(request),
            too_large,
        }
    }
}

#[cfg(test)]
mod tests;
